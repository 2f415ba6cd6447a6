"""Step 4: boxes that the teacher copied from its prompt into a question, a choice or a rationale.

The student never sees boxes, so a text that relies on them teaches nothing. A box that only stands beside its noun is
removed; where the sentence would be incomplete without the box, the text is given up.
"""

import re
from collections.abc import Iterator

# one number of a box: "0.25" · ".5" · "120" · "50%", or its name, "x1" · "y_max"
_NUMBER = r"-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}|[xy](?:\d|_?min|_?max))%?"
_FRACTION = r"(?:0?\.\d{1,8}|1\.0{1,8})"
# "x1=" · "y_min: " · "w = ", and with a number behind it
_NAME = r"[xywh](?:_?\d|_?min|_?max)? ?[=:] ?"
_NAMED = rf"{_NAME}-?(?:\d{{1,6}}(?:\.\d{{0,8}})?|\.\d{{1,8}})%?"
# "(x=3, y=4)" may be a point that a picture shows; it is a box where it has a fraction or the corner x1, y1.
_CORNER = r"(?=[xy](?:_?1|_?min)[^\])}]{1,14}[xy](?:_?1|_?min)|[xy][^\])}]{1,60}[=:] ?0?\.\d)"
# Four kinds: any numbers in square brackets, [12, 30, 56, 80]; fractions in other brackets, (.1, .2, .3, .4); fractions
# with spaces alone between them, (0.1 0.2 0.3 0.4); and named numbers, [x1=10, y1=20]
_BOX = (
    rf"\[{{1,2}} ?{_NUMBER}(?: ?[,;] ?{_NUMBER}){{1,7}} ?\]{{1,2}}"
    rf"|[({{] ?{_FRACTION}(?: ?[,;] ?(?:{_FRACTION}|[01])){{1,7}} ?[)}}]"
    # Only fractions: spaces stand between the numbers of many other texts too.
    rf"|[\[({{] ?(?:{_FRACTION}|[01](?=(?: [01])? 0?\.\d))(?:(?: ?[,;] ?| )(?:{_FRACTION}|[01])){{1,7}} ?[\])}}]"
    rf"|[\[({{] ?{_CORNER}{_NAMED}(?: ?[,;]? ?{_NAMED}){{1,7}} ?[\])}}]"
)
_BOXES = rf"(?:{_BOX})(?:(?: ?[,;&]| and|, and) ?(?:{_BOX}))*"
# matches " (at [..] and [..])" as `inner` and " [..], [..]" as `bare`
_RUN = re.compile(
    rf"\( ?(?:(?:at|in|box|bbox):? ?)?(?P<inner>{_BOXES}) ?\)|(?P<bare>{_BOXES})", re.IGNORECASE
)
_OPENING = re.compile(r"[\[({]")
# A box that was cut short or written without brackets: "0.1, 0.2, 0.3" · "0.1 0.2 0.3 0.4" · "[0.12, " · "x=0.1, y=0.2".
# No sentence has three fractions in a row.
_REMAINS = re.compile(
    rf"{_FRACTION}\s?[,;]\s?{_FRACTION}\s?[,;]\s?{_FRACTION}|0\.\d{{1,8}}(?:\s0\.\d{{1,8}}){{3}}"
    rf"|[\[{{(]\s?0?\.\d{{2,8}}(?:\s?,|\s0?\.\d)"
    rf"|\b{_NAME}{_FRACTION}(?:\s?[,;]|\sand)\s?{_NAME}{_FRACTION}",
    re.IGNORECASE,
)
# Whatever _RUN and _REMAINS find holds a match of one of these four, which are fast: "[0" · ".5," · ".5 0.6" · "=0.1"
_OPENED = re.compile(r"[\[({][ \[]{0,2}[-.\dxyXY]")
_LISTED = re.compile(r"\.\d{1,8}\s?[,;]")
_SPACED = re.compile(r"\.\d{1,8}\s0\.\d")
_ASSIGNED = re.compile(r"[=:] ?(?:0?\.\d|1\.0)")
# matches "bounding box" · "bbox" · "coordinates" · "x-coordinate" · "located at [0.1" · "located at 0.1, 0.2"
_MENTIONS_BOXES = re.compile(
    r"\bbounding[\s_-]{0,2}box|\bbbox|\bcoordinates\b|\b[xy][\s-]?coordinate\b|\bcoordinate\s?[\[(\d]"
    r"|\blocated\s{1,2}at\s?:?\s?(?:[\[(]\s?[\d.\-xy\]]|[xy]\d?\s?[=:]\s?(?:\d?\.\d|\d{2})"
    rf"|{_FRACTION}(?:\s?[,;]|\sand)?\s?{_FRACTION})",
    re.IGNORECASE,
)
# One character for each, so that a position found in the one text holds in the other.
_NARROW = str.maketrans("［］（）｛｝，；、．：＝０１２３４５６７８９", "[](){},;,.:=0123456789")
# Before a box, these words need it as their object: "at [..]", "people and [..] are", "covers [..]".
_NEEDS_OBJECT = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those and or but nor at in on to of from by with within near inside outside around "
        "between behind beside under underneath beneath above below over along alongside across against into onto "
        "upon atop through off past beyond among opposite without towards toward for is are was were be been being as "
        "than like its their his her has have had covers cover occupies occupy spans span fills fill shows show sees "
        "see takes take reaches reach extends region area box boxes position location point points place range values "
        "value corner",
    )
)
# Any other word in -ing before a box is a verb with the box as its object: "the man riding [..] is old".
_NOUNS_IN_ING = frozenset(
    re.findall(
        r"\w+",
        "anything awning bedding building bunting ceiling clothing crossing darling duckling dumpling earring evening "
        "everything flooring frosting gosling herring icing king lightning morning nothing offspring opening painting "
        "plaything pudding railing ring sapling scaffolding shelving sibling sling something spring stocking string "
        "swing thing topping viking wedding wing",
    )
)
# matches "the clearing" · "a parking" before a box: a noun, whatever its ending
_NAMED_IN_ING = re.compile(r"(?:^|[\s(])(?:the|an?) \w{1,40}$", re.IGNORECASE)
# Behind a person or a form of "be", most of the nouns above are verbs: "the woman painting [..]", "he is icing [..]".
_VERB_IN_ING = re.compile(
    r"\b(?:man|men|woman|women|boys?|girls?|child|children|kids?|lady|ladies|guys?|person|people|couple|workers?|artist|"
    r"someone|he|she|they|who|while|(?<!there )(?:is|are|was|were)) "
    r"(?:building|crossing|frosting|icing|opening|painting|stocking|swing|topping)$",
    re.IGNORECASE,
)
# matches a noun phrase: one word behind these and up to two adjectives, "the small dog [..]" · "with skis [..]"
_BEFORE_NOUN = re.compile(
    r"(?:^|[\s(])(?:the|an?|this|that|these|those|one|two|three|four|both|some|several|many|his|her|its|their|with|"
    r"of|on|by|near|behind|beside|holding|wearing) (?:(?:red|blue|green|yellow|orange|black|white|grey|gray|brown|"
    r"pink|purple|large|small|big|little|tall|young|old|older|younger|wooden|metal) ){0,2}[\w'-]{1,40}$",
    re.IGNORECASE,
)
# COCO's categories of two words, as prompts write them beside their boxes; none of them can be a verb.
_COMPOUND = re.compile(
    r"\b(?:cell phone|tennis racket|baseball bat|baseball glove|traffic light|fire hydrant|stop sign|parking meter|"
    r"sports ball|wine glass|hot dog|potted plant|dining table|teddy bear|hair drier)(?:e?s)?$",
    re.IGNORECASE,
)
# matches " is" of "the dog [..] is brown"
_VERB_AFTER = re.compile(r" (?:is|are|was|were|can|could|may|will|appears?|seems?)\b", re.IGNORECASE)


