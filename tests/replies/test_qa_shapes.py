"""A teacher's server that ignores the schema: its JSON is read where one reading is possible, else dropped."""

import json
from typing import Any

import pytest

from dataengine_lib.core.records import Result
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply, parse_result
from dataengine_lib.replies.qa_fields import qa_fields
from dataengine_lib.replies.qa_json import v1_text

QA: dict[str, Any] = {
    "question": "What runs?", "choices": ["a dog", "a fox", "a cow", "a pig"], "answer": "B",
    "explanation": "It runs.", "skip": False, "reason": "",
}  # fmt: skip
OTHER = QA | {"question": "Where?", "choices": ["in", "out", "up", "down"]}
FOX = Qa(question="What runs?", choices=QA["choices"], correct_choice_idx=1, rationales=["It runs."])
OUT = Qa(question="Where?", choices=OTHER["choices"], correct_choice_idx=1, rationales=["It runs."])
BY_LETTER = dict(zip("ABCD", QA["choices"], strict=True))
LETTERED = [f"({letter}) {text}" for letter, text in BY_LETTER.items()]


def read(reply: str) -> list[Qa] | Reason:
    """What step 4 makes of it, from the JSON that step 3 keeps and from the text for readers of v1's files alike."""
    text = v1_text(reply)
    row = Result(image_id=1, raw_instructions=text, question_type="ocr", finish_reason="stop")
    row.reply_json = reply if text != reply else ""
    found = parse_result(row)
    if text != reply:
        assert parse_reply(text) == found
    return found


def qa(**changes: Any) -> list[Qa] | Reason:
    return read(json.dumps({name: value for name, value in (QA | changes).items() if value is not ...}))


ONE, TWO = json.dumps(QA), json.dumps(OTHER)


@pytest.mark.parametrize(
    "reply",
    [
        f'{{"qa": {ONE}}}',
        f'{{"result": {{"data": [{ONE}]}}}}',
        f'{{"id": 7, "image": {{"path": "x.jpg"}}, "qa": {ONE}}}',
        f"```json\n[{ONE}]\n```",
        f'{{"questions": [{ONE}]}}',
        f"<think>{TWO}?</think>```{ONE}```",
        f'{{"thoughts": "No fence.", "output": {ONE}}}',
        json.dumps(QA, indent=2).replace("It runs.", "It\nruns."),
        json.dumps({name.title(): value for name, value in QA.items()}),
    ],
)
def test_an_object_inside_others(reply: str) -> None:
    assert read(reply) == [FOX]


@pytest.mark.parametrize(
    "reply",
    [
        f'{{"questions": [{ONE}, {TWO}]}}',
        f"```json\n{ONE}\n```\nand\n```json\n{TWO}\n```",
        f"{ONE}\n{TWO}",
        f'{{"qa_1": {ONE}, "qa_2": {TWO}}}',
        f'{{"1": {{"qa": {ONE}}}, "2": {{"qa": {TWO}}}}}',
        f"[[{ONE}], [{TWO}]]",
        f'{{"questions": [{ONE}, {TWO}, {ONE[:60]}',
    ],
)
def test_two_questions_are_both_read(reply: str) -> None:
    assert read(reply) == [FOX, OUT]


@pytest.mark.parametrize(
    "choices",
    [
        BY_LETTER,
        dict(reversed(BY_LETTER.items())),
        {f"({letter})": text for letter, text in BY_LETTER.items()},
        {f"option_{letter.lower()}": text for letter, text in BY_LETTER.items()},
        dict(zip("1234", QA["choices"], strict=True)),
        [{letter: text} for letter, text in BY_LETTER.items()],
        [{"letter": letter, "text": text} for letter, text in BY_LETTER.items()],
        [{"text": text} for text in QA["choices"]],
        " ".join(LETTERED),
        "\n".join(LETTERED),
        LETTERED,
    ],
)
def test_choices_in_other_forms(choices: Any) -> None:
    assert qa(choices=choices) == [FOX]
    assert qa(choices=..., options=choices) == [FOX]


def test_choices_beside_the_question() -> None:
    assert qa(choices=..., **BY_LETTER) == [FOX]


