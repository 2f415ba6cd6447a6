"""A gallery in an executed notebook (all steps): its first cards as HTML, and all of them as data for the page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dataengine_lib.report.galleries.cards import (
    MAX_CARD_TEXT,
    Card,
    Option,
    Picture,
    card_html,
    cards_html,
)
from dataengine_lib.report.galleries.pictures import Pictures, Thumbnail
from dataengine_lib.report.tables import Html, displayed, escaped

GALLERY_MIME = "application/vnd.dataengine.gallery+json"
"""Of the part of a notebook's output that holds a whole gallery, as text, which is JSON (`GalleryData`)."""

FIRST_CARDS = 24
"""Cards on one page of a gallery; those that are shown without a script."""

MOST_CARDS = 8_000
"""Cards of one gallery; more would make a page that no browser opens quickly."""

_MOST_TEXT = 5_000_000  # characters of one kind of text on all cards together
_LEAST_TEXT = 200  # characters of a text that are always kept


class GalleryData(msgspec.Struct, omit_defaults=True):
    """All cards of a gallery with what they share; `total` counts the cases, of which `cards` may be the first.

    `filters` and `orders` name what each card's `values` and `figures` are. `folded` names the text that is folded, whose
    lines are in `lines`.
    """

    total: int
    filters: list[str] = []
    orders: list[str] = []
    folded: str = ""
    lines: list[str] = []
    images: list[Thumbnail] = []
    cards: list[Card] = []


@dataclass(frozen=True)
class Gallery(Html):
    """The first cards of a gallery as HTML, and what makes all of them when a notebook displays it."""

    data: Callable[[], GalleryData]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # one text, not an object: a notebook's file would have every number of it on a line of its own
        data = self.data()
        whole = msgspec.json.encode(data).decode()
        return {
            "text/plain": f"gallery of {data.total:,} cases",
            "text/html": displayed(self.text),
            GALLERY_MIME: whole,
        }


def make_gallery(
    rows: Sequence[Any],
    card_of: Callable[[Any], Card],
    pictures: Pictures,
    *,
    filters: Sequence[str] = (),
    orders: Sequence[str] = (),
    folded: str = "",
    folded_text: Callable[[Any], str] = lambda row: "",
    first: int = FIRST_CARDS,
) -> Gallery:
    """A gallery of `rows`, in their order; `card_of` makes a card, with images from `pictures`.

    `folded_text` is a long text that many cards share most lines of; `first` cards are HTML.
    """
    limit = max(_LEAST_TEXT, min(MAX_CARD_TEXT, _MOST_TEXT // max(1, len(rows))))

    def data(shown: Sequence[Any]) -> GalleryData:
        lines: dict[str, int] = {}
        cards = []
        for row in shown:
            card = cut_card(card_of(row), limit)
            text = folded_text(row)[: 4 * MAX_CARD_TEXT]
            card.folded = [lines.setdefault(line, len(lines)) for line in (text.split("\n") if text else ())]
            cards.append(card)
        return GalleryData(len(rows), list(filters), list(orders), folded, list(lines), [], cards)

    def whole() -> GalleryData:
        made = data(rows[:MOST_CARDS])
        made.images = pictures.thumbnails()
        return made

    start = data(rows[:first])
    shown = (
        card_html(card, lambda one: pictures.jpeg_html(one.image, one.alt), folded, start.lines)
        for card in start.cards
    )
    return Gallery(_count(len(start.cards), len(rows)) + cards_html(shown), whole)


def _count(shown: int, total: int) -> str:
    if total < 2:
        return ""
    more = "" if shown == total else "; the report of this step has all of them, to search and filter"
    return f'<p class="gallery-count">{shown:,} of {total:,} shown{escaped(more)}</p>'


def cut_card(card: Card, limit: int) -> Card:
    """The card, its texts cut to `limit` characters."""

    def cut(text: str) -> str:
        return text if len(text) <= limit else f"{text[:limit]} …"

    card.question, card.text, card.fault = cut(card.question), cut(card.text), cut(card.fault)
    card.notes = [cut(note) for note in card.notes]
    card.options = [Option(cut(one.text), one.mark, one.look) for one in card.options]
    for picture in _pictures_of(card):
        picture.alt = cut(picture.alt)
    return card


def _pictures_of(card: Card) -> Iterable[Picture]:
    return [*([card.picture] if card.picture else []), *card.pair, *card.near]
