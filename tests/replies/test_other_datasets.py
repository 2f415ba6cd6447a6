"""QAs that others made: LLaVA's conversations and v2's records, as step 4, step 5 and question files read them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import NO_TYPE, Result
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import read_questions
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.other_datasets import others_format, read_others
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.replies.turn_options import split_choices
from dataengine_lib.training.row_files import EMPTY_TURN, NO_IMAGE, read_training_rows


def chat(*turns: str, **fields: Any) -> dict[str, Any]:
    """A LLaVA row with these turns, alternately of human and gpt."""
    messages = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]
    return {"id": "7", "image": "000000000007.jpg", "conversations": messages} | fields


def read(folder: Path, *rows: Any) -> list[Result | str]:
    return [found for _, found in read_others(write_json(folder / "rows.json", list(rows)))]


def parsed(folder: Path, row: Any) -> Qa | Reason:
    (found,) = read(folder, row)
    assert isinstance(found, Result), found
    qas = parse_reply(found.raw_instructions)
    return qas if isinstance(qas, Reason) else qas[0]


OPTIONS = "(A) dog (B) cat (C) cow (D) pig"
LINES = "A. dog\nB. cat\nC. cow\nD. pig"
HINT = "Hint: Please answer the question and provide the correct option letter, e.g., A, B, at the end."
DIRECTLY = "Answer with the option's letter from the given choices directly."


@pytest.mark.parametrize(
    ("asked", "answer", "explanation"),
    [
        (f"<image>\nWhich?\n{OPTIONS}", "The answer is (B) cat.", None),
        (f"<image>\nWhich?\n{OPTIONS}", "The answer is (B) cat. It has whiskers.", "It has whiskers."),
        (f"<image>\nWhich?\n{LINES}\n{DIRECTLY}", "B", None),
        (f"Which?\n{LINES}\n{DIRECTLY}\n<image>", "B.", None),
        (f"Which?\nChoices:\n{LINES}", "B. cat", None),
        (f"Which? Options: {OPTIONS}\n{DIRECTLY}", "b", None),
        (
            f"Which?\n{LINES}",
            "The correct answer is B: cat, because it has whiskers.",
            "because it has whiskers.",
        ),
        (f"Which?\n{LINES}", "(B)\nIt has whiskers.", "It has whiskers."),
        (f"Which?\n{LINES}", "cat", None),
        (f"Which?\n{LINES.replace('. ', ') ')}", "B", None),
        (f"Which?\n{LINES.replace('. ', ') ').lower()}", "b", None),
        (f"Which?\n{OPTIONS.lower()}", "(b) cat", None),
        (f"Which?\n{LINES}", "B. It is a cat since it has whiskers.", "It is a cat since it has whiskers."),
        (f"Which?\n{LINES}", "B. Because it has whiskers.", "Because it has whiskers."),
        (f"Which?\n{LINES}", "B. the cat.", None),
        (f"{HINT}\nQuestion: Which?\nChoices:\n{LINES}", "B", None),
        (f"{HINT} Question: Which?\nChoices:\n{OPTIONS}", "B", None),
        (f"Context: A farm.\nHint: Look.\nWhich?\n{LINES}", "B", None),
        (f"{HINT}\nQuestion: Which?\nChoices:\n{LINES}", "It has whiskers.\nAnswer: B", "It has whiskers."),
        (f"Which?\n{LINES}", "It has whiskers.\n###\nSo the answer is (B).", "It has whiskers."),
    ],
)
def test_multiple_choice_turns_are_read_by_the_parser_of_step_4(
    tmp_path: Path, asked: str, answer: str, explanation: str | None
) -> None:
    qa = parsed(tmp_path, chat(asked, answer))
    assert isinstance(qa, Qa), qa
    assert (qa.question, qa.choices, qa.correct_choice_idx) == ("Which?", ["dog", "cat", "cow", "pig"], 1)
    assert qa.rationales == ([explanation] if explanation else [])


@pytest.mark.parametrize(
    ("asked", "answer", "reason"),
    [
        ("<image>\nWhat is it?", "It is a cat.", Reason.NO_CHOICES),
        ("Which?\nA. dog\nB. cat\nC. cow", "B", Reason.NOT_FOUR),
        (f"Which?\n{LINES}", "B. dog", Reason.DISAGREE),
        (f"Which?\n{LINES}", "B\nA dog.", Reason.DISAGREE),
        (f"Which?\n{LINES}", "B. It is a dog since it barks.", Reason.DISAGREE),
        (f"Which?\n{LINES}", "B. There are dogs on the sofa.", Reason.DISAGREE),
        (f"Which?\n{LINES}", "B. Of course the answer is (C).", Reason.DISAGREE),
        (f"Which?\n{LINES}", "B. kitten", Reason.DISAGREE),
        (f"Which?\n{LINES.replace('dog', 'big cat')}", "B. It is a big cat.", Reason.DISAGREE),
        (f"Which?\n{LINES.replace('dog', 'cat food')}", "B. cat food, as it seems", Reason.DISAGREE),
        (f"{HINT}\nQuestion: Which?\n{LINES}", "The dog barks.\nAnswer: B. dog", Reason.NO_ANSWER),
        ("Which?\na) dog\nb) cat", "b", Reason.NO_CHOICES),
        (f"Which?\n{LINES}", "F", Reason.OUTSIDE),
        (f"Which?\n{LINES}", "None of them", Reason.NO_ANSWER),
        (f"Which?\n{LINES.replace('cow', 'dog')}", "B", Reason.EQUAL_CHOICES),
        (f"Which is at [0.1, 0.2, 0.3, 0.4]?\n{OPTIONS}", "B", Reason.BOXES),
    ],
)
def test_the_filters_of_step_4_apply(tmp_path: Path, asked: str, answer: str, reason: Reason) -> None:
    assert parsed(tmp_path, chat(asked, answer)) == reason


def test_each_turn_is_a_reply_with_its_image_and_a_key(tmp_path: Path) -> None:
    row = chat("<image>\nWhat is it?", "A cat.", f"Which?\n{OPTIONS}", "(B) cat", image="gqa/images/9.jpg")
    first, second = read(tmp_path, row)
    assert isinstance(first, Result) and isinstance(second, Result)
    assert [first.query_id, second.query_id] == ["7-1", "7-2"]
    assert first.image_path == "gqa/images/9.jpg" and first.question_type == NO_TYPE
    assert first.image_id == second.image_id >= 0
    assert first.raw_instructions == "Question: What is it?\nAnswer: A cat."
    (coco,) = read(tmp_path, chat("q", "a", image="coco/train2017/000000000042.jpg"))
    assert isinstance(coco, Result) and coco.image_id == 42
    (other,) = read(tmp_path, chat("q", "a", image="gqa/images/10.jpg"))
    assert isinstance(other, Result) and other.image_id != first.image_id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (chat("q", "a", image=None), "image: no image"),
        (chat("q", "a", image=["a.jpg", "b.jpg"]), "image: several images"),
        (chat("<image> and <image>?", "a"), "2 image tokens"),
        (chat("q"), "no answer"),
        (chat("q", "a", conversations="text"), "conversations: is not a list"),
        (chat("q", "a", conversations=[{"from": "gpt", "value": "a"}]), r"conversations\[0\]: gpt is out of turn"),
        (chat("q", "a", conversations=[{"from": "human"}]), r"conversations\[0\]: needs 'from'"),
        (7, "is not an object"),
        ({"instruction": 3, "image": "x.jpg"}, "conversations: is not a list"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_reported_and_the_others_are_read(tmp_path: Path, row: Any, message: str) -> None:
    *_, wrong, last = read(tmp_path, chat("q", "a"), row, chat("q", "a"))
    assert isinstance(wrong, str) and re.search(message, wrong), wrong
    assert isinstance(last, Result)


V2 = {
    "instruction": "Which animal?",
    "answer": "The animal on the sofa is a cat.",
    "short_answer": "cat",
    "options": ["dog", "cat", "cow", "pig"],
    "choice_answer": "B",
    "image": "coco/000000000007.jpg",
    "qtype": 2,
}


def test_v2_records(tmp_path: Path) -> None:
    (found,) = read(tmp_path, V2)
    assert isinstance(found, Result)
    assert (found.image_id, found.image_path, found.question_type) == (7, V2["image"], "instance_identity")
    assert found.raw_instructions == (
        "Question: Which animal?\nShort answer: cat\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
        "Answer: The answer is (B): cat.\nExplanation: The animal on the sofa is a cat."
    )
    assert parse_reply(found.raw_instructions) == [
        Qa(
            question="Which animal?",
            choices=["dog", "cat", "cow", "pig"],
            correct_choice_idx=1,
            rationales=["The animal on the sofa is a cat."],
            short_answer="cat",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"choice_answer": None, "choide_answer": "C", "short_answer": ""}, 2),  # the published misspelling
        ({"options": ["A. dog", "B. cat", "C. cow", "D. pig"]}, 1),
        ({"choice_answer": "", "answer": "cat"}, 1),
        ({"answer": "cat"}, 1),
        ({"answer": "cat", "short_answer": "", "options": ["A. dog", "B. cat", "C. cow", "D. pig"]}, 1),
        (
            {
                "answer": "(B) cat.",
                "short_answer": "",
                "options": ["(A) dog", "(B) cat", "(C) cow", "(D) pig"],
            },
            1,
        ),
        ({"options": None}, Reason.NO_CHOICES),
        ({"options": ["dog", "cat"]}, Reason.NOT_FOUR),
        ({"choice_answer": "E"}, Reason.OUTSIDE),
        ({"short_answer": "dog"}, Reason.SHORT_DISAGREES),
        ({"options": ["dog", "cat", "", "pig"]}, Reason.EMPTY_CHOICE),
        ({"choice_answer": None, "answer": None, "short_answer": None}, Reason.NO_ANSWER),
    ],
)
def test_v2_records_pass_the_same_filters(
    tmp_path: Path, changes: dict[str, Any], expected: int | Reason
) -> None:
    found = parsed(tmp_path, V2 | changes)
    assert (found.correct_choice_idx if isinstance(found, Qa) else found) == expected
    if changes.get("answer") and isinstance(found, Qa):
        assert found.rationales == []


@pytest.mark.parametrize("qtype", [0, 10, None, "x", -1, 1e9])
def test_other_type_numbers_are_no_type(tmp_path: Path, qtype: Any) -> None:
    (found,) = read(tmp_path, V2 | {"qtype": qtype})
    assert isinstance(found, Result) and found.question_type == NO_TYPE


def test_formats_are_recognised_by_their_content(tmp_path: Path) -> None:
    lines = write_jsonl(tmp_path / "rows.jsonl", [chat("q", "a"), chat("q", "a", id=8)])
    lines.write_bytes(b"\xef\xbb\xbf" + lines.read_bytes() + b"\n{torn\n")
    assert others_format(lines) == "llava"
    found = list(read_others(lines))
    assert [number for number, _ in found] == [1, 2, 4]  # line 3 is blank
    assert isinstance(found[2][1], str)
    assert others_format(write_json(tmp_path / "v2.json", [V2])) == "dataengine-v2"
    for other in (
        [{"question": "Which?", "choices": ["a", "b"], "image": "x"}],
        {"a": [V2]},
        [],
        [3],
        "text",
    ):
        file = write_json(tmp_path / "other.json", other)
        assert others_format(file) is None
        with pytest.raises(
            DataEngineError, match=r"other\.json: no row has 'conversations' .*; it looks like"
        ):
            list(read_others(file))
    with pytest.raises(DataEngineError, match=r"none\.json: cannot be read"):
        others_format(tmp_path / "none.json")


def test_options_are_found_only_where_they_are_in_order() -> None:
    assert split_choices("What does (A) stand for?") is None
    assert split_choices("Plan B. Now what?") is None
    assert split_choices("A. dog\nB. cat") is None  # without a question
    assert split_choices("Which?\n(A) dog (brown) (B) dog (black)") == (
        "Which?",
        ["dog (brown)", "dog (black)"],
    )
    assert split_choices("Which?\nB. dog\nA. cat") is None
    assert split_choices("Which?\na) dog\nB) cat\nc) cow\nd) pig") is None
    assert split_choices("Which thing(s)? (a) dog (b) cat (c) cow (d) pig") == (
        "Which thing(s)?",
        ["dog", "cat", "cow", "pig"],
    )
    assert split_choices("x" * 10**6 + "\n(A) a (B) b") is None


def test_v2_is_a_question_file_too(tmp_path: Path) -> None:
    file = write_json(
        tmp_path / "v2.json", [V2, V2 | {"choice_answer": None, "choide_answer": "D", "qtype": 9}]
    )
    first, second = read_questions(file)
    assert (first.question, first.choices, first.correct_choice_idx) == ("Which animal?", V2["options"], 1)
    assert (first.question_type, second.question_type) == ("instance_identity", "text_understanding")
    assert (first.image_id, first.direct_answers, second.correct_choice_idx) == (7, ["cat"], 3)


def test_step_5_mixes_conversations_in_as_they_are(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "000000000007.jpg")
    file = tmp_path / "llava.json"
    rows = [
        chat("<image>\nWhat is it?", "A cat.", "Why?", "It purrs."),
        chat("q", "a", image=None),
        chat("q", "a", image="gone.jpg"),
        chat("q", "a", image="../secret.jpg"),
        chat("<image>", "a"),
        chat("q"),
    ]
    file.write_text(json.dumps(rows))
    skipped = BadRows("rows.json", 1)
    kept = read_training_rows(file, tmp_path, ["QM-A", "Q-A"], skipped)
    assert [row.turns("QM-A") for row in kept] == [
        (("What is it?", "A cat."), ("Why?", "It purrs.")),
        (("q", "a"),),
    ]
    assert [row.image for row in kept] == [tmp_path / "000000000007.jpg", None]
    assert {row.formats for row in kept} == {("QM-A",)}
    assert len({row.where for row in kept}) == 2
    assert skipped.counts == {NO_IMAGE: 2, EMPTY_TURN: 1, "malformed row": 1}
    v2 = read_training_rows(write_json(file, [V2]), tmp_path, ["QM-AE"], skipped)
    assert [row.turns("QM-AE")[0][1] for row in v2] == [
        "The answer is (B) cat. The animal on the sofa is a cat."
    ]
