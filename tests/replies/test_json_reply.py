"""JSON objects in replies, and the answer that one holds; hostile JSON is passed over, never raised."""

from typing import Any

import pytest

from dataengine_lib.replies.json_reply import json_values, structured_answer

DEEP = '{"answer": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"answer": "B"}', [{"answer": "B"}]),
        (
            'First {"id": 1}, then ```{"types": [{"id": 2}]}``` and {no JSON}.',
            [{"id": "1"}, {"types": [{"id": "2"}]}],
        ),
        ('Sure:\n```json\n{"answer": "B"}\n```', [{"answer": "B"}]),
        ('{"types": [{"id": 1}, {"id": 2}, {"id"', [{"id": "1"}, {"id": "2"}]),
        ("{not json} B", []),
        ('<think>{"answer": "A"}?</think>["B", 1.50]', [["B", "1.50"]]),
        ('{"a": 1, "a": 1, "b": 1, "b": 2}', [{"a": "1", "b": None}]),
        ("7", ["7"]),
    ],
)
def test_json_in_a_reply(text: str, found: list[Any]) -> None:
    assert json_values(text) == found


@pytest.mark.parametrize(
    "hostile", [DEEP, '{"answer": ' + "9" * 10_000 + "}", "{" * 100_000, '{"answer": "\0"}']
)
def test_an_object_that_cannot_be_read_is_passed_over(hostile: str) -> None:
    assert json_values(hostile + ' {"answer": "B"}')[-1:] == [{"answer": "B"}]
    assert structured_answer(hostile, ["dog", "cat"]) is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"answer": "B"}', "B"),
        ('I first thought {"answer": "A"}, but {"answer": "B"}', "B"),
        ('{"answer": 1}', None),
        ('{"answer": 0}', "A"),
        ('{"answer": 2}', "B"),
        ('{"answer": ["B"]}', "B"),
        ('```json\n{"result": {"answer": "cat"}}\n```', "cat"),
        ('{"answer": true}', None),
        ('{"answer": {"letter": "B", "text": "cat"}}', "B"),
        ('{"answer": {"text": 7}}', None),
        ('{"answer": "B", "why": {"answer": "A", "wrong": true}}', "B"),
        ('{"thoughts": {"first": "A"}, "result": [{"answer": "B"}]}', "B"),
        ('{"answer": "A", "answer": "B"}', None),
        ('{"answer": "cat\nor so"}', "cat\nor so"),
        ('{"letter": "B"}', None),
        ("B", None),
    ],
)
def test_the_last_answer_counts(reply: str, answer: str | None) -> None:
    assert structured_answer(reply, ["dog", "cat"]) == answer


def test_a_letter_that_is_another_options_text_is_returned_with_its_own_option() -> None:
    assert structured_answer('{"answer": "A"}', ["B", "A"]) == "(A) B"


def test_a_number_is_an_option_where_it_can_be_one_only() -> None:
    assert structured_answer('{"answer": 40}', ["30", "40", "50"]) == "B"
    assert structured_answer('{"answer": 2}', ["1", "2", "3"]) is None
    assert structured_answer('{"answer": 0}', ["1", "2", "3"]) is None
