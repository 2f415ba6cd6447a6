"""Tests of reading which option a written answer names, and of never guessing one."""

import pytest

from dataengine_lib.data.written_choice import written_choice

CHOICES = ["dog", "cat", "red car", "car"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("b.", 1),
        ("(B)", 1),
        (" (B) cat", 1),
        ("B) cat.", 1),
        ("B: cat", 1),
        ("**B**", 1),
        ("Answer: B", 1),
        ("The answer is (B).", 1),
        ("The correct option is B", 1),
        ("cat", 1),
        ("Cat!", 1),
        ("The answer is cat.", 1),
        ("I see a cat on the sofa", 1),
        ("It shows (B), I think", 1),
        ("(B), I think", 1),
        ("(B) cat, because (A) has longer ears", 1),
        ("a red car", 2),
        ("the car", 3),
        ("D", 3),
        ("B\nBecause the ears are pointed.", 1),
    ],
)
def test_an_option_is_read(text: str, place: int) -> None:
    assert written_choice(text, CHOICES) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "E",
        "(F)",
        "A bird",
        "I cannot see the picture.",
        "cannot tell",
        "a dog or a cat",
        "(A) or (B)",
        "A) or B)",
        "(A) cat",
        "scat",
        "concatenate",
        "🤷",
    ],
)
def test_what_names_none_or_two_is_not_guessed(text: str) -> None:
    assert written_choice(text, CHOICES) is None


def test_options_that_look_like_letters_or_each_other() -> None:
    assert written_choice("A", ["B", "A"]) == 1  # its text, word for word
    assert written_choice("(A) B", ["B", "A"]) == 0
    assert written_choice("yes", ["yes", "yes"]) is None
    assert written_choice("cannot tell", ["tell", "show"]) is None
    assert written_choice("Cannot tell", ["cannot tell", "dog"]) == 0
    assert written_choice("猫", ["狗", "猫"]) == 1