# Directly before and behind a box that stands inside a word, whose parts would be joined without it: "<im" and "age>" of
# "<im([0.1, 0.2, 0.3, 0.4])age>", "<|im" and "_end|>"
_ENDS_INSIDE = re.compile(r"[\w<|/]\Z")
_GOES_ON = re.compile(r"[\w|>]")
_LAST_WORD = re.compile(r"[^\W_]{1,40}$")


def mentions_boxes(text: str) -> bool:
    """Whether the text mentions boxes or coordinates as such, or that something is "located at [..]"."""
    return may_mention_boxes(text.casefold()) and bool(_MENTIONS_BOXES.search(_narrow(text)))


def may_mention_boxes(plain: str) -> bool:
    """A fast check of a casefolded text: False where `mentions_boxes` is surely False."""
    return "box" in plain or "coordinate" in plain or "located" in plain


def has_box(text: str) -> bool:
    """Whether there is a box in the text."""
    return next(_runs(_narrow(text)), None) is not None


def _narrow(text: str) -> str:
    """The text with full-width brackets, commas and digits as those of ASCII; of the same length."""
    return text if text.isascii() else text.translate(_NARROW)


def _runs(text: str) -> Iterator[re.Match[str]]:
    """The matches of `_RUN`, which is slow and so tried only at opening brackets."""
    end = 0
    for opening in _OPENING.finditer(text):
        if opening.start() >= end and (match := _RUN.match(text, opening.start())):
            yield match
            end = match.end()


