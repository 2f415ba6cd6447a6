"""Step 4, box check: what a question with one of its choices claims, and whether an image's boxes bear it out.

A claim is True, False, or None where boxes say nothing. Patterns take a whole question: a word more ("How many dogs
are asleep") may ask for what no box holds, and then nothing is claimed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.geometry import Rectangle
from dataengine_lib.annotations.vocabulary import UNCOUNTABLE, with_related_words
from dataengine_lib.annotations.writers.amounts import CLEARLY_LARGER
from dataengine_lib.core.number_words import number_of
from dataengine_lib.core.text import caseless
from dataengine_lib.curation.boxes.places import further_out, places_of, sides_of_words, stands, within
from dataengine_lib.curation.boxes.things import (
    EQUAL,
    Truth,
    category_of,
    is_plural,
    only_false,
    presences,
    present,
)

MOST = 0.1  # of the picture: what takes up more of it than this would have got a box
_PICTURE = r"(?:(?:in|on) )?(?:the|this) (?:picture|image|photo|photograph|scene)"
_SEEN = r"(?:there|visible|seen|shown|present|depicted)"
_COUNT = re.compile(  # "the number of the bus" is written on it
    rf"what(?: is|'s) the (?:total |exact )?number of (?P<of>(?!(?:the|an?|this|that|each) )[a-z -]+?)"
    rf"(?: (?:that |which )?(?:is|are|can be))?(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|how many (?P<what>[a-z -]+?) (?:are|is|can be|can you|do you) (?:{_SEEN}|see)(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|how many (?P<in>[a-z -]+?) (?:are |is )?{_PICTURE}"
)
_PRESENCE = re.compile(
    rf"which (?:one )?of (?:these|the following)(?: (?P<kind>thing|object|item|animal|vehicle)s)?"
    rf" (?:is|are|can be|appears?)(?P<not> not)?(?: {_SEEN})?(?: {_PICTURE})?"
)
_WHICH = re.compile(
    rf"(?:which|what) (?P<kind>thing|object|item|animal|vehicle)s?"
    rf" (?:(?:is|are|can be|appears?)(?P<not> not)?|can you|do you)(?: {_SEEN}| see)?(?: {_PICTURE})"
    rf"|(?:which|what) (?P<kind_seen>thing|object|item|animal|vehicle)s? (?:is|are|can be)(?P<not_seen> not)? {_SEEN}"
)
_IS_THERE = re.compile(
    rf"(?:is|are) there (?P<any>an? |any )?(?P<what>[a-z -]+?)(?: {_SEEN})?(?: {_PICTURE})?"
    rf"|(?:(?:is|are) (?P<any_seen>an? |any )|are )(?P<seen>(?!the |there )[a-z -]+?) {_SEEN}(?: {_PICTURE})?"
    rf"|(?:can|do) you see (?P<any_you>an? |any )(?P<you>[a-z -]+?)(?: {_PICTURE})?"
)
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
    r"| (?:is|are|was|has|have|does|do|looks?|doing|wearing|holding|standing|sitting|lying|next to|beside|behind|near|"
    r"close to|in front of|on top of)\b)"
)
# "Is the elephant in the picture?" supposes nothing.
_SUPPOSED_THERE = re.compile(rf"(?:what|which|where|who|how|why)\b.* the ([a-z]+(?: [a-z]+)??) {_PICTURE}")


@dataclass(frozen=True)
class Claims:
    """What each choice of a question claims, in their order; `exclusive`: two that are true make no question."""

    truths: tuple[Truth, ...]
    exclusive: bool
    what: str  # the kind of claim, for a report


def claims_of(question: str, choices: Sequence[str], facts: ImageFacts) -> Claims | None:
    """What the boxes say of every choice; None where no form fits, or they say nothing."""
    asked = _plain(question)
    said = [_plain(choice) for choice in choices]
    for pattern, kind, exclusive, judge in _FORMS:
        found = pattern.fullmatch(asked)
        if found is not None and (truths := judge(found, said, facts)):
            return Claims(tuple(truths), exclusive, kind)
    return None


def supposes_absent(question: str, facts: ImageFacts) -> str:
    """The category that a question takes for granted ("the elephant") and that is certainly not there, or empty."""
    asked = _plain(question)
    supposed = _SUPPOSED.findall(asked)
    if there := _SUPPOSED_THERE.fullmatch(asked):
        supposed.append(there[1])
    names = [category_of(found, facts) for found in supposed]
    names = [name for name in names if name and name not in facts.boxes]
    absent = set(facts.absent_things()) if names else set()
    return next((name for name in names if name in absent), "")


def _plain(text: str) -> str:
    return caseless(text.replace("’", "'")).rstrip("?.! ")


def _counts(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    what = found["what"] or found["in"] or found["of"]
    name = category_of(what, facts)
    if not name or name in UNCOUNTABLE or (found["of"] and not is_plural(what, name)):
        return []
    number = facts.counts().get(name)
    if number is None and name not in facts.boxes and name in facts.absent_things():
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
    # four digits and more are rather a year or what is written on a thing
    return None if word.isdecimal() and len(word) > 3 else number_of(word)


def _presences(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    return presences(choices, facts, found["kind"] or "", absent=bool(found["not"]))


def _which(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """As `_presences`; but "which object" may mean the one that catches the eye, and "which animal" all of them."""
    kind, absent = found["kind"] or found["kind_seen"], bool(found["not"] or found["not_seen"])
    truths = presences(choices, facts, kind, absent=absent)
    names = {category_of(choice, facts) for choice in choices}
    unclear = any(present(name, facts) is None for name in names & {*facts.boxes, *facts.crowds})
    return only_false(truths) if unclear and not absent else truths


def _is_there(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    what = found["what"] or found["seen"] or found["you"]
    name = category_of(what, facts)
    truth = present(name, facts)
    one = bool(found["any"] or found["any_seen"] or found["any_you"]) or not is_plural(what, name)
    if truth is None or (truth and not one and len(facts.boxes[name]) < 2):
        return []  # "are there dogs" where there is one
    words = [re.split(r"\W", choice)[0] for choice in choices]
    truths = [{"yes": truth, "no": not truth}.get(word) for word in words]
    # of two that say "yes", the words after it make one of them wrong
    return [None if t and words.count(word) > 1 else t for t, word in zip(truths, words, strict=True)]


def _topics(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """Boxes cannot tell what a picture is about, but it is not about what is not there."""
    return only_false([present(category_of(choice, facts), facts) for choice in choices])


def _places(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    box = _box(found["what"], facts)
    return [None if place is None else within(box, place) for place in places_of(choices)] if box else []


def _box(words: str, facts: ImageFacts) -> Rectangle | None:
    """The box of the one thing that words name, or around all that there are of it where they are plural."""
    located = {thing.words: thing.box for thing in facts.located_things()}
    bare = re.sub(r"^(?:an?|the) ", "", words)
    name = category_of(bare, facts)
    return located.get(bare) or (located.get(name) if bare in EQUAL else None)


def _sides(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    one, other = _box(found["one"] or found["seen"], facts), _box(found["other"] or found["from"], facts)
    if not one or not other:
        return []
    said = [sides_of_words(choice) for choice in choices]
    return [stands(one, sides, other) if sides else None for sides in said]


def _besides(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    other, sides = _box(found["other"], facts), sides_of_words(found["side"].removesuffix(" of"))
    ones = [_box(choice, facts) for choice in choices]
    return [stands(one, sides, other) if one else None for one in ones] if other and sides else []


def _outermost(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    boxes = [_box(choice, facts) for choice in choices]
    side = found["across"] or found["along"]

    def truth(place: int) -> Truth:
        own = boxes[place]
        if own is None:
            return None
        others = [further_out(own, side, box) if box else None for at, box in enumerate(boxes) if at != place]
        return False if False in others else None if None in others else True

    return [truth(place) for place in range(len(choices))]


def _more(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
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


def _sizes(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """Which of the choices takes up the most or the least room; decided only by a ratio of CLEARLY_LARGER."""
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
        if (max(others) >= CLEARLY_LARGER * own) if most else (CLEARLY_LARGER * min(others) <= own):
            return False
        # a choice that no category names ("the sky") may be the largest of all
        known = all(
            name or _NO_THING.match(choice) for name, choice in zip(names, choices, strict=True)
        ) and all(other in sizes for other in names if other and (not most or _may_be_there(other, facts)))
        clear = own >= CLEARLY_LARGER * max(others) if most else CLEARLY_LARGER * own <= min(others)
        return True if clear and known else None

    return [truth(name) for name in names]


def _may_be_there(name: str, facts: ImageFacts) -> bool:
    """Boxed, as a crowd too, spoken of, or of the kind of something that is boxed, which it may be mistaken for."""
    kind = facts.kinds.get(name)
    near = any(kind and facts.kinds.get(other) == kind for other in (*facts.boxes, *facts.crowds))
    return name in facts.boxes or name in facts.crowds or near or facts.mentioned(with_related_words(name))


_Judge = Callable[[re.Match[str], list[str], ImageFacts], list[Truth]]
# pattern, kind of claim, whether two true choices make no question, what judges the choices
_FORMS: list[tuple[re.Pattern[str], str, bool, _Judge]] = [
    (_COUNT, "count", True, _counts),
    (_PRESENCE, "presence", True, _presences),
    (_WHICH, "presence", False, _which),
    (_IS_THERE, "presence", True, _is_there),
    (_TOPIC, "presence", False, _topics),
    (_PLACE, "place", False, _places),
    (_SIDE, "side", False, _sides),
    (_BESIDE, "side", False, _besides),
    (_OUTERMOST, "place", False, _outermost),
    (_MORE, "count", True, _more),
    (_SIZE, "size", True, _sizes),
]
