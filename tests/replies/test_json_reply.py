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
        ('{"answer": 0}', "A"),
        ('{"answer": 2}', "B"),
        ('{"answer": ["B"]}', "B"),
        ('```json\n{"result": {"answer": "cat"}}\n```', "cat"),
        ('{"answer": true}', None),
        ('{"answer": {"letter": "B"}}', None),
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
