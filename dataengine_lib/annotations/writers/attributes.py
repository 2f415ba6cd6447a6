"""Step 3, annotations teacher: the colour or the material that two captions agree on for a thing."""

import re
from collections.abc import Collection
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.draft import Draft
from dataengine_lib.annotations.facts import Facts
from dataengine_lib.annotations.vocabulary import called, mention, plural

AGREE = 2  # captions that say the same before it counts as seen

# Word of a caption: what the answer calls it, and what is too near to be called wrong.
COLOURS = {
    "red": ("red", "orange pink brown"),
    "orange": ("orange", "red yellow brown"),
    "yellow": ("yellow", "orange brown"),
    "green": ("green", "blue"),
    "blue": ("blue", "green purple"),
    "purple": ("purple", "blue pink"),
    "pink": ("pink", "red purple"),
    "brown": ("brown", "orange red yellow"),
    "black": ("black", "gray"),
    "white": ("white", "gray"),
    "gray": ("gray", "white black blue"),
    "grey": ("gray", "white black blue"),
    "silver": ("silver", "gray white"),
    "gold": ("gold", "yellow orange brown"),
    "tan": ("tan", "brown orange yellow white"),
    "beige": ("beige", "brown yellow white gray"),
}
# Said of a thing these contradict any one colour; none of them is an answer.
_NO_ONE_COLOUR = (
    "colorful colourful multicolored multi-colored striped rainbow plaid checkered spotted dalmatian tabby calico "
    "blonde maroon teal turquoise cream golden navy violet bronze copper rusty rusted"
)
_COMMON = {
    "white": 5,
    "black": 5,
    "red": 4,
    "blue": 4,
    "green": 3,
    "brown": 3,
    "gray": 3,
    "yellow": 3,
    "orange": 1,
}
_FUR = {"black": 5, "white": 5, "brown": 5, "gray": 3, "orange": 1}

MATERIALS = {
    "wooden": ("wood", "cardboard wicker"),
    "wood": ("wood", "cardboard wicker"),
    "brick": ("brick", "stone concrete"),
    "stone": ("stone", "brick concrete marble"),
    "marble": ("marble", "stone concrete glass"),
    "concrete": ("concrete", "stone brick"),
    "cement": ("concrete", "stone brick"),
    "metal": ("metal", ""),
    "metallic": ("metal", ""),
    "steel": ("metal", ""),
    "iron": ("metal", ""),
    "glass": ("glass", "plastic"),
    "plastic": ("plastic", "glass cardboard"),
    "leather": ("leather", "plastic fabric"),
    "wicker": ("wicker", "wood"),
    "cardboard": ("cardboard", "wood plastic"),
}
_USUAL = {
    "wood": 4,
    "metal": 4,
    "glass": 3,
    "plastic": 4,
    "stone": 2,
    "brick": 2,
    "leather": 2,
    "concrete": 2,
}

# Of COCO's categories those that come in many colours; a stop sign or a banana is guessed without looking.
_COLOURED = (
    "bicycle|car|motorcycle|airplane|bus|train|truck|boat|fire hydrant|parking meter|bench|backpack|umbrella|"
    "handbag|tie|suitcase|frisbee|snowboard|kite|surfboard|skateboard|bottle|cup|bowl|chair|couch|bed|toilet|"
    "refrigerator|vase|scissors|teddy bear|toothbrush|cell phone|keyboard|laptop|oven|sink|remote|clock|apple"
)
_FURRED = frozenset({"bird", "cat", "dog", "horse", "sheep", "cow", "bear"})
_CLOTHES = frozenset({"shirt", "jacket", "coat", "hat", "helmet", "dress", "wetsuit", "uniform"})
# Things outside COCO's categories that captions speak of one at a time.
_OTHERS = (
    "shirt|jacket|coat|hat|helmet|dress|wetsuit|uniform|plate|tray|wall|walls|building|house|fence|flowers|blanket|"
    "carpet|rug|cabinets|tablecloth|basket|door|table|counter|desk|pole|church|tower|bridge|box|tent|lamp|headboard"
)
_MADE = "bench|chair|vase|bowl|dining table|boat|suitcase|couch|sink|clock"
_OTHERS_MADE = (
    "table|desk|counter|fence|building|house|wall|walls|door|floor|plate|tray|basket|box|bridge|church|tower|cabinets|"
    "shelf|pole|cutting board|headboard|deck|dock|platform|sidewalk|jacket"
)
_GRAY_PICTURE = re.compile(
    r"black[ -](?:and|&)[ -]white (?:\w+ )?(?:photo|picture|image|pic|shot|view)|monochrom|sepia|gr[ae]y ?scale|colou?rized"
)


class Said(NamedTuple):
    """Of one thing: the word that captions agree on, and the same as the answer calls it."""

    noun: str
    word: str
    answer: str


def colour(facts: Facts, rng: Random) -> Draft | None:
    """What colour a thing has; the wrong ones are in no caption and not near the right one."""
    if any(_GRAY_PICTURE.search(caption) for caption in facts.captions):
        return None
    found = _agreed(facts, COLOURS, _nouns(facts, {*_FURRED, *_COLOURED.split("|")}, _OTHERS.split("|")))
    if not found:
        return None
    noun, word, answer = rng.choice(found)
    wrong = _wrong(facts, rng, noun, COLOURS, word, _FUR if noun in _FURRED else _COMMON)
    if len(wrong) < 3:
        return None
    verb = "are" if is_plural(noun) else "is"
    return Draft(f"What colour {verb} the {noun}?", answer, wrong, f"The {noun} {verb} {answer}.")