def may_hold_box(text: str) -> bool:
    """A fast check: False where there is surely no box and no remains of one."""
    text = _narrow(text)
    if ("[" in text or "(" in text or "{" in text) and _OPENED.search(text):
        return True
    if ("," in text or ";" in text) and _LISTED.search(text):
        return True
    if " 0." in text and _SPACED.search(text):
        return True
    return ("=" in text or ":" in text) and _ASSIGNED.search(text) is not None


def without_boxes(text: str, *, sentence: bool = True) -> str | None:
    """The one-line text without its boxes; None where a sentence would be incomplete without one.

    A text without boxes is returned as it is. A choice (`sentence=False`) may also be a noun and its box, or a box
    alone, of which "" is left.
    """
    if not may_hold_box(text):
        return text
    kept, end = [], 0
    for match in _runs(_narrow(text)):
        # one space before a box is removed with it
        start = match.start() - text.startswith(" ", max(end, match.start() - 1))
        before, after = text[max(end, start - 100) : start], text[match.end() : match.end() + 20]
        if start == match.start() and _ENDS_INSIDE.search(before) and _GOES_ON.match(after):
            return None
        if not _removable(before, after, bare=match["bare"] is not None, sentence=sentence):
            return None
        kept.append(text[end:start])
        end = match.end()
    cleaned = "".join([*kept, text[end:]]).strip() if kept else text
    # a box that was cut short, or written without brackets, is not removed
    return None if may_hold_box(cleaned) and _REMAINS.search(_narrow(cleaned)) else cleaned


def _removable(before: str, after: str, *, bare: bool, sentence: bool) -> bool:
    """Whether a box between these texts can be removed; `bare`: it has no round brackets around it."""
    before = before.rstrip()
    if not before:
        return not sentence and not after.strip(" .,;")
    word = _LAST_WORD.search(before[before.rfind(" ") + 1 :])
    # behind punctuation, or a word that needs an object, the box is a part of the sentence
    if word is None or word[0].casefold() in _NEEDS_OBJECT or _is_verb_in_ing(before, word[0].casefold()):
        return False
    # round brackets make it a remark: "the dog ([0.1, 0.2, 0.3, 0.4]) runs"
    if not bare:
        return True
    if not sentence and not after.strip(" .,;"):
        return True
    # The word before the box must be a noun, not a verb that needs an object: see the three patterns.
    return bool(_VERB_AFTER.match(after) or _COMPOUND.search(before[-20:]) or _BEFORE_NOUN.search(before))


def _is_verb_in_ing(before: str, word: str) -> bool:
    """Whether `word`, the last one of `before`, is a verb in -ing with an object."""
    if not word.endswith("ing"):
        return False
    if word in _NOUNS_IN_ING:
        return bool(_VERB_IN_ING.search(before[-40:]))
    return not _NAMED_IN_ING.search(before)
