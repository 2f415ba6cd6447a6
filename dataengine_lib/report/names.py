"""Names from data files as charts and tables show them (all steps): on one line, of bounded width and height."""

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

from dataengine_lib.core.text import one_line

MAX_WIDTH = 44  # columns of a name on an axis or in a table; a Chinese character takes two
MOST_ROWS = 60  # of a chart: more cannot be read, and 10,000 take minutes to draw
_MOST_MARKS = 3  # accents above or below one letter; more of them run into the rows beside
_MOST_LETTERS = 100  # characters that are looked at, for each column
# Control characters that set the direction of the text behind them, past the end of a name (RLM and LRM only mark a
# place and stay). Source: Unicode Standard Annex 9.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS = ("Mn", "Me")  # Unicode categories of what stands above, below or around the letter before

_Row = TypeVar("_Row")


def without_turning(text: str) -> str:
    """The text without characters that turn the direction of the text behind it."""
    return _TURNING.sub("", text)


def cut_to_width(text: str, most: int = MAX_WIDTH) -> str:
    """The text, cut and ended by … where it takes more than `most` columns, with at most three marks to a letter."""
    shown: list[str] = []
    width = marks = 0
    for letter in text[: _MOST_LETTERS * most]:
        mark = unicodedata.category(letter) in _MARKS
        marks = marks + 1 if mark else 0
        if marks > _MOST_MARKS:
            continue
        columns = 0 if mark else _columns(letter)
        if width + columns > most:
            # one column is for the sign of omission
            while shown and width > most - 1:
                last = shown.pop()
                width -= 0 if unicodedata.category(last) in _MARKS else _columns(last)
            return "".join(shown).rstrip() + "…"
        shown.append(letter)
        width += columns
    # many marks and few letters: what stands behind was not looked at
    return "".join(shown) + ("…" if len(text) > _MOST_LETTERS * most else "")


def _columns(letter: str) -> int:
    # beyond U+FFFF: pictures, and letters that charts' fonts lack, for which a wide box is reserved
    return 2 if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0xFFFF else 1


def plain_name(name: str) -> str:
    """The name of a type or reason as people read it: `image_scene` is `image scene`; one line, cut when long."""
    short = cut_to_width(one_line(without_turning(name).replace("_", " ")))
    # a left-to-right mark, so that a number behind an Arabic or Hebrew name stays behind it
    rightwards = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in short)
    return f"{short}\u200e" if rightwards else short


def short_label(name: str) -> str:
    """A name as a label of an axis."""
    # matplotlib reads $…$ as a formula, and names come from data files
    return plain_name(name).replace("$", r"\$")


def top_rows(rows: Sequence[_Row], most: int = MOST_ROWS) -> tuple[list[_Row], str]:
    """The last `most` rows, which stand at the top of a chart, and a sentence that says so; empty if all are drawn."""
    note = f" Of {len(rows):,} rows the first {most} are drawn." if len(rows) > most else ""
    return list(rows[-most:]), note
