"""Number words and digits as numbers."""

import pytest

from dataengine_lib.core.number_words import number_of


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("zero", 0),
        ("one", 1),
        ("twelve", 12),
        ("7", 7),
        ("007", 7),
        ("123456789", 123_456_789),
        ("1234567890", None),
        ("9" * 5000, None),
        ("thirteen", None),
        ("Two", None),
        ("several", None),
        ("", None),
        ("-1", None),
    ],
)
def test_a_word_is_a_number_or_none(word: str, number: int | None) -> None:
    assert number_of(word) == number
