"""Step 3, annotations teacher: what an image's boxes and captions prove, and what they leave open."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.cooccurrence import Cooccurrence
from dataengine_lib.annotations.geometry import Rectangle, area, enclosing_box, shorter_side
from dataengine_lib.annotations.vocabulary import (
    ALWAYS_PLURAL,
    EASILY_MISSED,
    IN_HEAPS,
    UNCOUNTABLE,
    WORDS_OF_KIND,
    mention_pattern,
    plural,
    with_related_words,
    with_synonyms,
)
from dataengine_lib.core.number_words import number_of
from dataengine_lib.images.pool import PoolImage

AGREEING_CAPTIONS = 2  # captions that must say the same, so that it counts as true
MAX_COUNT = 6  # of more things, annotators miss some, and people no longer count them at a glance
VISIBLE_SHARE = 0.01  # share of the image; things that cover less are too small to ask about
_SMALLEST_SHARE = 0.004  # share of the image; beside a smaller thing, annotators may have missed others
SMALLEST_SIDE = 0.04  # share of the image's width or height; narrower boxes are too small to ask about
# Words with which a caption leaves the number of things open: "a row of boats", "several dogs and others".
_VAGUE_AMOUNT = re.compile(
    r"\b(?:several|many|group|herd|flock|fleet|lots?|crowd|crowded|bunch|bunches|row|rows|stack|stacks|pile|piles|some|various|multiple|"
    r"dozens?|numerous|few|full|filled|assortment|collection|array|line|lined|other|others|another|pairs?|couples?|family)\b"
)
# Things seen in a mirror have boxes of their own: "a cat looks at its reflection".
_MIRROR = re.compile(r"\b(?:mirrors?|reflect(?:ion|ions|ed|ing|s)?)\b")
# Words of a caption for more than one person.
_SEVERAL_PEOPLE = frozenset(
    ["people", "men", "women", "children", "couple", "crowd", "they", "their", "players", "team", "family"]
)


class LocatedThing(NamedTuple):
    """One thing, or all things of one name, with the words that a question uses for it and the box around it."""

    words: str
    is_plural: bool
    box: Rectangle


@dataclass(frozen=True)
class ImageFacts:
    """What is known about one image of a COCO folder, where every thing of the dataset's categories has a box.

    `boxes` by category; `crowds`: categories with a box around many; `captions` in lower case; `kinds` maps every
    category of the dataset to its supercategory; `cooccurrence` draws wrong answers.
    """

    boxes: dict[str, list[Rectangle]]
    crowds: frozenset[str]
    captions: tuple[str, ...]
    kinds: dict[str, str]
    cooccurrence: Cooccurrence
    boxes_are_complete = True  # a category without a box is not in the image

    @classmethod
    def of(
        cls, image: PoolImage, kinds: dict[str, str], cooccurrence: Cooccurrence = Cooccurrence.EMPTY
    ) -> "ImageFacts":
        """The facts of an image; `kinds` are those of the whole dataset."""
        boxes: dict[str, list[Rectangle]] = {}
        for box in image.boxes:
            boxes.setdefault(box.name, []).append(box.xyxy)
        captions = tuple(caption.casefold() for caption in image.captions)
        return cls(dict(sorted(boxes.items())), frozenset(image.crowds), captions, kinds, cooccurrence)

    def single_things(self) -> dict[str, Rectangle]:
        """Things that are there once: one box, no crowd, and no caption with the plural."""
        return {
            name: boxes[0]
            for name, boxes in self.boxes.items()
            if len(boxes) == 1
            and name not in self.crowds
            # large enough for a question, and so large that annotators would have boxed others of its kind, too
            and shorter_side(boxes[0]) >= SMALLEST_SIDE
            and area(boxes[0]) >= (VISIBLE_SHARE if name in EASILY_MISSED else _SMALLEST_SHARE)
            and not self._caption_has_plural(name)
            # a box of bananas may hold a bunch, unless a caption says "a banana"
            and (name not in IN_HEAPS or any(map(self.mentioned_exactly, with_synonyms(name))))
            and self._named_if_food(name)
        }

    def counts(self) -> dict[str, int]:
        """How many there are of each category that can be counted, unless the captions contradict the boxes."""
        return {
            name: len(boxes)
            for name, boxes in self.boxes.items()
            if len(boxes) <= MAX_COUNT
            and name not in self.crowds
            # with smaller boxes, more of them may have been missed
            and min(map(shorter_side, boxes)) >= SMALLEST_SIDE / 2
            and min(map(area, boxes))
            >= (VISIBLE_SHARE if name in EASILY_MISSED and len(boxes) == 1 else _SMALLEST_SHARE)
            and name not in UNCOUNTABLE | IN_HEAPS
            # several boxes may be around one thing; beside one box there may be more
            and (len(boxes) == 1 or not self._may_be_one(name))
            and self._named_if_food(name)
            and (len(boxes) > 1 or not self._caption_has_plural(name))
            and self._captions_allow(name, len(boxes))
        }

    def located_things(self) -> list[LocatedThing]:
        """Single things, and all things of one category together if their number is known."""
        groups = {name: self.boxes[name] for name, n in self.counts().items() if n > 1}
        return [
            *(LocatedThing(name, name in ALWAYS_PLURAL, box) for name, box in self.single_things().items()),
            *(
                LocatedThing(plural(name), True, enclosing_box(boxes))
                for name, boxes in groups.items()
                if name not in ALWAYS_PLURAL and min(map(shorter_side, boxes)) >= SMALLEST_SIDE
            ),
        ]

    def visible_things(self) -> list[str]:
        """Categories that are large enough to be seen at a glance."""
        return [name for name in self.boxes if self.area(name) >= VISIBLE_SHARE and self._named_if_food(name)]

    def absent_things(self) -> list[str]:
        """Categories that are certainly not in the image: no box, no crowd, and no word for them in a caption.

        A whole supercategory is left out if one of its categories has a box or its words are in a caption: a car may
        pass for a truck.
        """
        # "": things of an unknown supercategory are never called absent
        possible_kinds = {self.kinds.get(name, "") for name in (*self.boxes, *self.crowds)} | {""}
        possible_kinds |= {
            kind for name, kind in self.kinds.items() if self.mentioned(with_related_words(name))
        }
        possible_kinds |= {
            kind for kind, words in WORDS_OF_KIND.items() if self.mentioned(tuple(words.split()))
        }
        return [
            name
            for name, kind in sorted(self.kinds.items())
            if kind not in possible_kinds and name not in EASILY_MISSED
        ]

    def mentioned(self, phrases: tuple[str, ...]) -> bool:
        """True if a caption has one of the phrases, singular or plural."""
        return any(mention_pattern(phrases).search(caption) for caption in self.captions)

    def mentioned_exactly(self, phrase: str) -> bool:
        """True if a caption has the phrase in exactly this form."""
        return any(re.search(rf"\b{re.escape(phrase)}\b", caption) for caption in self.captions)

    def draw_plausible(self, rng: Random, names: Iterable[str], n: int = 3) -> tuple[str, ...]:
        """`n` of the names; more often those that the pool shows together with the things of this image."""
        return self.cooccurrence.draw(rng, names, (*self.visible_things(), *self.boxes, *self.crowds), n)

    def captions_about(self, name: str) -> tuple[str, ...]:
        """The captions that may be about this thing or about what is on it."""
        return self.captions

    def area(self, name: str) -> float:
        """Share of the image inside the largest box of that category."""
        return max(area(box) for box in self.boxes[name])

    def _may_be_one(self, name: str) -> bool:
        """True if captions mention only one where there are several boxes, or a mirror, which shows things twice."""
        words = "|".join(map(re.escape, with_synonyms(name)))
        # "a dog", "one brown dog"
        one = re.compile(rf"\b(?:an?|one) (?:[\w-]+ )?(?:{words})\b")
        captions_with_one = sum(bool(one.search(caption)) for caption in self.captions)
        has_plural = any(self.mentioned_exactly(plural(word)) for word in with_synonyms(name))
        return (captions_with_one > 1 and not has_plural) or any(map(_MIRROR.search, self.captions))

    def _named_if_food(self, name: str) -> bool:
        """False for food that no caption names: its box is often around a dish that looks similar, as eggs for donuts."""
        return self.kinds.get(name) != "food" or self.mentioned(with_related_words(name))

    def _caption_has_plural(self, name: str) -> bool:
        """True if a caption has the plural of the thing, or for a person any word for several people."""
        if name in ALWAYS_PLURAL:
            return False
        plurals = {plural(form) for form in with_related_words(name)} - set(with_related_words(name))
        if name == "person":
            plurals |= _SEVERAL_PEOPLE
        else:
            plurals -= {"people"}
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(plurals)))})\b")
        return any(pattern.search(caption) for caption in self.captions)

    def _captions_allow(self, name: str, count: int) -> bool:
        """False if a caption that names the thing gives another number, or if all are too vague.

        If a caption is vague ("several dogs"), two captions must give exactly this number.
        """
        words = mention_pattern(with_related_words(name))
        vague = exact = 0
        for caption in self.captions:
            if not words.search(caption):
                continue
            # all numbers of the caption, whatever they count ("two dogs"); 0 and 1 are too common to contradict a count
            numbers = {number_of(word) for word in re.findall(r"\w{1,9}", caption)} - {None, 0, 1}
            if numbers - {count}:
                return False
            vague += bool(_VAGUE_AMOUNT.search(caption))
            exact += count in numbers
        return not vague or exact > 1
