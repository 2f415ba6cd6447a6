"""The cards of a gallery as data (all steps): one row of a step's file each, shown as HTML or by a page's script.

`templates/gallery.js` builds the same elements from the same data; what changes here changes there.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from dataengine_lib.core.records import LETTERS
from dataengine_lib.report.names import cut_to_width
from dataengine_lib.report.tables import escaped

MAX_CARD_TEXT = 6000  # of one text on a card
_KIND_WIDTH = 120  # columns of a type's name on a card


class Option(msgspec.Struct, array_like=True, omit_defaults=True):
    """A choice or an answer: its text, the mark behind it (`✓ right`), and its look: right, wrong or empty."""

    text: str
    mark: str = ""
    look: str = ""


class Picture(msgspec.Struct, array_like=True, omit_defaults=True):
    """An image on a card: its place in the gallery's list of images, its alternative text and caption."""

    image: int
    alt: str
    caption: str = ""


class Card(msgspec.Struct, omit_defaults=True):
    """One case; parts that are empty are not shown.

    `id` is what `dataengine trace` takes. `values` has one word for each of the gallery's filters, `figures` one number
    for each of its sort orders, None where it is not known.
    """

    id: str = ""
    fault: str = ""  # why it was dropped
    picture: Picture | None = None
    pair: list[Picture] = []  # images side by side, with captions
    near: list[Picture] = []  # a strip of smaller images
    question_type: str = ""
    question: str = ""
    options: list[Option] = []
    notes: list[str] = []
    text: str = ""  # as a model wrote it
    folded: list[int] = []  # lines of a text that is folded, by their place in the gallery's list of lines
    values: list[str] = []
    figures: list[float | None] = []


def alt_text(question: str) -> str:
    """The alternative text of a question's image."""
    return f"Image of the question: {question}"


def kind_words(question_type: str) -> str:
    """A question type as a card shows it: `image_scene` is `image scene`."""
    return question_type.replace("_", " ")


def option_texts(choices: Sequence[str], marks: dict[int, str]) -> list[Option]:
    """The choices with their letters; `marks` by place begin with ✓ or ✗, so that nothing hangs on colour alone."""
    shown = []
    for number, choice in enumerate(choices):
        mark = marks.get(number, "")
        look = "right" if mark.startswith("✓") else "wrong" if mark else ""
        shown.append(Option(f"({LETTERS[number % len(LETTERS)]}) {choice}", mark, look))
    return shown


def card_html(
    card: Card, picture_html: Callable[[Picture], str], folded: str, lines: Sequence[str], run: str = ""
) -> str:
    """The card as an element; `picture_html` makes an image's.

    `folded` names the text that is folded, `run` is the folder in the command that traces the card.
    """
    parts = [f'<p><b class="wrong">✗ {escaped(card.fault)}</b></p>' if card.fault else ""]
    if card.picture:
        parts.append(picture_html(card.picture))
    if card.pair:
        parts.append(f'<div class="pair">{_figures(card.pair, picture_html)}</div>')
    if card.near:
        parts.append('<p class="why">Most similar in the pool, with cosine:</p>')
        parts.append(f'<div class="strip">{_figures(card.near, picture_html)}</div>')
    parts.append(_kind(card.question_type))
    if card.question:
        parts.append(f'<p class="question">{escaped(card.question)}</p>')
    if card.options:
        parts.append(options_html(card.options))
    parts += [f'<p class="why">{escaped(note)}</p>' for note in card.notes]
    if card.text:
        parts.append(f'<pre tabindex="0">{escaped(card.text)}</pre>')
    if card.folded:
        text = "\n".join(lines[place] for place in card.folded if 0 <= place < len(lines))
        summary = f"<summary>{escaped(folded)}</summary>"
        parts.append(f'<details>{summary}<pre tabindex="0">{escaped(text)}</pre></details>')
    if card.id:
        parts.append(f'<p class="trace"><code>{escaped(trace_command(card.id, run))}</code></p>')
    return f'<article class="card">{"".join(parts)}</article>'


def trace_command(name: str, run: str) -> str:
    """What shows where a card comes from, as one types it at a terminal."""
    return f"dataengine trace {shlex.quote(name)}{f' --run {shlex.quote(run)}' if run else ''}"


def options_html(shown: Iterable[Option]) -> str:
    """Choices or answers as a list."""
    items = []
    for one in shown:
        look = f' class="{one.look}"' if one.look in ("right", "wrong") else ""
        mark = f' <b class="mark">{escaped(one.mark)}</b>' if one.mark else ""
        items.append(f"<li{look}>{escaped(one.text)}{mark}</li>")
    return f'<ul class="options">{"".join(items)}</ul>'


def cards_html(parts: Iterable[str]) -> str:
    """Cards in a grid, as many to a row as the page is wide."""
    inner = "".join(parts)
    return f'<div class="cards">{inner}</div>' if inner else '<p class="empty">Nothing to show.</p>'


def in_turn(groups: Iterable[Sequence[Any]]) -> list[Any]:
    """The first of every group, then the second of every group, and so on."""
    return [row for turn in zip_longest(*groups) for row in turn if row is not None]


def _figures(pictures: Iterable[Picture], picture_html: Callable[[Picture], str]) -> str:
    return "".join(
        f"<figure>{picture_html(one)}<figcaption>{escaped(one.caption)}</figcaption></figure>"
        for one in pictures
    )


def _kind(question_type: str) -> str:
    if not question_type:
        return ""
    name = kind_words(question_type)
    short = cut_to_width(name, _KIND_WIDTH)
    whole = "" if short == name else f' title="{escaped(name[:MAX_CARD_TEXT])}"'
    return f'<span class="kind"{whole}>{escaped(short)}</span>'
