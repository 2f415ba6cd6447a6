"""A JSON reply in the public text layout is what step 4 reads from a text reply."""

import json
from typing import Any

import pytest

from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.replies.qa_json import qa_schema, v1_text

QA: dict[str, Any] = {
    "question": "What runs?", "choices": ["dog", "cat", "cow", "pig"], "answer": "B", "explanation": "It runs.",
    "skip": False, "reason": "",
}  # fmt: skip
TEXT = (
    "Question: What runs?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It runs."
)


def test_a_qa() -> None:
    assert v1_text(json.dumps(QA)) == TEXT
    (qa,) = parse_reply(TEXT)
    assert (qa.question, qa.choices, qa.correct_choice_idx, qa.rationales) == (
        QA["question"], QA["choices"], 1, ["It runs."],
    )  # fmt: skip


def test_a_skip_keeps_its_reason() -> None:
    text = v1_text(json.dumps(QA | {"skip": True, "reason": "Nothing\nis known."}))
    assert text.endswith("Explanation: Nothing is known.") and parse_reply(text) is Reason.SKIPPED


def test_a_short_answer_where_the_prompt_asks_for_one() -> None:
    assert list(qa_schema("Question: <q>\nShort answer: <a>")["properties"])[1] == "short_answer"
    text = v1_text(json.dumps({"short_answer": "cat", **QA}))
    assert parse_reply(text)[0].short_answer == "cat"


def test_the_schema_is_in_strict_form() -> None:
    schema = qa_schema("")
    assert schema["required"] == list(QA) == list(schema["properties"])
    assert schema["additionalProperties"] is False and schema["properties"]["choices"]["minItems"] == 4


def test_letters_that_models_repeat_inside_choices_go() -> None:
    marked = QA | {"choices": ["A. dog", "B. cat", "C. cow", "D. pig"]}
    assert v1_text(json.dumps(marked)) == TEXT
    some = QA | {"choices": ["A. dog", "cat", "cow", "pig"]}
    assert "(A) A. dog (B) cat" in v1_text(json.dumps(some))


@pytest.mark.parametrize(
    "reply", ["", "Question: Which?", "[1]", "{", '{"types": []}', "[" * 5000, '"Question"', "null"]
)
def test_other_texts_stay_as_they_are(reply: str) -> None:
    assert v1_text(reply) == reply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "E"}, Reason.OUTSIDE),
        ({"answer": None}, Reason.NO_ANSWER),
        ({"choices": ["dog", "cat", "cow"]}, Reason.NOT_FOUR),
        ({"choices": ["dog", "", "cow", "pig"]}, Reason.EMPTY_CHOICE),
        ({"choices": ["dog", "cat", "cow", "pig", "hen"]}, Reason.NOT_FOUR),
        ({"choices": "dog"}, Reason.NO_CHOICES),
        ({"choices": list("abcdefghijklmnopqrstuvwxyz0123456789")}, Reason.NOT_FOUR),
        ({"question": ["x"]}, Reason.NO_QUESTION),
    ],
)
def test_what_is_wrong_shows_in_the_text(change: dict[str, Any], reason: Reason) -> None:
    assert parse_reply(v1_text(json.dumps(QA | change))) is reason


@pytest.mark.parametrize(
    "around",
    [
        "```json\n{}\n```",
        "Here you are:\n{}\nAnything else?",
        "[{}]",
        "<think>A QA.</think>{}",
        "```\n[{}]\n```",
    ],
)
def test_an_object_that_something_stands_around(around: str) -> None:
    assert v1_text(around.replace("{}", json.dumps(QA))) == v1_text(json.dumps(QA))


def test_several_objects_are_several_questions() -> None:
    other = QA | {"question": "Where?", "choices": ["in", "out", "up", "down"]}
    parsed = parse_reply(v1_text(json.dumps([QA, other])))
    assert isinstance(parsed, list) and [qa.question for qa in parsed] == ["What runs?", "Where?"]


@pytest.mark.parametrize(
    "text", ['{"question": "Which?", "skip": false', "{}", "[]", '[{"question": "a"}]', "[1]"]
)
def test_what_holds_no_question_stays_and_is_not_called_skipped(text: str) -> None:
    assert v1_text(text) == text or "Question" in v1_text(text)
    assert parse_reply(v1_text(text)) is Reason.NO_QUESTION