@pytest.mark.parametrize(
    ("choices", "texts"),
    [
        ([1, 2, 3, 40], ["1", "2", "3", "40"]),
        ([1.50, -2, 1e3, 0], ["1.5", "-2", "1000.0", "0"]),
        ({"A": 3, "B": 4, "C": 5, "D": 6}, ["3", "4", "5", "6"]),
        (["none", 1, 2, 3], ["none", "1", "2", "3"]),
    ],
)
def test_numbers_as_choices(choices: Any, texts: list[str]) -> None:
    (found,) = qa(choices=choices)
    assert (found.choices, found.correct_choice_idx) == (texts, 1)


def test_a_number_stays_as_it_was_written() -> None:
    (found,) = read(ONE.replace('"a dog"', "1.50").replace('"a fox"', "1E3").replace('"a cow"', "9" * 5000))
    assert found.choices == ["1.50", "1E3", "9" * 5000, "a pig"]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("a fox", 1),
        ("A fox.", 1),
        ("fox", 1),
        ("(A) a dog", 0),
        ("(A) dog", 0),
        ("a", 0),
        (0, 0),
        ("0", 0),
        (4, 3),
        (["B"], 1),
        (["a fox"], 1),
        ({"letter": "B", "text": "a fox"}, 1),
        ({"B": "a fox"}, 1),
        ("Option C", 2),
        ("The correct answer is (D) a pig", 3),
    ],
)
def test_answers_in_other_forms(answer: Any, right: int) -> None:
    assert [found.correct_choice_idx for found in qa(answer=answer)] == [right]
    assert [found.correct_choice_idx for found in qa(answer=..., correct_answer=answer)] == [right]


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"choices": ["1", "2", "3", "4"], "answer": "3"}, 2),
        ({"choices": [2, 3, 4, 50], "answer": 50}, 3),
        ({"choices": [20, 30, 40, 50], "answer": "30"}, 1),
        ({"choices": {"1": "dog", "2": "fox", "3": "cow", "4": "pig"}, "answer": 2}, 1),
        ({"choices": {"0": "dog", "1": "fox", "2": "cow", "3": "pig"}, "answer": "2"}, 2),
        ({"answer": "a fox", "answer_index": 1}, 1),
        ({"answer": "a fox", "answer_index": 2}, 1),
        ({"answer": "C", "correct_answer": "a cow"}, 2),
        ({"answer": ..., "correct_choice_idx": 1}, 1),
        ({"answer": ..., "answer_index": 1, "correct_choice_idx": 1}, 1),
        ({"answer": ..., "answer_index": 0}, 0),
    ],
)
def test_answers_as_numbers_and_in_several_fields(changes: dict[str, Any], right: int) -> None:
    assert [found.correct_choice_idx for found in qa(**changes)] == [right]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": 1}, Reason.NO_ANSWER),
        ({"answer": "2"}, Reason.NO_ANSWER),
        ({"answer": 3}, Reason.NO_ANSWER),
        ({"answer": 5}, Reason.NO_ANSWER),
        ({"answer": -1}, Reason.NO_ANSWER),
        ({"answer": True}, Reason.NO_ANSWER),
        ({"answer": ["A", "B"]}, Reason.NO_ANSWER),
        ({"choices": [2, 3, 4, 5], "answer": 3}, Reason.NO_ANSWER),
        ({"choices": [1, 2, 3, 5], "answer": 4}, Reason.NO_ANSWER),
        ({"choices": [1, 2, 3, 5], "answer": 0}, Reason.NO_ANSWER),
        ({"answer": "a fox", "answer_index": 3}, Reason.NO_ANSWER),
        ({"answer": "B", "correct_answer": "C"}, Reason.NO_ANSWER),
        ({"answer": "B", "correct_answer": "C", "answer_index": 1}, Reason.NO_ANSWER),
        ({"choices": {"1": "2", "2": "3", "3": "4", "4": "5"}, "answer": "2"}, Reason.NO_ANSWER),
        ({"answer": "B", "correct_answer": "a cow"}, Reason.DISAGREE),
        ({"answer": {"letter": "B", "text": "a cow"}}, Reason.DISAGREE),
        ({"answer": "(A) a fox"}, Reason.DISAGREE),
        ({"choices": {"A": "dog", "B": "fox", "D": "cow", "E": "pig"}}, Reason.NO_CHOICES),
        ({"choices": {"A": "dog", "(A)": "fox", "B": "cow", "C": "pig"}}, Reason.NO_CHOICES),
        ({"choices": {"A": "dog", "B": "fox", "C": "cow"}}, Reason.NOT_FOUR),
        ({"choices": {"dog": 1, "fox": 2, "cow": 3, "pig": 4}}, Reason.NO_CHOICES),
        ({"options": ["b", "c", "d", "e"]}, Reason.NO_CHOICES),
        ({"choices": "dog, fox, cow, pig"}, Reason.NO_CHOICES),
        ({"choices": [["dog"], ["fox"], ["cow"], ["pig"]]}, Reason.EMPTY_CHOICE),
        ({"choices": [None, "fox", "cow", "pig"]}, Reason.EMPTY_CHOICE),
        ({"choices": [{"text": "dog", "label": "A"}, "fox", "cow", "pig"]}, Reason.NO_CHOICES),
    ],
)
def test_what_can_be_read_in_two_ways_is_dropped(changes: dict[str, Any], reason: Reason) -> None:
    assert qa(**changes) is reason


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (f'{{"draft": {ONE}, "final": {TWO}}}', Reason.REPEATED_PART),
        (f'{{"example": {ONE}, "qa": {TWO}}}', Reason.REPEATED_PART),
        (f'{{"questions": [{ONE}, {json.dumps(QA | {"answer": "C"})}]}}', Reason.CONTRADICTS),
        (ONE.replace('"answer"', '"answer": "A", "answer"'), Reason.NO_ANSWER),
        (ONE.replace('"question"', '"question": "Who?", "question"'), Reason.NO_QUESTION),
        ('{"qa": {"skip": true, "reason": "dark"}}', Reason.SKIPPED),
        (ONE[:60], Reason.NO_QUESTION),
        ('{"a":' * 9 + ONE + "}" * 9, Reason.NO_QUESTION),
        ('{"question": "' + "x" * 30_000 + '"', Reason.TOO_LONG),
    ],
)
def test_replies_of_which_no_single_reading_is_possible(reply: str, reason: Reason) -> None:
    assert read(reply) is reason


