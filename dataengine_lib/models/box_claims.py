"""Step 4, box check: what a question with one of its choices claims, and whether an image's boxes bear it out.

A claim is True, False, or None where boxes say nothing. Patterns take a whole question: a word more ("How many dogs
are asleep") may ask for what no box holds, and then nothing is claimed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dataengine_lib.models.annotation_amounts import LARGER
from dataengine_lib.models.annotation_facts import Box, Facts
from dataengine_lib.models.annotation_words import UNCOUNTABLE, names_of, plural
from dataengine_lib.models.box_places import further_out, places_of, sides_of_words, stands, within

Truth = bool | None

MOST = 0.1  # of the picture: what takes up more of it than this would have got a box
_EQUAL = {  # words for a category that mean neither more nor less
    "people": "person", "persons": "person", "human": "person", "plane": "airplane", "aeroplane": "airplane",
    "sofa": "couch", "television": "tv", "motorbike": "motorcycle", "fridge": "refrigerator", "doughnut": "donut",
}  # fmt: skip
_NUMBERS = re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve")
_PICTURE = r"(?:(?:in|on) )?(?:the|this) (?:picture|image|photo|photograph|scene)"
_SEEN = r"(?:there|visible|seen|shown|present|depicted)"
_COUNT = re.compile(
    rf"how many (?P<what>[a-z -]+?) (?:are|is|can be|can you|do you) (?:{_SEEN}|see)(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|how many (?P<in>[a-z -]+?) (?:are |is )?{_PICTURE}"
)
_PRESENCE = re.compile(
    rf"which (?:one )?of (?:these|the following)(?: things| objects| animals)?"
    rf" (?:is|are|can be|appears?)(?P<not> not)?(?: {_SEEN})?(?: {_PICTURE})?"
)
_IS_THERE = re.compile(rf"(?:is|are) there (?:an? |any )?(?P<what>[a-z -]+?)(?: {_PICTURE})?")
_TOPIC = re.compile(r"which of these is the (?:picture|image|photo) about")
_PLACE = re.compile(
    rf"(?:where {_PICTURE}|(?:in )?(?:which|what) (?:part|side|area|corner|half|third) of"
    r" the (?:picture|image|photo)) (?:is|are) the (?P<what>[a-z -]+?)(?: in| located| placed)?"
)
_SIDE = re.compile(
    rf"where(?: {_PICTURE})? (?:is|are) the (?P<one>[a-z -]+?),? (?:compared (?:with|to)|relative to|in relation to)"
    r" the (?P<other>[a-z -]+)"
    r"|seen from the (?P<from>[a-z -]+), where (?:is|are) the (?P<seen>[a-z -]+)"
)
_BESIDE = re.compile(
    r"(?:what|which(?: of (?:these|the following))?(?: thing| object| animal)?) (?:is|are)"
    r" (?P<side>(?:to |on )?the (?:left|right) of|above|below) the (?P<other>[a-z -]+)"
)
_SIZE = re.compile(
    rf"which (?:one |thing |object )?(?:of (?:these|the following) )?(?:things |objects )?"
    rf"(?:takes up (?:the )?(?P<room>most|more|least|less) (?:room|space)(?: {_PICTURE})"
    rf"|is (?:the )?(?P<size>largest|biggest|larger|bigger|smallest|smaller) (?:one )?{_PICTURE})(?:[,:] .*)?"
)
_OUTERMOST = re.compile(
    rf"which (?:one )?of (?:these|the following) is (?:(?:furthest|farthest) to the (?P<across>left|right)(?: {_PICTURE})?"
    r"|(?:nearest|closest) to the (?P<along>top|bottom)(?: of the (?:picture|image|photo))?)"
)
_MORE = re.compile(rf"are there more (?P<one>[a-z -]+?) or (?:more )?(?P<other>[a-z -]+?)(?: {_PICTURE})?")
_NO_THING = re.compile(r"(?:they are |it is )?(?:both|neither|none|as many|the same|equal|cannot)\b")
_SUPPOSED = re.compile(  # a noun that follows ("the bear costume") would make another thing of it
    r"\bthe ([a-z]+(?: [a-z]+)??)(?=(?:'s)?(?:,|$)|'s "
    r"| (?:is|are|was|has|have|does|do|looks?|doing|wearing|holding|standing|sitting|lying)\b)"
)


@dataclass(frozen=True)
class Claims:
    """What each choice of a question claims, in their order; `exclusive`: two that are true make no question."""

    truths: tuple[Truth, ...]
    exclusive: bool
    what: str  # the kind of claim, for a report


def claims_of(question: str, choices: Sequence[str], facts: Facts) -> Claims | None:
    """What the boxes say of every choice; None where no form fits, or they say nothing."""
    asked = _plain(question)
    said = [_plain(choice) for choice in choices]
    for pattern, kind, exclusive, judge in _FORMS:
        found = pattern.fullmatch(asked)
        if found is not None and (truths := judge(found, said, facts)):
            return Claims(tuple(truths), exclusive, kind)
    return None


def supposes_absent(question: str, facts: Facts) -> str:
    """The category that a question takes for granted ("the elephant") and that is certainly not there, or empty."""
    names = [category_of(found, facts) for found in _SUPPOSED.findall(_plain(question))]
    names = [name for name in names if name and name not in facts.boxes]
    absent = set(facts.absent()) if names else set()
    return next((name for name in names if name in absent), "")


def category_of(words: str, facts: Facts) -> str:
    """The dataset's category that words name, one or several of it, with an article or without; empty for others."""
    bare = re.sub(r"^(?:an?|the|some) ", "", words)
    return _singulars(tuple(facts.kinds)).get(bare, "")


