"""Step 3, annotations teacher: what the region descriptions of a Visual Genome image prove.

Regions are not exhaustive: a thing that no region mentions may still be there. Therefore, and only in images with many
regions, a thing counts as the only one of its name if several regions mention it and all of them lie in one spot; and
a thing that is hard to overlook counts as absent if neither its name nor a related word is mentioned.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

from dataengine_lib.annotations.cooccurrence import Cooccurrence
from dataengine_lib.annotations.facts import (
    MAX_COUNT,
    SMALLEST_SIDE,
    VISIBLE_SHARE,
    ImageFacts,
    LocatedThing,
)
from dataengine_lib.annotations.geometry import (
    Rectangle,
    area,
    enclosing_box,
    overlap_over_union,
    shared_area,
    shorter_side,
)
from dataengine_lib.annotations.vocabulary import (
    ALWAYS_PLURAL,
    CLOTHES,
    COCO_KINDS,
    EASILY_MISSED,
    PEOPLE,
    VG_NAMES,
    mention_pattern,
    plural,
    with_all_words,
    with_related_words,
    with_synonyms,
)
from dataengine_lib.core.number_words import NUMBER_WORDS
from dataengine_lib.images.pool import NamedBox, PoolImage

_ENOUGH_REGIONS = 20  # with fewer regions, a thing that is not mentioned may still be there
_LARGE_SHARE = 0.1  # share of the image from which a common thing is unlikely to be one of several
_SAME_THING = 0.6  # overlap over union (IoU) from which two boxes are around the same thing
_OTHER_THING = 0.2  # IoU up to which they are around different things; between the two it is unclear
_MOSTLY_INSIDE = 0.5  # part of the smaller box that must lie inside the thing's box to be about that thing
_ADJECTIVES = (
    "red|orange|yellow|green|blue|purple|pink|brown|black|white|gray|grey|silver|gold|tan|beige|big|large|small|little|"
    "tall|long|short|old|new|young|wooden|metal|glass|plastic|stone|brick|dark|light|bright|shiny|round|square|parked|"
    "empty|open|closed|standing|sitting|adult|baby|lone|single|double|decker|and"
)
# What may follow the noun if the region shows only this thing: "standing", "is parked", "is red", "in white".
_BARE = (
    r"(?:(?: is| that is)? (?:standing|sitting|parked|walking|flying|running|sleeping|laying|lying|grazing|jumping))?|"
    r"(?: is| in) (?:[a-z]+ in colou?r|(?:red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|silver))"
)
# What may follow the noun if the region is about it: "… with a hat", "… parked". In "bus stop" no such word follows.
_FOLLOWS = (
    r"(?= (?:is|are|has|have|with|that|who|which|on|in|at|of|near|by|next|beside|behind|under|above|against|along|"
    r"around|across|between|inside|outside|over|wearing|holding|riding|\w+ing|parked|made|covered|filled)\b)"
)
# Depicted things are not there: "a toy truck", "picture of a dog", "its reflection".
_NOT_REAL = re.compile(
    r"\b(?:toy|statue|sculpture|picture|pictures|painting|photo|photograph|drawing|drawn|logo|image|poster|fake|model|"
    r"cartoon|figurine|printed|print|painted|symbol|reflection|shadow|mural|graphic|design|decal|sticker|magnet)s?\b"
)
# The phrase says that there is more than one: "another dog", "two dogs".
_MORE_THAN_ONE = re.compile(
    r"\b(?:another|other|others|second|two|three|four|both|several|many|multiple|pair|row|group|some)\b"
)
# Numbers that a phrase may state, as a word or in digits.
_COUNTED = {word: n for n in range(2, MAX_COUNT + 1) for word in (NUMBER_WORDS[n], str(n))}
# The phrase leaves the number open: "several dogs", "some of the dogs".
_VAGUE_PHRASE = re.compile(r"\b(?:other|others|another|several|many|some|group|row|herd)\b")


@dataclass(frozen=True)
class RegionFacts(ImageFacts):
    """The facts of a Visual Genome image; `captions` are the phrases of its regions, one per region.

    `regions`: the phrases with their boxes; `boxes`: the boxes of regions that are about a thing, by its name; `bare`:
    those of regions that show nothing but the thing.
    """

    regions: tuple[tuple[str, Rectangle], ...] = ()
    bare: dict[str, list[Rectangle]] = field(default_factory=dict)
    boxes_are_complete = False

    @classmethod
    def of_image(cls, image: PoolImage, regions: list[NamedBox], cooccurrence: Cooccurrence) -> "RegionFacts":
        """The facts of an image; objects of `objects.json`, if the pool has them, count as regions named by a phrase."""
        found = tuple((box.name.casefold().strip(" ."), box.xyxy) for box in (*regions, *image.boxes))
        phrases = tuple(phrase for phrase, _ in found[: len(regions)])
        boxes: dict[str, list[Rectangle]] = {}
        bare: dict[str, list[Rectangle]] = {}
        for phrase, box in found:
            if (head := _HEAD.match(phrase)) and not _NOT_REAL.search(phrase):
                name = _NAME[head["noun"]]
                boxes.setdefault(name, []).append(box)
                if _ONLY.fullmatch(phrase):
                    bare.setdefault(name, []).append(box)
        return cls(dict(sorted(boxes.items())), frozenset(), phrases, COCO_KINDS, cooccurrence, found, bare)

    @cached_property
    def _singles(self) -> dict[str, Rectangle]:
        if len(self.captions) < _ENOUGH_REGIONS:
            return {}
        found = {name: box for name in self.boxes if (box := self._box_of_only(name)) is not None}
        # Without a single person, several people may be there and each may wear such clothes.
        return found if PEOPLE & {*found} else {n: box for n, box in found.items() if n not in CLOTHES}

    def single_things(self) -> dict[str, Rectangle]:
        """Things that several regions mention, all of them in one spot."""
        return self._singles

    def counts(self) -> dict[str, int]:
        """How many there are of a thing, if phrases state it and as many separate boxes exist."""
        counts: dict[str, int] = {}
        for name, boxes in self.bare.items() if len(self.captions) >= _ENOUGH_REGIONS else ():
            # "two dogs", "2 brown dogs"
            several = re.compile(rf"\b({'|'.join(_COUNTED)}) (?:[\w-]+ )?{re.escape(plural(name))}\b")
            stated = [(_COUNTED[m[1]], box) for phrase, box in self.regions if (m := several.search(phrase))]
            spots, words = _spots(boxes), mention_pattern(with_all_words(name))
            mentions = [(phrase, box) for phrase, box in self.regions if words.search(phrase)]
            if (
                # every stated number is the number of spots
                {n for n, _ in stated} == {len(spots)}
                and len(spots) <= MAX_COUNT
                # each region that states it overlaps all spots, each that mentions the thing overlaps one
                and all(shared_area(box, spot) > 0 for _, box in stated for spot in spots)
                and all(any(shared_area(box, spot) > 0 for spot in spots) for _, box in mentions)
                and not any(_VAGUE_PHRASE.search(phrase) for phrase, _ in mentions)
            ):
                counts[name] = len(spots)
        return counts

    def located_things(self) -> list[LocatedThing]:
        """Single things only: of several, regions may show only some."""
        return [LocatedThing(name, name in ALWAYS_PLURAL, box) for name, box in self.single_things().items()]

    def visible_things(self) -> list[str]:
        """Things that a region shows, large enough to be seen at a glance."""
        return [name for name in self.bare if self.area(name) >= VISIBLE_SHARE and not self._depicted(name)]

    def absent_things(self) -> list[str]:
        """As for COCO, but from the phrases alone and only if there are enough of them."""
        return super().absent_things() if len(self.captions) >= _ENOUGH_REGIONS else []

    def captions_about(self, name: str) -> tuple[str, ...]:
        """The phrases of regions that overlap the thing, and those that name it."""
        box, words = self._singles[name], mention_pattern((name, *with_related_words(name)))
        return tuple(p for p, other in self.regions if shared_area(box, other) > 0 or words.search(p))

    def area(self, name: str) -> float:
        """Share of the image inside the largest region that shows only this thing."""
        return max(map(area, self.bare.get(name, [])), default=0.0)

    def _box_of_only(self, name: str) -> Rectangle | None:
        """The box around the only thing of this name; None if there may be another one."""
        bare = self.bare.get(name, [])
        if len(self.boxes[name]) < 2 or not bare or self._depicted(name):
            return None
        if any(overlap_over_union(one, other) < _SAME_THING for one in bare for other in bare):
            return None
        whole = enclosing_box(bare)
        words = mention_pattern(with_all_words(name))
        several = re.compile(rf"\b(?:{'|'.join(re.escape(plural(word)) for word in with_synonyms(name))})\b")
        for phrase, box in self.regions:
            if words.search(phrase) and (
                several.search(phrase)
                or _MORE_THAN_ONE.search(phrase)
                or shared_area(whole, box) < _MOSTLY_INSIDE * min(area(whole), area(box))
            ):
                return None
        # Common things may be there several times, unless the one is large.
        large = area(whole) >= (_LARGE_SHARE if name in EASILY_MISSED else VISIBLE_SHARE)
        return whole if large and shorter_side(whole) >= SMALLEST_SIDE else None

    def _depicted(self, name: str) -> bool:
        """True if a phrase speaks of a picture or a toy of the thing."""
        words = mention_pattern(with_synonyms(name))
        return any(words.search(phrase) and _NOT_REAL.search(phrase) for phrase, _ in self.regions)


# Words that may mean different things: a bike may have an engine, a plant need not be in a pot.
_AMBIGUOUS = {"people", "bike", "scooter", "plant", "luggage", "stuffed animal", "bear", "desk", "jet"}
_NAME = {word: name for name in VG_NAMES for word in with_synonyms(name) if word not in _AMBIGUOUS}
_NAME |= {name: name for name in VG_NAMES}
_NOUNS = "|".join(map(re.escape, sorted(_NAME, key=lambda word: (-len(word), word))))
# "a large brown dog": article, up to three adjectives, and a noun.
_START = rf"(?:(?:an?|the|one|this) )?(?:(?:{_ADJECTIVES}) ){{0,3}}(?P<noun>{_NOUNS})"
# The phrase begins with a thing ("the red bus is parked"); or it names nothing else ("the red bus", "bus is red").
_HEAD = re.compile(rf"{_START}(?:\Z|{_FOLLOWS})")
_ONLY = re.compile(rf"{_START}(?:{_BARE})")


def _spots(boxes: list[Rectangle]) -> list[Rectangle]:
    """One box per spot; empty if two overlap in such a way that they may show one thing or two."""
    spots: list[Rectangle] = []
    for box in boxes:
        shares = [overlap_over_union(box, spot) for spot in spots]
        if any(_OTHER_THING < share < _SAME_THING for share in shares):
            return []
        if not any(share >= _SAME_THING for share in shares):
            spots.append(box)
    return spots
