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
        {"skip": "true"},
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
        ({"choices": ["b) dog", "a) cat", "c) cow", "d) pig"]}, Reason.DISAGREE),
        ({"choices": ["[A] dog", "[C] cat", "[B] cow", "[D] pig"]}, Reason.DISAGREE),
        ({"choices": ["caf\u00e9", "cafe\u0301", "bar", "inn"]}, Reason.EQUAL_CHOICES),
        ({"question": "What runs? (A) Dog (B) Cat (C) Cow (D) Pig"}, Reason.REPEATED_PART),
        ({"question": "What runs? a) dog b) cat c) cow d) pig"}, Reason.REPEATED_PART),
        ({"question": "What is <im([0.1, 0.2, 0.3, 0.4])age>?"}, Reason.BOXES),
        ({"explanation": "It <|im([0.1, 0.2, 0.3, 0.4])_end|> runs."}, Reason.BOXES),
        ({"choices": ["a dog<image([0.1, 0.2, 0.3, 0.4])>", "cat", "cow", "pig"]}, Reason.BOXES),
        ({"question": "..."}, Reason.NO_QUESTION),
        ({"question": None}, Reason.NO_QUESTION),
        ({"question": "What stands in the bounding box?"}, Reason.BOXES),
        ({"explanation": "It is at [0.1, 0.2, 0.3, 0.4]."}, Reason.BOXES),
        ({"explanation": "The description says so."}, Reason.DESCRIPTION),
        ({"explanation": "The correct answer is (A)."}, Reason.CONTRADICTS),
        ({"explanation": "<image> shows it."}, Reason.TOKEN),
        ({"short_answer": "dog"}, Reason.SHORT_DISAGREES),
        ({"short_answer": "A"}, Reason.SHORT_DISAGREES),
        ({"short_answer": "(C)."}, Reason.SHORT_DISAGREES),
        ({"explanation": "It runs. " * 3_000}, Reason.TOO_LONG),
    ],
)
def test_the_reasons_to_drop_a_structured_reply(changes: dict[str, Any], reason: Reason) -> None:
    assert qa(**changes) is reason


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "</s>", "<image>", "<IMAGE>", "<video>", "<im\u200bage>", "<unk>", "<eos>", "<think>",
        "</think>", "<img>", "<ImageHere>", "<IMG_CONTEXT>", "<start_of_turn>", "<end_of_image>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["question", "choices", "short_answer", "explanation"])
def test_a_special_token_in_any_field(field: str, token: str) -> None:
    text = f"The {token} runs."
    assert qa(**{field: [text, "cat", "cow", "pig"] if field == "choices" else text}) is Reason.TOKEN


@pytest.mark.parametrize(
    "text", ["<b>dog</b>", "a < b > c", "<div>", "</body>", "[STOP]", "<3", "thinking of it"]
)
def test_markup_and_words_that_are_no_special_token_are_kept(text: str) -> None:
    (found,) = qa(choices=[text, "cat", "cow", "pig"], explanation=f"It says {text}")
    assert (found.choices[0], found.rationales) == (text, [f"It says {text}"])


@pytest.mark.parametrize(
    "mark",
    [
        "A. ",
        "a) ",
        "(A) ",
        "(a) ",
        "[A] ",
        "A)",
        "(A): ",
        "A: ",
        "**A.** ",
        "**(A)** ",
        "A - ",
        "Option A: ",
        "A．",
    ],
)
def test_letters_that_every_choice_begins_with_are_removed(mark: str) -> None:
    marks = [mark.replace("A", letter).replace("a", letter.lower()) for letter in "ABCD"]
    (found,) = qa(choices=[f"{one}{text}" for one, text in zip(marks, QA["choices"], strict=True)])
    assert found.choices == QA["choices"] and found.correct_choice_idx == 1


