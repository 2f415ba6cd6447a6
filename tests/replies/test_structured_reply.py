"""Step 4 reads a structured reply from its JSON, where words that look like the layout's are words like any other."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_replies import PIECES, check_kept, structured_reply

from dataengine_lib.core.files import read_jsonl, write_json, write_jsonl
from dataengine_lib.core.records import Query, Result
from dataengine_lib.playground.server import serve
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply, parse_result
from dataengine_lib.replies.qa_json import v1_text
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

QA: dict[str, Any] = {
    "question": "What runs?", "choices": ["dog", "cat", "cow", "pig"], "answer": "B", "explanation": "It runs.",
    "skip": False, "reason": "",
}  # fmt: skip


def read(reply: str, finish_reason: str = "stop") -> list[Qa] | Reason:
    """What step 4 makes of a reply that step 3 wrote into its results."""
    return parse_result(
        Result(
            image_id=1,
            raw_instructions=v1_text(reply),
            question_type="ocr",
            finish_reason=finish_reason,
            reply_json=reply,
        )
    )


def qa(**changes: Any) -> list[Qa] | Reason:
    return read(json.dumps(QA | changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("choices", ["lane (A) only", "no entry", "lane (B) only", "stop"]),
        ("choices", ["Play", "Skip", "Stop", "Back"]),
        ("question", "Which word stands above Choices: on the menu?"),
        ("explanation", "The page shows Answer: yes. Question: who?"),
        ("explanation", "Explanation: It runs. Choices: (A) yes (B) no"),
        ("choices", ["Answer: yes", "Question: who?", "Explanation: none", "Choices: (A) (B)"]),
        ("choices", [".5 metres", "5 metres", "50 metres", "500 metres"]),
        ("question", "What does {x} [y] (B) mean in “Answer is: {}”?"),
    ],
)
def test_words_of_the_layout_inside_a_field(field: str, value: Any) -> None:
    (found,) = qa(**{field: value})
    expected = QA | {field: value}
    assert found == Qa(
        question=expected["question"],
        choices=expected["choices"],
        correct_choice_idx=1,
        rationales=[expected["explanation"]],
    )


def test_a_right_choice_skip_may_be_the_short_answer_too() -> None:
    (found,) = qa(choices=["Play", "Skip", "Stop", "Back"], short_answer="Skip")
    assert found.choices[found.correct_choice_idx] == found.short_answer == "Skip"


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": "Skip"},
        {"answer": "SKIP.", "choices": ["Play", "Skip", "Stop", "Back"]},
        {"question": "Skip"},
        {"short_answer": "Skip"},
        {"skip": True},
        {"skip": True, "question": "", "choices": [], "answer": ""},
    ],
)
def test_a_teacher_that_skips(changes: dict[str, Any]) -> None:
    assert qa(**changes) is Reason.SKIPPED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": "E"}, Reason.OUTSIDE),
        ({"answer": ""}, Reason.NO_ANSWER),
        ({"answer": 1}, Reason.NO_ANSWER),
        ({"answer": "B. dog"}, Reason.DISAGREE),
        ({"answer": "hen"}, Reason.NO_ANSWER),
        ({"choices": ["dog", "cat", "cow"]}, Reason.NOT_FOUR),
        ({"choices": list("abcdefghijklmnopqrstuvwxyz")}, Reason.NOT_FOUR),
        ({"choices": "dog"}, Reason.NO_CHOICES),
        ({"choices": []}, Reason.NO_CHOICES),
        ({"choices": ["dog", " \n", "cow", "pig"]}, Reason.EMPTY_CHOICE),
        ({"choices": ["dog", None, "cow", "pig"]}, Reason.EMPTY_CHOICE),
        ({"choices": ["dog", "The Dog.", "cow", "pig"]}, Reason.EQUAL_CHOICES),
        ({"choices": [f"dog [0.{n}, 0.2, 0.3, 0.4]" for n in range(1, 5)]}, Reason.EQUAL_BUT_BOX),
        ({"choices": ["dog (correct)", "cat", "cow", "pig"]}, Reason.MARKED),
        ({"choices": ["B. dog", "A. cat", "C. cow", "D. pig"]}, Reason.DISAGREE),
        ({"question": "What runs? (A) dog (B) cat (C) cow (D) pig"}, Reason.REPEATED_PART),
        ({"question": "What runs?\nChoices:\nA. dog\nB. cat\nC. cow\nD. pig"}, Reason.REPEATED_PART),
        ({"question": "..."}, Reason.NO_QUESTION),
        ({"question": None}, Reason.NO_QUESTION),
        ({"question": "What stands in the bounding box?"}, Reason.BOXES),
        ({"explanation": "It is at [0.1, 0.2, 0.3, 0.4]."}, Reason.BOXES),
        ({"explanation": "The description says so."}, Reason.DESCRIPTION),
        ({"explanation": "The correct answer is (A)."}, Reason.CONTRADICTS),
        ({"explanation": "<image> shows it."}, Reason.TOKEN),
        ({"short_answer": "dog"}, Reason.SHORT_DISAGREES),
        ({"explanation": "It runs. " * 3_000}, Reason.TOO_LONG),
    ],
)
def test_the_reasons_to_drop_a_structured_reply(changes: dict[str, Any], reason: Reason) -> None:
    assert qa(**changes) is reason


@pytest.mark.parametrize(
    "answer", ["B", "b", " B\n", "Ｂ", "(B)", "B.", "B. cat", "cat", "The answer is (B): cat."]
)
def test_an_answer_that_keeps_to_the_schema_or_nearly(answer: str) -> None:
    (found,) = qa(answer=answer)
    assert found.correct_choice_idx == 1


def test_the_letter_counts_where_choices_are_letters() -> None:
    (found,) = qa(choices=["B", "A", "D", "C"], answer="A")
    assert found.choices[found.correct_choice_idx] == "B"


def test_the_last_explanation_of_a_reply_that_was_cut_off_is_left_out() -> None:
    other = QA | {"question": "Where?", "choices": ["in", "out", "up", "down"]}
    whole, cut = read(json.dumps([QA, other]), "length")
    assert (whole.rationales, cut.rationales) == (["It runs."], [])
    assert read(json.dumps(QA | {"explanation": ""}), "length") is Reason.TRUNCATED


def test_two_questions_that_contradict() -> None:
    assert read(json.dumps([QA, QA | {"answer": "A"}])) is Reason.CONTRADICTS


@pytest.mark.parametrize("around", ["```json\n{}\n```", "Here it is: {}", "[{}]", "<think>{x}</think>{}"])
def test_braces_in_a_field_of_a_reply_between_words(around: str) -> None:
    (found,) = read(around.replace("{}", json.dumps(QA | {"question": "What is {x}?"})))
    assert found.question == "What is {x}?"


def test_both_ways_to_read_agree_on_ordinary_replies() -> None:
    """The text that readers of v1 find says what the JSON says, wherever no field looks like another's heading."""
    rng, kept, reasons = Random(3), 0, set()
    for number in range(5_000):
        reply, finish = structured_reply(rng), "length" if number % 50 == 0 else "stop"
        found = read(reply, finish)
        assert found == parse_reply(v1_text(reply), truncated=finish == "length"), reply
        kept += isinstance(found, list)
        reasons |= set() if isinstance(found, list) else {found}
    assert kept > 3_000 and len(reasons) > 9