def material(facts: Facts, rng: Random) -> Draft | None:
    """What a thing is made of."""
    found = _agreed(facts, MATERIALS, _nouns(facts, {*_MADE.split("|")}, _OTHERS_MADE.split("|")))
    if not found:
        return None
    noun, word, answer = rng.choice(found)
    wrong = _wrong(facts, rng, noun, MATERIALS, word, _USUAL)
    if len(wrong) < 3:
        return None
    verb = "are" if is_plural(noun) else "is"
    return Draft(f"What {verb} the {noun} made of?", answer, wrong, f"The {noun} {verb} made of {answer}.")


def _nouns(facts: Facts, categories: set[str], others: list[str]) -> list[str]:
    """Things that a question may call "the": one of them is there, as far as boxes and captions tell."""
    singles = facts.singles()
    if not facts.complete:
        return [name for name in singles if name in categories or name in others]
    return [name for name in singles if name in categories] + [
        noun
        for noun in others
        if (noun not in _CLOTHES or "person" in singles)
        and (is_plural(noun) or not facts.mentioned_exactly(plural(noun)))
    ]


def _agreed(facts: Facts, words: dict[str, tuple[str, str]], nouns: list[str]) -> list[Said]:
    found = []
    known = {*words, *(_NO_ONE_COLOUR.split() if words is COLOURS else ())}
    for noun in nouns:
        said = [said_of(noun, caption, known) for caption in facts.captions]
        each = {frozenset(words[w][0] if w in words else w for w in s) for s in said if s}
        if len(each) == 1 and len(answer := next(iter(each))) == 1 and sum(map(bool, said)) >= AGREE:
            word = next(w for s in said for w in sorted(s))
            if word in words:
                found.append(Said(noun, word, next(iter(answer))))
    return found


def _wrong(
    facts: Facts, rng: Random, noun: str, words: dict[str, tuple[str, str]], right: str, usual: dict[str, int]
) -> tuple[str, ...]:
    """Three answers that nothing said near the thing speaks of, the usual ones more often."""
    answer, near = words[right]
    out = {answer, *near.split()}
    for word, (name, _) in words.items():
        if any(re.search(rf"\b{word}", caption) for caption in facts.around(noun)):
            out.add(name)
    keys = {name: rng.random() ** (1 / weight) for name, weight in usual.items() if name not in out}
    return tuple(sorted(keys, key=lambda name: (-keys[name], name))[:3])


# May stand between the word that is looked for and its noun.
_ADJECTIVES = (
    "big large small little tiny huge tall short long old new young modern antique vintage shiny bright dark light "
    "pale deep dirty clean parked open closed empty round square rectangular metal wooden wood brick stone glass "
    "plastic leather concrete marble steel double decker passenger city public commercial electric stuffed baby "
    "fluffy furry shaggy very pretty beautiful cute nice lone single plain solid fancy ornate adult male female "
    "pickup cargo garbage dump fire tow delivery school tour freight steam polar mountain dirt folding park"
)


_BEFORE = frozenset({*_ADJECTIVES.split(), "and", ",", "&"})


# A noun before any other word may only be the first half of another noun: a bus stop, a car door.
_GOES_ON = re.compile(
    r"(?:is|are|was|were|has|have|had|that|which|who|and|or|but|in|on|at|of|to|by|for|from|with|without|near|next|"
    r"beside|besides|behind|under|underneath|below|above|over|against|along|alongside|atop|around|across|between|"
    r"inside|outside|off|down|up|through|into|onto|among|amongst|as|while|front|sit|stand|lie|lay|rest|sits|stands|"
    r"lays|lies|rests|drives|goes|passes|flies|waits|travels|rides|moves|eats|looks|walks|runs|grazes|\w+ing|\w+ed)\Z"
)


_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")


_PLURALS = frozenset({"walls", "flowers", "cabinets", "scissors", "skis"})


def said_of(noun: str, caption: str, words: Collection[str]) -> set[str]:
    """Which of the words the caption says of the noun: "a red and white bus", "the bus is red"."""
    found: set[str] = set()
    forms = (noun,) if is_plural(noun) else called(noun)
    for match in mention(forms).finditer(caption):
        after = _TOKEN.findall(caption[match.end() :])[:4]
        if after and re.match(r"\w", after[0]) and not _GOES_ON.match(after[0]):
            continue
        for token in reversed(_TOKEN.findall(caption[: match.start()])):
            if token in words:
                found.add(token)
            elif token not in _BEFORE:
                break
        if len(after) > 1 and after[0] in ("is", "are"):
            found |= {token for token in after[1:2] if token in words}
            if after[1] in words and len(after) == 4 and after[2] in ("and", "&", ","):
                found |= {after[3]} & {*words}
    return found


def is_plural(noun: str) -> bool:
    """The noun is a plural as it stands here."""
    return noun in _PLURALS