@pytest.mark.parametrize(
    "choices",
    [
        ["A.M.", "B.C.", "C.D.", "D.C."],
        ["(A)", "(B)", "(C)", "(D)"],
        ["A 4", "B 52", "C 5", "D 2"],
        ["A. Lincoln", "B. Obama", "G. Washington", "T. Jefferson"],
        ["D. Duck", "cat", "cow", "pig"],
        ["x**2", "x2", "x**3", "2 ** x"],
        ["f(a)**2", "f(a)", "f[a]", "f{a}"],
        ["-5", "5", "+5", "1,000"],
        ["C++", "C", "C#", "C-"],
        ["狗", "猫", "牛", "猪"],
        ["كلب", "قط", "بقرة", "خنزير"],
        ["10:30 a.m.", "10:30 p.m.", "3.5", "½"],
        ["A", "B", "C", "D"],
    ],
)
def test_choices_that_are_kept_as_written(choices: list[str]) -> None:
    (found,) = qa(choices=choices, answer="C")
    assert (found.choices, found.correct_choice_idx) == (choices, 2)


@pytest.mark.parametrize(
    "explanation",
    [
        "Choice (A) is wrong as dogs stay; (C) and (D) are absent.",
        "The answer is not A.",
        "A dog would bark, so the answer is B.",
        "The answer is (B), not (A).",
        "Neither (A) nor (C) is correct.",
        "Unlike option D, it has whiskers.",
    ],
)
def test_an_explanation_that_mentions_other_letters(explanation: str) -> None:
    (found,) = qa(explanation=explanation)
    assert found.rationales == [explanation]


@pytest.mark.parametrize("short", ["", "-", "...", " \n", "B", "(B)", "[B].", "B."])
def test_a_short_answer_without_a_word_or_of_the_letter_alone_is_none(short: str) -> None:
    (found,) = qa(short_answer=short)
    assert found.short_answer == ""


@pytest.mark.parametrize(
    ("right", "short"), [("C", "C"), ("vitamin C", "C"), ("grade A", "A"), ("a cat", "a"), ("D.C.", "D.C.")]
)
def test_a_short_answer_may_be_a_letter_that_the_right_choice_holds(right: str, short: str) -> None:
    (found,) = qa(choices=["dog", right, "cow", "pig"], short_answer=short)
    assert found.short_answer == short


@pytest.mark.parametrize(
    "reply",
    [
        '{"question": "x", "choices": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"question": ' * 100_000,
        '{"question": "x", "choices": ' + "1" * 10_000 + "}",
        "{" * 200_000 + '"question"',
        '{"question": "' * 100_000,
        "[" * 200_000 + '"question"',
        json.dumps([QA] * 2_000),
        "\0",
    ],
)
def test_a_hostile_reply_is_dropped(reply: str) -> None:
    assert isinstance(read(reply), Reason)


def test_the_json_counts_where_the_text_says_something_else() -> None:
    """`raw_instructions` is made from the JSON for programs that read v1's files; step 4 does not compare the two."""
    row = Result(
        image_id=1,
        raw_instructions="Question: Where?\nChoices: (A) in (B) out (C) up (D) down\nAnswer: (A)",
        question_type="ocr",
    )
    (from_text,) = parse_result(row)
    row.reply_json = json.dumps(QA)
    (from_json,) = parse_result(row)
    assert (from_text.question, from_json.question) == ("Where?", "What runs?")
    row.reply_json = json.dumps(QA | {"skip": True})
    assert parse_result(row) is Reason.SKIPPED


@pytest.mark.parametrize(
    "reply_json", ["", " ", "no JSON", "{", "[]", "null", "7", '"text"', '{"types": []}']
)
def test_a_row_whose_json_holds_no_question_is_read_from_its_text(reply_json: str) -> None:
    (found,) = parse_result(
        Result(
            image_id=1,
            raw_instructions=v1_text(json.dumps(QA)),
            question_type="ocr",
            reply_json=reply_json,
        )
    )
    assert (found.question, found.correct_choice_idx) == ("What runs?", 1)


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