def test_the_rationale_under_other_names() -> None:
    for name in ("rationale", "reasoning", "rationales", "Explanation"):
        assert qa(explanation=..., **{name: "It runs."}) == [FOX]
    assert qa(explanation=["It", "runs."]) == [FOX]
    assert qa(explanation=..., skip=..., reason="It runs.") == [FOX]
    assert qa(explanation=..., reason="It runs.") == [Qa(**{**FOX_FIELDS, "rationales": []})]


FOX_FIELDS: dict[str, Any] = {"question": FOX.question, "choices": FOX.choices, "correct_choice_idx": 1}


def test_json_in_the_text_of_another_programs_row() -> None:
    row = Result(image_id=1, raw_instructions=f"```json\n{ONE}\n```", question_type="ocr")
    assert parse_result(row) == [FOX]


def test_a_number_is_an_answer_in_words_too() -> None:
    (found,) = parse_reply("Question: How many?\nChoices: (A) 2 (B) 3 (C) 4 (D) 5\nAnswer: 4")
    assert found.correct_choice_idx == 2


@pytest.mark.parametrize("alone", ["(", "()", "( )", "(]", "(see above)"])
@pytest.mark.parametrize(
    "number", [{}, {"answer_index": 0}, {"correct_choice_idx": 0}, {"correct_answer": 1}]
)
def test_a_bracket_without_a_letter_is_no_answer(alone: str, number: dict[str, int]) -> None:
    assert not isinstance(qa(answer=alone, **number), list)
    (fields,) = qa_fields(json.dumps(QA | {"answer": alone, "id": 1} | number))
    assert fields["answer"] == ("" if number else alone)


@pytest.mark.parametrize("several", ["AB", "BC", "ABCD"])
def test_several_letters_are_no_choice_in_the_text(several: str) -> None:
    assert f"Answer: {several}\n" in v1_text(json.dumps(QA | {"answer": several}))
    assert not isinstance(qa(answer=several), list)
