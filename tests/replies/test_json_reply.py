"""JSON objects in replies, and the answer that one holds; hostile JSON is passed over, never raised."""

import pytest

from dataengine_lib.replies.json_reply import objects_in, structured_answer

DEEP = '{"answer": ' + "[" * 100_000 + "]" * 100_000 + "}"


def test_the_innermost_objects_are_found_between_words() -> None:
    text = 'First {"id": 1}, then ```{"types": [{"id": 2}]}``` and {no JSON}.'
    assert objects_in(text) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    "hostile", [DEEP, '{"answer": ' + "9" * 10_000 + "}", "{" * 100_000, '{"answer": "\0"}']
)
def test_an_object_that_cannot_be_read_is_passed_over(hostile: str) -> None:
    assert objects_in(hostile + ' {"answer": "B"}') == [{"answer": "B"}]
    assert structured_answer(hostile, ["dog", "cat"]) is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"answer": "B"}', "B"),
        ('I first thought {"answer": "A"}, but {"answer": "B"}', "B"),
        ('{"answer": 1}', None),
        ('{"letter": "B"}', None),
        ("B", None),
    ],
)
def test_the_last_answer_counts(reply: str, answer: str | None) -> None:
    assert structured_answer(reply, ["dog", "cat"]) == answer


def test_a_letter_that_is_another_options_text_is_returned_with_its_own_option() -> None:
    assert structured_answer('{"answer": "A"}', ["B", "A"]) == "(A) B"
