"""Levels of sameness: what each one ignores, and that a looser level joins what a stricter one joins."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataengine_lib.core.text import (
    answer_key,
    caseless,
    caseless_composed,
    choice_key,
    key_words,
    nearest_name,
    one_line,
    underscored,
    words_key,
)

ACCENT = "cafe\u0301"  # an e and a combining accent


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (one_line, " A  dog\n\tis\u00a0here ", "A dog is here"),
        (caseless, " A  DOG\nStraße ", "a dog strasse"),
        (caseless, ACCENT, ACCENT),
        (caseless_composed, f"The {ACCENT.upper()}", "the café"),
        (answer_key, ' "A dog". ', "a dog"),
        (answer_key, "«-5»!", "-5"),
        (answer_key, "C++", "c++"),
        (answer_key, "...", ""),
        (choice_key, "**The dog.**", "dog"),
        (choice_key, "a`dog`", "a`dog"),
        (choice_key, "An", "an"),
        (choice_key, "「犬」。", "犬"),
        (words_key, '"Is it, (a) DOG?"', "is it a dog"),
        (words_key, "犬は？", "犬 は"),
        (words_key, "+ ?", "+"),
        (words_key, "?", "?"),
        (words_key, "ｄｏｇ", "dog"),
        (underscored, " Knowledge-based  reasoning! ", "knowledge_based_reasoning"),
        (underscored, "identity_reasoning", "identity_reasoning"),
    ],
)
def test_what_each_level_ignores(key, text: str, expected: str) -> None:
    assert key(text) == expected


@given(st.text())
def test_a_looser_level_joins_what_a_stricter_one_joins(text: str) -> None:
    assert caseless(one_line(text)) == caseless(text)
    for key in (caseless_composed, answer_key, choice_key, words_key, underscored):
        assert key(one_line(text)) == key(text)
    assert caseless_composed(unicodedata.normalize("NFD", text)) == caseless_composed(text)
    assert " ".join(key_words(text)) == words_key(text)


def test_folding_case_changes_no_white_space() -> None:
    """So that it makes no difference which of the two is done first."""
    for code in range(sys.maxunicode + 1):
        folded = chr(code).casefold()
        assert folded == chr(code) if chr(code).isspace() else not any(map(str.isspace, folded))


def test_the_nearest_name_is_found_however_different() -> None:
    assert nearest_name("maxnun", ["seed", "maxnum", "weight"]) == "maxnum"
    assert nearest_name("zzz", {"seed": 1}) == "seed"
