"""Step 3, annotations teacher: what an image's boxes and captions prove, and what they leave open."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.cooccurrence import NOBODY, Company
from dataengine_lib.annotations.geometry import Rectangle, area, enclosing_box, shorter_side
from dataengine_lib.annotations.vocabulary import (
    EASILY_MISSED,
    IN_HEAPS,
    PLURAL_FORM,
    UNCOUNTABLE,
    WORDS_OF_KIND,
    called,
    mention,
    names_of,
    plural,
)
from dataengine_lib.core.number_words import number_of
from dataengine_lib.images.pool import PoolImage

MAX_COUNT = 6  # above, annotators miss some and a glance no longer counts them
SEEN = 0.01  # a thing that covers less of the picture is too small to be asked for
_SMALLEST = 0.004  # share of the picture: where one thing is smaller, more of them may have been overlooked
SMALLEST_SIDE = 0.04  # shorter boxes are specks that a question should not ask about
_VAGUE = re.compile(
    r"\b(?:several|many|group|herd|flock|fleet|lots?|crowd|crowded|bunch|bunches|row|rows|stack|stacks|pile|piles|some|various|multiple|"
    r"dozens?|numerous|few|full|filled|assortment|collection|array|line|lined|other|others|another|pairs?|couples?|family)\b"
)

_MIRROR = re.compile(r"\b(?:mirrors?|reflect(?:ion|ions|ed|ing|s)?)\b")


class Thing(NamedTuple):
    """One thing, or all that there are of one name, as a question calls it, and the box around it."""

    words: str
    several: bool
    box: Rectangle


@dataclass(frozen=True)
class Facts:
    """What is known of one image of COCO's kind, whose boxes are around everything of its dataset's categories.

    `boxes` by name; `captions` in lower case; `kinds` every category's supercategory; `company` draws wrong answers.
    """

    boxes: dict[str, list[Rectangle]]
    crowds: frozenset[str]
    captions: tuple[str, ...]
    kinds: dict[str, str]
    company: Company
    complete = True  # what has no box is not there

    @classmethod
    def of(cls, image: PoolImage, kinds: dict[str, str], company: Company = NOBODY) -> "Facts":
        boxes: dict[str, list[Rectangle]] = {}
        for box in image.boxes:
            boxes.setdefault(box.name, []).append(box.xyxy)
        captions = tuple(caption.casefold() for caption in image.captions)
        return cls(dict(sorted(boxes.items())), frozenset(image.crowds), captions, kinds, company)

    def singles(self) -> dict[str, Rectangle]:
        """Things of which there is one: one box, no crowd, and no caption that speaks of more."""
        return {
            name: boxes[0]
            for name, boxes in self.boxes.items()
            if len(boxes) == 1
            and name not in self.crowds
            and shorter_side(boxes[0]) >= SMALLEST_SIDE
            and area(boxes[0]) >= (SEEN if name in EASILY_MISSED else _SMALLEST)
            and not self.more_than_one(name)
            and (name not in IN_HEAPS or any(map(self.mentioned_exactly, called(name))))
            and self._named_if_food(name)
        }

    def counts(self) -> dict[str, int]:
        """How many there are of each thing that can be counted, where the captions do not say otherwise."""
        return {
            name: len(boxes)
            for name, boxes in self.boxes.items()
            if len(boxes) <= MAX_COUNT
            and name not in self.crowds
            and min(map(shorter_side, boxes)) >= SMALLEST_SIDE / 2
            and min(map(area, boxes)) >= (SEEN if name in EASILY_MISSED and len(boxes) == 1 else _SMALLEST)
            and name not in UNCOUNTABLE | IN_HEAPS
            and (len(boxes) == 1 or not self._may_be_one(name))
            and self._named_if_food(name)
            and (len(boxes) > 1 or not self.more_than_one(name))
            and self.captions_allow(name, len(boxes))
        }

    def located(self) -> list[Thing]:
        """Single things, and the things of one name together where it is known how many there are."""
        groups = {name: self.boxes[name] for name, n in self.counts().items() if n > 1}
        return [
            *(Thing(name, name in PLURAL_FORM, box) for name, box in self.singles().items()),
            *(
                Thing(plural(name), True, enclosing_box(boxes))
                for name, boxes in groups.items()
                if name not in PLURAL_FORM and min(map(shorter_side, boxes)) >= SMALLEST_SIDE
            ),
        ]

    def present(self) -> list[str]:
        """Things that can be seen without searching for them."""
        return [name for name in self.boxes if self.area(name) >= SEEN and self._named_if_food(name)]

    def absent(self) -> list[str]:
        """Categories that are certainly not there: no box, no crowd, no word for it, no relative.

        Of a kind (supercategory) that is seen or spoken of none is called absent: a car may pass for a truck.
        """
        near = {self.kinds.get(name, "") for name in (*self.boxes, *self.crowds)} | {""}
        near |= {kind for name, kind in self.kinds.items() if self.mentioned(names_of(name))}
        near |= {kind for kind, words in WORDS_OF_KIND.items() if self.mentioned(tuple(words.split()))}
        return [
            name
            for name, kind in sorted(self.kinds.items())
            if kind not in near and name not in EASILY_MISSED
        ]

    def mentioned(self, phrases: tuple[str, ...]) -> bool:
        """Some caption holds one of the phrases, singular or plural."""
        return any(mention(phrases).search(caption) for caption in self.captions)

    def mentioned_exactly(self, phrase: str) -> bool:
        """Some caption holds the phrase in this form."""
        return any(re.search(rf"\b{re.escape(phrase)}\b", caption) for caption in self.captions)

    def drawn(self, rng: Random, names: Iterable[str], n: int = 3) -> tuple[str, ...]:
        """`n` of the names, those more often that the pool shows together with what is in this picture."""
        return self.company.draw(rng, names, (*self.present(), *self.boxes, *self.crowds), n)

    def around(self, name: str) -> tuple[str, ...]:
        """The captions that may be speaking of this thing or of what is on it."""
        return self.captions

    def area(self, name: str) -> float:
        """Share of the picture inside the largest box of that name."""
        return max(area(box) for box in self.boxes[name])

    def _may_be_one(self, name: str) -> bool:
        """Captions speak of one where there are several boxes, or of a mirror, which shows things twice."""
        words = "|".join(map(re.escape, called(name)))
        one = sum(
            bool(re.search(rf"\b(?:an?|one) (?:[\w-]+ )?(?:{words})\b", text)) for text in self.captions
        )
        several = any(self.mentioned_exactly(plural(word)) for word in called(name))
        return (one > 1 and not several) or any(_MIRROR.search(text) for text in self.captions)

    def _named_if_food(self, name: str) -> bool:
        """Boxes of food are often of another dish that looks alike: eggs for donuts."""
        return self.kinds.get(name) != "food" or self.mentioned(names_of(name))

    def more_than_one(self, name: str) -> bool:
        """Some caption has the thing's plural."""
        if name in PLURAL_FORM:
            return False
        several = (
            {plural(form) for form in names_of(name)}
            - {"people" if name != "person" else ""}
            - set(names_of(name))
        )
        if name == "person":
            several |= {
                "people",
                "men",
                "women",
                "children",
                "couple",
                "crowd",
                "they",
                "their",
                "players",
                "team",
                "family",
            }
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(several)))})\b")
        return any(pattern.search(caption) for caption in self.captions)

    def captions_allow(self, name: str, count: int) -> bool:
        """No caption that names the thing gives another number, or says "several" where not two give this one."""
        words = mention(names_of(name))
        vague = exact = 0
        for caption in self.captions:
            if not words.search(caption):
                continue
            said = {number_of(word) for word in re.findall(r"\w{1,9}", caption)} - {None, 0, 1}
            if said - {count}:
                return False
            vague += bool(_VAGUE.search(caption))
            exact += count in said
        return not vague or exact > 1