HEADINGS = [
    "Question:", "Choices:", "Answer:", "Answer: yes. Question: who?", "Explanation:", "The answer:", "Reason:",
    "(A)", "(B) cat", "C.", "D)", "[D]", "(E) hen", "{", "}", '"', "\\", "\n", "\n\n", "\t", "1.", "- ", "#", "Skip",
    "skip: true", "(a)", "(", ")", "]", "question", '{"question": 1}', "’", "→",
]  # fmt: skip
WORDS = [
    f"{sound}{end}" for sound in ("bo", "du", "fi", "gu", "ke", "lo", "mu", "ne") for end in ("lt", "rn")
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(HEADINGS), max_size=5), min_size=6, max_size=6),
    st.permutations(WORDS),
    st.integers(0, 3),
    st.booleans(),
)
def test_what_the_json_says_is_what_is_read(
    parts: list[list[str]], words: list[str], right: int, fenced: bool
) -> None:
    """Whatever stands between a field's first and last word; white space alone is made one space."""
    texts = [" ".join([words.pop(), *part, words.pop()]) for part in parts]
    question, explanation, *choices = texts
    reply = json.dumps(
        QA | {"question": question, "explanation": explanation, "choices": choices, "answer": "ABCD"[right]}
    )
    expected = Qa(
        question=" ".join(question.split()),
        choices=[" ".join(choice.split()) for choice in choices],
        correct_choice_idx=right,
        rationales=[" ".join(explanation.split())],
    )
    assert read(f"```json\n{reply}\n```" if fenced else reply) == [expected]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*QA, "short_answer"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text()
            | st.sampled_from([*PIECES, *HEADINGS, "A", "B"]),
            lambda inner: (
                st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=8,
        ),
    ),
    st.booleans(),
)
def test_any_json_is_read_or_dropped(fields: dict[str, Any], truncated: bool) -> None:
    found = read(json.dumps(QA | fields), "length" if truncated else "stop")
    for one in found if isinstance(found, list) else []:
        check_kept(one)


def test_from_the_teacher_to_the_training_data(tmp_path: Path) -> None:
    """Step 3 keeps the JSON beside the text, step 4 reads it; a teacher that repeats gives the JSON again."""
    written = QA | {"choices": ["lane (A) only", "Skip", "no entry", "stop"], "short_answer": "Skip"}
    write_json(
        tmp_path / "q.json",
        [Query(image_id=1, prompt="Question: <q>\nShort answer: <a>", question_type="ocr")],
    )
    with serve(json.dumps, structured=lambda messages, schema: json.dumps(written)) as server:
        for name, teacher in (("r", "openai:gpt-4o-mini"), ("again", f"replay:{tmp_path / 'r.jsonl'}")):
            generate_qa(
                GenerateQaConfig(
                    input=tmp_path / "q.json",
                    output=tmp_path / f"{name}.jsonl",
                    teacher=teacher,
                    base_url=server.base_url,
                )
            )
            (row,) = read_jsonl(tmp_path / f"{name}.jsonl", Result)
            assert row.raw_instructions == v1_text(json.dumps(written))
            assert json.loads(row.reply_json) == written
            result = post_process(
                PostProcessConfig(
                    input=tmp_path / f"{name}.jsonl",
                    output=tmp_path / name / "train.json",
                    shuffle_choices=False,
                )
            )
            (record,) = result.sample
            assert (record.choices, record.correct_choice_idx) == (written["choices"], 1)


def test_results_without_json_are_read_from_their_text(tmp_path: Path) -> None:
    row = {"image_id": 1, "raw_instructions": v1_text(json.dumps(QA)), "question_type": "ocr"}
    write_jsonl(
        tmp_path / "r.jsonl", [row, row | {"image_id": 2, "reply_json": None}, row | {"image_id": "3"}]
    )
    found = post_process(PostProcessConfig(input=tmp_path / "r.jsonl", output=tmp_path / "train.json"))
    assert found.counts.kept == 3
