"""Step 4, box check: what a question claims with each of its choices, and whether the image's boxes prove or refute it.

A claim is True, False, or None where boxes do not tell. A pattern must match the whole question: with one more word
("How many dogs are asleep") it may ask about something that boxes do not show, and then nothing is claimed.
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
from dataengine_lib.curation.boxes import question_forms as forms
from dataengine_lib.curation.boxes.places import (
    image_parts_of,
    is_in_part,
    is_on_sides,
    is_outer,
    sides_of_words,
)
from dataengine_lib.curation.boxes.things import (
    EXACT_SYNONYMS,
    Truth,
    category_of,
    is_plural_of,
    is_present,
    presence_of_choices,
    without_true,
)

_SURELY_BOXED = 0.1  # share of the image; what covers more of it than this would have got a box
# Choices that name no single thing: "both the same", "neither of them", "it is equal".
_NO_SINGLE_THING = re.compile(r"(?:they are |it is )?(?:both|neither|none|as many|the same|equal|cannot)\b")


@dataclass(frozen=True)
class Claims:
    """The truth of each choice, in their order; `exclusive`: only one of them may be true, or the QA is unusable."""

    truths: tuple[Truth, ...]
    exclusive: bool
    what: str  # the kind of claim, for a report


def claims_of(question: str, choices: Sequence[str], facts: ImageFacts) -> Claims | None:
    """What the boxes say about every choice; None if no form fits the question or they tell nothing."""
    text = _plain(question)
    plain_choices = [_plain(choice) for choice in choices]
    for pattern, kind, exclusive, judge in _FORMS:
        found = pattern.fullmatch(text)
        if found is not None and (truths := judge(found, plain_choices, facts)):
            return Claims(tuple(truths), exclusive, kind)
    return None


def presupposed_absent(question: str, facts: ImageFacts) -> str:
    """The category that a question presupposes ("the elephant") and that is certainly not in the image, or empty."""
    text = _plain(question)
    presupposed = forms.PRESUPPOSED.findall(text)
    if in_picture := forms.PRESUPPOSED_IN_PICTURE.fullmatch(text):
        presupposed.append(in_picture[1])
    names = [category_of(words, facts) for words in presupposed]
    names = [name for name in names if name and name not in facts.boxes]
    absent = set(facts.absent_things()) if names else set()
    return next((name for name in names if name in absent), "")


def _plain(text: str) -> str:
    """Lower case, single spaces, straight apostrophes, without the end mark."""
    return caseless(text.replace("’", "'")).rstrip("?.! ")


def _judge_count(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    what = found["what"] or found["in"] or found["of"]
    name = category_of(what, facts)
    if not name or name in UNCOUNTABLE or (found["of"] and not is_plural_of(what, name)):
        return []
    number = facts.counts().get(name)
    # counts() leaves out what cannot be counted; what is certainly absent is there 0 times
    if number is None and name not in facts.boxes and name in facts.absent_things():
        number = 0
    if number is None:
        return []
    numbers = [_number(choice) for choice in choices]
    return [None if n is None else n == number for n in numbers]


def _number(choice: str) -> int | None:
    """The number that a choice gives: `3`, `three dogs`, `none`; None for `many`, `more than 3` and other words."""
    # "three dogs" has two words; in longer choices the number may count something else
    word = choice.split(" ")[0] if len(choice.split(" ")) <= 2 else ""
    if word in ("no", "none"):
        return 0
    # a number of four digits or more is rather a year
    return None if word.isdecimal() and len(word) > 3 else number_of(word)


def _judge_presence(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    return presence_of_choices(choices, facts, found["kind"] or "", absent=bool(found["not"]))


def _judge_which_present(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """As `_judge_presence`, but nothing is proven if a choice is in the image and not clearly visible.

    "Which object" may mean the most striking one, "which animal" all of them.
    """
    kind, absent = found["kind"] or found["kind_seen"], bool(found["not"] or found["not_seen"])
    truths = presence_of_choices(choices, facts, kind, absent=absent)
    names = {category_of(choice, facts) for choice in choices}
    unclear = any(is_present(name, facts) is None for name in names & {*facts.boxes, *facts.crowds})
    return without_true(truths) if unclear and not absent else truths


def _judge_is_there(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    what = found["what"] or found["seen"] or found["you"]
    name = category_of(what, facts)
    truth = is_present(name, facts)
    # "a dog" and "any dogs" ask for one at least, "dogs" alone for more than one
    one = bool(found["any"] or found["any_seen"] or found["any_you"]) or not is_plural_of(what, name)
    if truth is None or (truth and not one and len(facts.boxes[name]) < 2):
        return []  # "are there dogs" if there is only one
    # "yes, two" counts as "yes"
    words = [re.split(r"\W", choice)[0] for choice in choices]
    truths = [{"yes": truth, "no": not truth}.get(word) for word in words]
    # if two choices say "yes", the words after it make one of them wrong: "yes, one" and "yes, two"
    return [None if t and words.count(word) > 1 else t for t, word in zip(truths, words, strict=True)]


def _judge_topic(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """Boxes cannot prove what an image is about, but it is not about what is not there."""
    return without_true([is_present(category_of(choice, facts), facts) for choice in choices])


def _judge_place(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    box = _box(found["what"], facts)
    return (
        [None if part is None else is_in_part(box, part) for part in image_parts_of(choices)] if box else []
    )


def _box(words: str, facts: ImageFacts) -> Rectangle | None:
    """The box of the only thing of the name, or around all things of it if the words are plural; None if not known."""
    located = {thing.words: thing.box for thing in facts.located_things()}
    bare = re.sub(r"^(?:an?|the) ", "", words)
    name = category_of(bare, facts)
    return located.get(bare) or (located.get(name) if bare in EXACT_SYNONYMS else None)


def _judge_side(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    one, other = _box(found["one"] or found["seen"], facts), _box(found["other"] or found["from"], facts)
    if not one or not other:
        return []
    all_sides = [sides_of_words(choice) for choice in choices]
    return [is_on_sides(one, sides, other) if sides else None for sides in all_sides]


def _judge_beside(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    other, sides = _box(found["other"], facts), sides_of_words(found["side"].removesuffix(" of"))
    ones = [_box(choice, facts) for choice in choices]
    return [is_on_sides(one, sides, other) if one else None for one in ones] if other and sides else []


def _judge_outermost(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    boxes = [_box(choice, facts) for choice in choices]
    side = found["across"] or found["along"]

    def truth(index: int) -> Truth:
        own = boxes[index]
        if own is None:
            return None
        # outermost if further out than every other choice, which must all be known
        others = [is_outer(own, side, box) if box else None for at, box in enumerate(boxes) if at != index]
        return False if False in others else None if None in others else True

    return [truth(index) for index in range(len(choices))]


def _judge_more(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
    """Judged only if the counts differ by two, so that one missed box does not change the answer."""
    counts, names = facts.counts(), [category_of(found[part], facts) for part in ("one", "other")]
    if any(name not in counts for name in names) or abs(counts[names[0]] - counts[names[1]]) < 2:
        return []
    most = max(names, key=counts.__getitem__)
    named = [category_of(choice.removeprefix("more "), facts) for choice in choices]
    return [
        name == most if name or _NO_SINGLE_THING.match(choice) else None
        for name, choice in zip(named, choices, strict=True)
    ]


def _judge_size(found: re.Match[str], choices: list[str], facts: ImageFacts) -> list[Truth]:
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
            # the largest thing would have a box, or a word in a caption: without both it is not there
            would_be_boxed = most and max(sizes.values(), default=0) >= _SURELY_BOXED and bool(name)
            return False if would_be_boxed and not _may_be_there(name, facts) else None
        others = [size for other, size in sizes.items() if other != name]
        if not others:
            return None
        own = sizes[name]
        # 1. false if another one is clearly larger (or smaller, where the least is asked for)
        if (max(others) >= CLEARLY_LARGER * own) if most else (CLEARLY_LARGER * min(others) <= own):
            return False
        # a choice that is no category ("the sky") may be the largest of all
        all_named = all(
            name or _NO_SINGLE_THING.match(choice) for name, choice in zip(names, choices, strict=True)
        )
        known = all_named and all(
            other in sizes for other in names if other and (not most or _may_be_there(other, facts))
        )
        # 2. true if it is clearly the largest (or smallest), and no choice of unknown size can change that
        clear = own >= CLEARLY_LARGER * max(others) if most else CLEARLY_LARGER * own <= min(others)
        return True if clear and known else None

    return [truth(name) for name in names]


def _may_be_there(name: str, facts: ImageFacts) -> bool:
    """True if the category has a box or a crowd, is mentioned, or resembles something boxed (same supercategory)."""
    kind = facts.kinds.get(name)
    near = any(kind and facts.kinds.get(other) == kind for other in (*facts.boxes, *facts.crowds))
    return name in facts.boxes or name in facts.crowds or near or facts.mentioned(with_related_words(name))


_Judge = Callable[[re.Match[str], list[str], ImageFacts], list[Truth]]
# Pattern, kind of claim, whether only one choice may be true, and what judges the choices; the first that fits counts.
_FORMS: list[tuple[re.Pattern[str], str, bool, _Judge]] = [
    (forms.COUNT_QUESTION, "count", True, _judge_count),
    (forms.PRESENCE_QUESTION, "presence", True, _judge_presence),
    (forms.WHICH_PRESENT_QUESTION, "presence", False, _judge_which_present),
    (forms.IS_THERE_QUESTION, "presence", True, _judge_is_there),
    (forms.TOPIC_QUESTION, "presence", False, _judge_topic),
    (forms.PLACE_QUESTION, "place", False, _judge_place),
    (forms.SIDE_QUESTION, "side", False, _judge_side),
    (forms.BESIDE_QUESTION, "side", False, _judge_beside),
    (forms.OUTERMOST_QUESTION, "place", False, _judge_outermost),
    (forms.MORE_QUESTION, "count", True, _judge_more),
    (forms.SIZE_QUESTION, "size", True, _judge_size),
]