@lru_cache(maxsize=8)
def _singulars(kinds: tuple[str, ...]) -> dict[str, str]:
    found = {word: name for word, name in _EQUAL.items() if name in kinds}
    found |= {
        plural(word): name
        for word, name in _EQUAL.items()
        if name in kinds and word not in ("people", "persons")
    }
    found |= {plural(name): name for name in kinds}
    return found | {name: name for name in kinds}


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").split()).rstrip("?.! ")


def _counts(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    name = category_of(found["what"] or found["in"], facts)
    if not name or name in UNCOUNTABLE:
        return []
    number = facts.counts().get(name)
    if number is None and name not in facts.boxes and name in facts.absent():
        number = 0
    if number is None:
        return []
    said = [_number(choice) for choice in choices]
    return [None if n is None else n == number for n in said]


def _number(choice: str) -> int | None:
    """The number that a choice is, `3`, `three` or `none`; None for `many`, `more than 3` and other words."""
    word = choice.split(" ")[0] if len(choice.split(" ")) <= 2 else ""
    if word in ("no", "none"):
        return 0
    return (
        int(word)
        if word.isdecimal() and len(word) < 4
        else _NUMBERS.index(word)
        if word in _NUMBERS
        else None
    )


def _present(name: str, facts: Facts) -> Truth:
    if name in facts.boxes:
        return True if name in facts.present() else None
    return False if name and name in facts.absent() else None


def _presences(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    truths = [_present(category_of(choice, facts), facts) for choice in choices]
    return [None if t is None else not t for t in truths] if found["not"] else truths


def _is_there(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    truth = _present(category_of(found["what"], facts), facts)
    words = [re.split(r"\W", choice)[0] for choice in choices]
    return [{"yes": truth, "no": not truth}.get(word) for word in words] if truth is not None else []


def _topics(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    """Boxes cannot tell what a picture is about, but it is not about what is not there."""
    truths = [_present(category_of(choice, facts), facts) for choice in choices]
    return [False if truth is False else None for truth in truths]


def _places(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    box = _box(found["what"], facts)
    return [None if place is None else within(box, place) for place in places_of(choices)] if box else []


def _box(words: str, facts: Facts) -> Box | None:
    """The box of the one thing that words name, or around all that there are of it where they are plural."""
    located = {thing.words: thing.box for thing in facts.located()}
    bare = re.sub(r"^(?:an?|the) ", "", words)
    name = category_of(bare, facts)
    return located.get(bare) or (located.get(name) if bare in _EQUAL else None)


def _sides(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    one, other = _box(found["one"] or found["seen"], facts), _box(found["other"] or found["from"], facts)
    if not one or not other:
        return []
    said = [sides_of_words(choice) for choice in choices]
    return [stands(one, sides, other) if sides else None for sides in said]


def _besides(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    other, sides = _box(found["other"], facts), sides_of_words(found["side"].removesuffix(" of"))
    ones = [_box(choice, facts) for choice in choices]
    return [stands(one, sides, other) if one else None for one in ones] if other and sides else []


def _outermost(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    boxes = [_box(choice, facts) for choice in choices]
    side = found["across"] or found["along"]

    def truth(place: int) -> Truth:
        own = boxes[place]
        if own is None:
            return None
        others = [further_out(own, side, box) if box else None for at, box in enumerate(boxes) if at != place]
        return False if False in others else None if None in others else True

    return [truth(place) for place in range(len(choices))]


def _more(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    """One that was overlooked must not turn it round."""
    counts, names = facts.counts(), [category_of(found[part], facts) for part in ("one", "other")]
    if any(name not in counts for name in names) or abs(counts[names[0]] - counts[names[1]]) < 2:
        return []
    most = max(names, key=counts.__getitem__)
    said = [category_of(choice.removeprefix("more "), facts) for choice in choices]
    return [
        name == most if name or _NO_THING.match(choice) else None
        for name, choice in zip(said, choices, strict=True)
    ]


def _sizes(found: re.Match[str], choices: list[str], facts: Facts) -> list[Truth]:
    """Of the choices: which takes up the most, or the least; half the room and less is needed to tell, see LARGER."""
    most = (found["room"] or found["size"]) in ("most", "more", "largest", "biggest", "larger", "bigger")
    names = [category_of(choice, facts) for choice in choices]
    sizes = {
        name: facts.area(name)
        for name in names
        if name in facts.boxes and name not in facts.crowds and (most or len(facts.boxes[name]) == 1)
    }

    def truth(name: str) -> Truth:
        if name not in sizes:
            # a thing that takes up the most room and has no box, nor a word in any caption, is not there
            seen = most and max(sizes.values(), default=0) >= MOST and bool(name)
            return False if seen and not _may_be_there(name, facts) else None
        others = [size for other, size in sizes.items() if other != name]
        if not others:
            return None
        own = sizes[name]
        if (max(others) >= LARGER * own) if most else (LARGER * min(others) <= own):
            return False
        # a choice that no category names ("the sky") may be the largest of all
        known = all(
            name or _NO_THING.match(choice) for name, choice in zip(names, choices, strict=True)
        ) and all(other in sizes for other in names if other and (not most or _may_be_there(other, facts)))
        clear = own >= LARGER * max(others) if most else LARGER * own <= min(others)
        return True if clear and known else None

    return [truth(name) for name in names]


def _may_be_there(name: str, facts: Facts) -> bool:
    """Boxed, as a crowd too, spoken of, or of the kind of something that is boxed, which it may be mistaken for."""
    kind = facts.kinds.get(name)
    near = any(kind and facts.kinds.get(other) == kind for other in (*facts.boxes, *facts.crowds))
    return name in facts.boxes or name in facts.crowds or near or facts.mentioned(names_of(name))


_Judge = Callable[[re.Match[str], list[str], Facts], list[Truth]]
# pattern, kind of claim, whether two true choices make no question, what judges the choices
_FORMS: list[tuple[re.Pattern[str], str, bool, _Judge]] = [
    (_COUNT, "count", True, _counts),
    (_PRESENCE, "presence", True, _presences),
    (_IS_THERE, "presence", True, _is_there),
    (_TOPIC, "presence", False, _topics),
    (_PLACE, "place", False, _places),
    (_SIDE, "side", False, _sides),
    (_BESIDE, "side", False, _besides),
    (_OUTERMOST, "place", False, _outermost),
    (_MORE, "count", True, _more),
    (_SIZE, "size", True, _sizes),
]
