"""Step 3, annotations teacher: questions about the colour or the material of a thing, if two captions agree on it."""

import re
from collections.abc import Collection
from random import Random
from typing import NamedTuple

from dataengine_lib.annotations.draft import QaDraft
from dataengine_lib.annotations.facts import AGREEING_CAPTIONS, ImageFacts
from dataengine_lib.annotations.vocabulary import mention_pattern, plural, with_synonyms

# Word of a caption -> the answer's word for it, and words that are too similar to be used as wrong answers.
_COLOURS = {
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
# Words for a thing that exclude any single colour; none of them is used as an answer.
_NO_ONE_COLOUR = (
    "colorful colourful multicolored multi-colored striped rainbow plaid checkered spotted dalmatian tabby calico "
    "blonde maroon teal turquoise cream golden navy violet bronze copper rusty rusted"
)
# Wrong answers are drawn with these weights, roughly how often people use the colours.
_COLOUR_WEIGHTS = {
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
_FUR_WEIGHTS = {"black": 5, "white": 5, "brown": 5, "gray": 3, "orange": 1}

# As _COLOURS, for materials.
_MATERIALS = {
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
_MATERIAL_WEIGHTS = {
    "wood": 4,
    "metal": 4,
    "glass": 3,
    "plastic": 4,
    "stone": 2,
    "brick": 2,
    "leather": 2,
    "concrete": 2,
}

# COCO's categories that come in many colours; the colour of a stop sign or a banana can be guessed without the image.
_COLOURED = (
    "bicycle|car|motorcycle|airplane|bus|train|truck|boat|fire hydrant|parking meter|bench|backpack|umbrella|"
    "handbag|tie|suitcase|frisbee|snowboard|kite|surfboard|skateboard|bottle|cup|bowl|chair|couch|bed|toilet|"
    "refrigerator|vase|scissors|teddy bear|toothbrush|cell phone|keyboard|laptop|oven|sink|remote|clock|apple"
)
_FURRED = frozenset({"bird", "cat", "dog", "horse", "sheep", "cow", "bear"})
_CLOTHES = frozenset({"shirt", "jacket", "coat", "hat", "helmet", "dress", "wetsuit", "uniform"})
# Things outside COCO's categories that captions usually mention one at a time.
_OTHER_COLOURED = (
    "shirt|jacket|coat|hat|helmet|dress|wetsuit|uniform|plate|tray|wall|walls|building|house|fence|flowers|blanket|"
    "carpet|rug|cabinets|tablecloth|basket|door|table|counter|desk|pole|church|tower|bridge|box|tent|lamp|headboard"
)
# Things that come in several materials: COCO's categories, and others.
_WITH_MATERIAL = "bench|chair|vase|bowl|dining table|boat|suitcase|couch|sink|clock"
_OTHER_WITH_MATERIAL = (
    "table|desk|counter|fence|building|house|wall|walls|door|floor|plate|tray|basket|box|bridge|church|tower|cabinets|"
    "shelf|pole|cutting board|headboard|deck|dock|platform|sidewalk|jacket"
)
# Words that may stand between the attribute and its noun: a red "double decker" bus.
_ADJECTIVES = (
    "big large small little tiny huge tall short long old new young modern antique vintage shiny bright dark light "
    "pale deep dirty clean parked open closed empty round square rectangular metal wooden wood brick stone glass "
    "plastic leather concrete marble steel double decker passenger city public commercial electric stuffed baby "
    "fluffy furry shaggy very pretty beautiful cute nice lone single plain solid fancy ornate adult male female "
    "pickup cargo garbage dump fire tow delivery school tour freight steam polar mountain dirt folding park"
)
_BETWEEN = frozenset({*_ADJECTIVES.split(), "and", ",", "&"})
# Words that may follow the noun. Before any other word it may be the first half of another noun: "bus stop", "car door".
_AFTER_NOUN = re.compile(
    r"(?:is|are|was|were|has|have|had|that|which|who|and|or|but|in|on|at|of|to|by|for|from|with|without|near|next|"
    r"beside|besides|behind|under|underneath|below|above|over|against|along|alongside|atop|around|across|between|"
    r"inside|outside|off|down|up|through|into|onto|among|amongst|as|while|front|sit|stand|lie|lay|rest|sits|stands|"
    r"lays|lies|rests|drives|goes|passes|flies|waits|travels|rides|moves|eats|looks|walks|runs|grazes|\w+ing|\w+ed)\Z"
)
# Words and single punctuation marks: "a red, white" -> a · red · , · white
_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")
_PLURALS = frozenset({"walls", "flowers", "cabinets", "scissors", "skis"})
# Black-and-white photos, in which no colour is certain: "a black and white photo of a dog", "sepia".
_GRAY_PICTURE = re.compile(
    r"black[ -](?:and|&)[ -]white (?:\w+ )?(?:photo|picture|image|pic|shot|view)|monochrom|sepia|gr[ae]y ?scale|colou?rized"
)


class _AgreedWord(NamedTuple):
    """The word that captions agree on for a thing, and the answer's word for it."""

    noun: str
    word: str
    answer: str


def write_colour(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What colour a thing has; wrong colours are in no caption and not similar to the right one."""
    if any(_GRAY_PICTURE.search(caption) for caption in facts.captions):
        return None
    found = _agreed(
        facts, _COLOURS, _nouns(facts, {*_FURRED, *_COLOURED.split("|")}, _OTHER_COLOURED.split("|"))
    )
    if not found:
        return None
    noun, word, answer = rng.choice(found)
    wrong = _wrong(facts, rng, noun, _COLOURS, word, _FUR_WEIGHTS if noun in _FURRED else _COLOUR_WEIGHTS)
    if len(wrong) < 3:
        return None
    verb = "are" if _is_plural(noun) else "is"
    return QaDraft(f"What colour {verb} the {noun}?", answer, wrong, f"The {noun} {verb} {answer}.")


def write_material(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What a thing is made of."""
    found = _agreed(
        facts, _MATERIALS, _nouns(facts, {*_WITH_MATERIAL.split("|")}, _OTHER_WITH_MATERIAL.split("|"))
    )
    if not found:
        return None
    noun, word, answer = rng.choice(found)
    wrong = _wrong(facts, rng, noun, _MATERIALS, word, _MATERIAL_WEIGHTS)
    if len(wrong) < 3:
        return None
    verb = "are" if _is_plural(noun) else "is"
    return QaDraft(f"What {verb} the {noun} made of?", answer, wrong, f"The {noun} {verb} made of {answer}.")


def _nouns(facts: ImageFacts, categories: set[str], others: list[str]) -> list[str]:
    """Things that are there once, as far as boxes and captions tell, so that a question may say "the"."""
    singles = facts.single_things()
    if not facts.boxes_are_complete:
        return [name for name in singles if name in categories or name in others]
    return [name for name in singles if name in categories] + [
        noun
        for noun in others
        # "the shirt" needs a single person; a singular noun, that no caption has its plural
        if (noun not in _CLOTHES or "person" in singles)
        and (_is_plural(noun) or not facts.mentioned_exactly(plural(noun)))
    ]


def _agreed(facts: ImageFacts, words: dict[str, tuple[str, str]], nouns: list[str]) -> list[_AgreedWord]:
    """For each noun the word that its captions agree on, if at least AGREEING_CAPTIONS have it and none has another."""
    found = []
    known = {*words, *(_NO_ONE_COLOUR.split() if words is _COLOURS else ())}
    for noun in nouns:
        per_caption = [_words_about(noun, caption, known) for caption in facts.captions]
        # "gray" and "grey" are the same answer, so captions that differ only in this agree
        each = {frozenset(words[w][0] if w in words else w for w in said) for said in per_caption if said}
        enough = sum(map(bool, per_caption)) >= AGREEING_CAPTIONS
        if len(each) == 1 and len(answer := next(iter(each))) == 1 and enough:
            word = next(word for said in per_caption for word in sorted(said))
            if word in words:
                found.append(_AgreedWord(noun, word, next(iter(answer))))
    return found


def _wrong(
    facts: ImageFacts,
    rng: Random,
    noun: str,
    words: dict[str, tuple[str, str]],
    right: str,
    weights: dict[str, int],
) -> tuple[str, ...]:
    """Three answers that no caption about the thing mentions; common ones are drawn more often."""
    answer, similar = words[right]
    excluded = {answer, *similar.split()}
    for word, (name, _) in words.items():
        # no end of the word in the pattern: "reddish" rules out red as well
        if any(re.search(rf"\b{word}", caption) for caption in facts.captions_about(noun)):
            excluded.add(name)
    # Weighted draws without replacement: Efraimidis and Spirakis 2006.
    keys = {name: rng.random() ** (1 / weight) for name, weight in weights.items() if name not in excluded}
    return tuple(sorted(keys, key=lambda name: (-keys[name], name))[:3])


def _words_about(noun: str, caption: str, words: Collection[str]) -> set[str]:
    """Which of the words the caption says about the noun: "a red and white bus", "the bus is red"."""
    found: set[str] = set()
    forms = (noun,) if _is_plural(noun) else with_synonyms(noun)
    for match in mention_pattern(forms).finditer(caption):
        after = _TOKEN.findall(caption[match.end() :])[:4]
        if after and re.match(r"\w", after[0]) and not _AFTER_NOUN.match(after[0]):
            continue
        # backwards from the noun, as long as adjectives go on: "a red and white double decker" bus
        for token in reversed(_TOKEN.findall(caption[: match.start()])):
            if token in words:
                found.add(token)
            elif token not in _BETWEEN:
                break
        # behind the noun: "is red", "is red and white"
        if len(after) > 1 and after[0] in ("is", "are"):
            found |= {token for token in after[1:2] if token in words}
            if after[1] in words and len(after) == 4 and after[2] in ("and", "&", ","):
                found |= {after[3]} & {*words}
    return found


def _is_plural(noun: str) -> bool:
    """True if the noun is a plural in the lists of this module."""
    return noun in _PLURALS
