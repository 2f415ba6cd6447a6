"""The galleries of one page (all steps): first cards as HTML, and all of them as data with the script that shows them.

The data comes from a notebook, which anyone may have written: it is JSON in an element that no browser runs, and the
script puts it into the page as text only. The page's policy allows this one script by its hash.
"""

import base64
import hashlib
import re
from functools import cache
from typing import NamedTuple

import msgspec

from dataengine_lib.report.galleries.cards import Card, Picture, card_html, cards_html
from dataengine_lib.report.galleries.gallery_data import FIRST_CARDS, GalleryData
from dataengine_lib.report.galleries.pictures import (
    NO_IMAGE_WORDS,
    Thumbnail,
    embedded_image_html,
    missing_image_html,
)
from dataengine_lib.report.names import without_turning
from dataengine_lib.report.tables import escaped, template_text

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# what would end a script element or, in old parsers, a line of it
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_LEAST_CARDS = 2  # that are worth filters and a search
_DATA_START = '<script type="application/json" id="gallery-data">'
_DATA = re.compile(rf"{re.escape(_DATA_START)}(.*?)</script>", re.DOTALL)


class _Block(msgspec.Struct, omit_defaults=True):
    """One gallery of the page, as the script reads it; its images are in the page's list."""

    id: str
    total: int
    filters: list[str]
    orders: list[str]
    folded: str
    lines: list[str]
    cards: list[Card]


class _Blocks(msgspec.Struct):
    run: str
    first: int
    images: list[Thumbnail]
    galleries: list[_Block]


class PageScript(NamedTuple):
    """A script of a page: the elements at the page's end, and the source that the page's policy allows, by its hash."""

    elements: str
    source: str

    @classmethod
    def of(cls, code: str, data: str = "") -> "PageScript":
        """The script with its `data`, which are elements that stand before it."""
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        return cls(f"{data}<script>{code}</script>", f"'sha256-{digest}'")


class PageGalleries:
    """Collects the galleries of a page; an image that several cards or galleries show is in the page once.

    `run` is the folder in the commands that trace a card, `first` the number of cards that are shown at a time.
    """

    def __init__(self, run: str = "", first: int = FIRST_CARDS) -> None:
        self._run, self._first = run, first
        self._blocks: list[_Block] = []
        self._places: dict[str, int] = {}
        self._images: list[Thumbnail] = []
        self._shown: set[int] = set()  # images that are in the page as elements

    def add(self, text: str) -> str | None:
        """The HTML of a gallery from its data as text; None for data that is not of this version."""
        try:
            return self.add_data(msgspec.json.decode(text, type=GalleryData))
        except msgspec.DecodeError:
            return None

    def add_data(self, data: GalleryData) -> str:
        """The HTML of a gallery; the places of its images become those in the page's list."""
        places = [self._place(image) for image in data.images]
        for card in data.cards:
            for picture in [*([card.picture] if card.picture else []), *card.pair, *card.near]:
                picture.image = places[picture.image] if 0 <= picture.image < len(places) else -1
        name = f"gallery-{len(self._blocks) + 1}"
        first = data.cards[: self._first]
        cards = [card_html(card, self._picture, data.folded, data.lines, self._run) for card in first]
        if not cards:
            return cards_html(cards)
        count = f"{len(first):,} of {data.total:,} shown"
        if data.total > len(data.cards):
            count += f"; this page has the first {len(data.cards):,}"
        html = cards_html(cards)
        if len(data.cards) >= _LEAST_CARDS:
            html = f'<p class="gallery-count">{count}</p>{html}'
            self._blocks.append(
                _Block(name, data.total, data.filters, data.orders, data.folded, data.lines, data.cards)
            )
            html = f'<section class="gallery" id="{name}" aria-label="{_label(data)}">{html}</section>'
        return html

    def script(self) -> PageScript | None:
        """The data and the script of all galleries; None where there is none."""
        if not self._blocks:
            return None
        images = [
            msgspec.structs.replace(image, data="") if place in self._shown else image
            for place, image in enumerate(self._images)
        ]
        blocks = _Blocks(self._run, self._first, images, self._blocks)
        return PageScript.of(_script(), f"{_DATA_START}{_data_text(blocks)}</script>\n")

    def _place(self, image: Thumbnail) -> int:
        if not _BASE64.fullmatch(image.data):
            image = Thumbnail(missing=NO_IMAGE_WORDS)
        key = image.data or image.missing
        place = self._places.setdefault(key, len(self._images))
        if place == len(self._images):
            self._images.append(image)
        elif image.boxes and not self._images[place].boxes:
            self._images[place].boxes = image.boxes
        return place

    def _picture(self, picture: Picture) -> str:
        image = self._images[picture.image] if picture.image >= 0 else Thumbnail(missing=NO_IMAGE_WORDS)
        if not image.data:
            return missing_image_html(image.missing or NO_IMAGE_WORDS)
        self._shown.add(picture.image)
        named = f' data-image="{picture.image}"'
        return embedded_image_html("webp", image.data, picture.alt, image.width, image.height, named)


def with_fewer_cards(page: str, most: int) -> str:
    """The page with the first `most` cards of each gallery; the galleries say how many there are.

    A page without galleries, or with those of another version, stays as it is.
    """
    found = _DATA.search(page)
    if found is None:
        return page
    try:
        blocks = msgspec.json.decode(found[1], type=_Blocks)
    except msgspec.DecodeError:
        return page
    used = set()
    for block in blocks.galleries:
        block.cards = block.cards[:most]
        for card in block.cards:
            pictures = [*([card.picture] if card.picture else []), *card.pair, *card.near]
            used |= {picture.image for picture in pictures}
    blocks.images = [image if place in used else Thumbnail() for place, image in enumerate(blocks.images)]
    return f"{page[: found.start(1)]}{_data_text(blocks)}{page[found.end(1) :]}"


def _data_text(blocks: _Blocks) -> str:
    """The data of a page's galleries as JSON that can stand in a script element."""
    data = without_turning(msgspec.json.encode(blocks).decode())
    for letter, code in _IN_SCRIPT.items():
        data = data.replace(letter, code)
    return data


def gallery_css() -> str:
    """The style of the galleries, besides that of all pages."""
    return template_text("gallery.css")


@cache
def _script() -> str:
    return template_text("gallery.js")


def _label(data: GalleryData) -> str:
    return escaped(f"Gallery of {data.total:,} cases")
