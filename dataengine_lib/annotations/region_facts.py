"""Step 3, annotations teacher: what the regions of a Visual Genome image prove.

Regions are not exhaustive: what no region speaks of may still be there. So only in a picture with many regions a thing
counts as the only one of its name, where several regions speak of it and all of them lie on one spot, and a thing that
is hard to overlook counts as absent, where neither its name nor a relative is mentioned.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

from dataengine_lib.annotations.cooccurrence import Company
from dataengine_lib.annotations.facts import (
    MAX_COUNT,
    SEEN,
    SMALLEST_SIDE,
    Facts,
    Thing,
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
    CLOTHES,
    COCO_KINDS,
    EASILY_MISSED,
    PEOPLE,
    PLURAL_FORM,
    VG_NAMES,
    called,
    mention,
    names_of,
    plural,
    relatives,
)
from dataengine_lib.core.number_words import NUMBER_WORDS
from dataengine_lib.images.pool import NamedBox, PoolImage

ENOUGH = 20  # regions, before silence about a thing says anything
_LARGE = 0.1  # share of the picture
_SAME = 0.6  # overlap over union of boxes that are around one thing
_ADJECTIVES = (
    "red|orange|yellow|green|blue|purple|pink|brown|black|white|gray|grey|silver|gold|tan|beige|big|large|small|little|"
    "tall|long|short|old|new|young|wooden|metal|glass|plastic|stone|brick|dark|light|bright|shiny|round|square|parked|"
    "empty|open|closed|standing|sitting|adult|baby|lone|single|double|decker|and"
)
_BARE = (  # what may follow the noun when the region shows nothing else
    r"(?:(?: is| that is)? (?:standing|sitting|parked|walking|flying|running|sleeping|laying|lying|grazing|jumping))?|"
    r"(?: is| in) (?:[a-z]+ in colou?r|(?:red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|silver))"
)
_FOLLOWS = (
    r"(?= (?:is|are|has|have|with|that|who|which|on|in|at|of|near|by|next|beside|behind|under|above|against|along|"
    r"around|across|between|inside|outside|over|wearing|holding|riding|\w+ing|parked|made|covered|filled)\b)"
)
_NOT_REAL = re.compile(
    r"\b(?:toy|statue|sculpture|picture|pictures|painting|photo|photograph|drawing|drawn|logo|image|poster|fake|model|"
    r"cartoon|figurine|printed|print|painted|symbol|reflection|shadow|mural|graphic|design|decal|sticker|magnet)s?\b"
)
_MORE = re.compile(
    r"\b(?:another|other|others|second|two|three|four|both|several|many|multiple|pair|row|group|some)\b"
)
_COUNTED = {word: n for n in range(2, MAX_COUNT + 1) for word in (NUMBER_WORDS[n], str(n))}
_VAGUE = re.compile(r"\b(?:other|others|another|several|many|some|group|row|herd)\b")


@dataclass(frozen=True)
class RegionFacts(Facts):
    """The facts of a Visual Genome image; `captions` are its regions' phrases, one for each region.

    `regions` are phrases with their boxes, `boxes` those of the regions that are about a thing, `bare` those around
    nothing else.
    """

    regions: tuple[tuple[str, Rectangle], ...] = ()
    bare: dict[str, list[Rectangle]] = field(default_factory=dict)
    complete = False

    @classmethod
    def of_image(cls, image: PoolImage, regions: list[NamedBox], company: Company) -> "RegionFacts":
        """The objects of `objects.json`, where the pool has them, are regions whose phrase is the object's name."""
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
        return cls(dict(sorted(boxes.items())), frozenset(), phrases, COCO_KINDS, company, found, bare)

    @cached_property
    def _singles(self) -> dict[str, Rectangle]:
        if len(self.captions) < ENOUGH:
            return {}
        found = {name: box for name in self.boxes if (box := self._the_only(name)) is not None}
        # Whoever else is in the picture may wear one, too.
        return found if PEOPLE & {*found} else {n: box for n, box in found.items() if n not in CLOTHES}

    def singles(self) -> dict[str, Rectangle]:
        """Things of which several regions speak, all of them on one spot."""
        return self._singles

    def counts(self) -> dict[str, int]:
        """How many there are of a thing, where a phrase says so and as many boxes are apart."""
        counts: dict[str, int] = {}
        for name, boxes in self.bare.items() if len(self.captions) >= ENOUGH else ():
            several = re.compile(rf"\b({'|'.join(_COUNTED)}) (?:[\w-]+ )?{re.escape(plural(name))}\b")
            stated = [(_COUNTED[m[1]], box) for phrase, box in self.regions if (m := several.search(phrase))]
            spots, words = _spots(boxes), mention((*called(name), *names_of(name), *relatives(name)))
            spoken = [(phrase, box) for phrase, box in self.regions if words.search(phrase)]
            if (
                {n for n, _ in stated} == {len(spots)}
                and len(spots) <= MAX_COUNT
                and all(shared_area(box, spot) > 0 for _, box in stated for spot in spots)
                and all(any(shared_area(box, spot) > 0 for spot in spots) for _, box in spoken)
                and not any(_VAGUE.search(phrase) for phrase, _ in spoken)
            ):
                counts[name] = len(spots)
        return counts

    def located(self) -> list[Thing]:
        """Single things only: nobody knows whether regions show all of several."""
        return [Thing(name, name in PLURAL_FORM, box) for name, box in self.singles().items()]

    def present(self) -> list[str]:
        """Things that a region shows, large enough to be seen."""
        return [name for name in self.bare if self.area(name) >= SEEN and not self._depicted(name)]

    def absent(self) -> list[str]:
        """As in COCO, by the phrases alone, and in a picture with enough of them."""
        return super().absent() if len(self.captions) >= ENOUGH else []

    def around(self, name: str) -> tuple[str, ...]:
        """The phrases of regions that meet the thing, and those that name it."""
        box, words = self._singles[name], mention((name, *names_of(name)))
        return tuple(p for p, other in self.regions if shared_area(box, other) > 0 or words.search(p))

    def area(self, name: str) -> float:
        """Share of the picture inside the largest region of just this thing."""
        return max(map(area, self.bare.get(name, [])), default=0.0)

    def _the_only(self, name: str) -> Rectangle | None:
        bare = self.bare.get(name, [])
        if len(self.boxes[name]) < 2 or not bare or self._depicted(name):
            return None
        if any(overlap_over_union(one, other) < _SAME for one in bare for other in bare):
            return None
        around = enclosing_box(bare)
        words = mention((*called(name), *names_of(name), *relatives(name)))
        several = re.compile(rf"\b(?:{'|'.join(re.escape(plural(word)) for word in called(name))})\b")
        for phrase, box in self.regions:
            if words.search(phrase) and (
                several.search(phrase)
                or _MORE.search(phrase)
                or shared_area(around, box) < 0.5 * min(area(around), area(box))
            ):
                return None
        # There may be more of what is common, unless it fills the view.
        large = area(around) >= (_LARGE if name in EASILY_MISSED else SEEN)
        return around if large and shorter_side(around) >= SMALLEST_SIDE else None

    def _depicted(self, name: str) -> bool:
        words = mention(called(name))
        return any(words.search(phrase) and _NOT_REAL.search(phrase) for phrase, _ in self.regions)


# Words that do not name one thing for certain: a bike may be two things, a plant need not be in a pot.
_UNSURE = {"people", "bike", "scooter", "plant", "luggage", "stuffed animal", "bear", "desk", "jet"}
_NAME = {word: name for name in VG_NAMES for word in called(name) if word not in _UNSURE}
_NAME |= {name: name for name in VG_NAMES}
_NOUNS = "|".join(map(re.escape, sorted(_NAME, key=lambda word: (-len(word), word))))
_START = rf"(?:(?:an?|the|one|this) )?(?:(?:{_ADJECTIVES}) ){{0,3}}(?P<noun>{_NOUNS})"
_HEAD = re.compile(rf"{_START}(?:\Z|{_FOLLOWS})")
_ONLY = re.compile(rf"{_START}(?:{_BARE})")


def _spots(boxes: list[Rectangle]) -> list[Rectangle]:
    """One box for each spot; empty when two overlap so that they may be one thing or two."""
    spots: list[Rectangle] = []
    for box in boxes:
        shares = [overlap_over_union(box, spot) for spot in spots]
        if any(0.2 < share < _SAME for share in shares):
            return []
        if not any(share >= _SAME for share in shares):
            spots.append(box)
    return spots
