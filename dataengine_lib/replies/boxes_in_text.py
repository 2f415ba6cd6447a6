"""Step 4: boxes that the teacher copied from its prompt into a question, a choice or a rationale.

The student never sees boxes, so text that leans on them cannot be learnt from. A box that only stands beside
its noun is taken out; where taking it out would leave a hole in the sentence, the text is given up.
"""

import re
from collections.abc import Iterator

_NUMBER = r"-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}|[xy](?:\d|_?min|_?max))%?"
_FRACTION = r"(?:0?\.\d{1,8}|1\.0{1,8})"
_NAME = r"[xywh](?:_?\d|_?min|_?max)? ?[=:] ?"
_NAMED = rf"{_NAME}-?(?:\d{{1,6}}(?:\.\d{{0,8}})?|\.\d{{1,8}})%?"
# "(x=3, y=4)" may be a point that a picture shows: a fraction or the corner x1, y1 makes a box of it.
_CORNER = r"(?=[xy](?:_?1|_?min)[^\])}]{1,14}[xy](?:_?1|_?min)|[xy][^\])}]{1,60}[=:] ?0?\.\d)"
_BOX = (
    rf"\[{{1,2}} ?{_NUMBER}(?: ?[,;] ?{_NUMBER}){{1,7}} ?\]{{1,2}}"
    rf"|[({{] ?{_FRACTION}(?: ?[,;] ?(?:{_FRACTION}|[01])){{1,7}} ?[)}}]"
    # Spaces alone stand between the numbers of many other texts: fractions only.
    rf"|[\[({{] ?(?:{_FRACTION}|[01](?=(?: [01])? 0?\.\d))(?:(?: ?[,;] ?| )(?:{_FRACTION}|[01])){{1,7}} ?[\])}}]"
    rf"|[\[({{] ?{_CORNER}{_NAMED}(?: ?[,;]? ?{_NAMED}){{1,7}} ?[\])}}]"
)
_BOXES = rf"(?:{_BOX})(?:(?: ?[,;&]| and|, and) ?(?:{_BOX}))*"
_RUN = re.compile(
    rf"\( ?(?:(?:at|in|box|bbox):? ?)?(?P<inner>{_BOXES}) ?\)|(?P<bare>{_BOXES})", re.IGNORECASE
)
_OPENING = re.compile(r"[\[({]")
# A box that was cut short or written without brackets; no sentence has three fractions in a row.
_REMAINS = re.compile(
    rf"{_FRACTION}\s?[,;]\s?{_FRACTION}\s?[,;]\s?{_FRACTION}|0\.\d{{1,8}}(?:\s0\.\d{{1,8}}){{3}}"
    rf"|[\[{{(]\s?0?\.\d{{2,8}}(?:\s?,|\s0?\.\d)"
    rf"|\b{_NAME}{_FRACTION}(?:\s?[,;]|\sand)\s?{_NAME}{_FRACTION}",
    re.IGNORECASE,
)
# One of these four is part of whatever the two above find.
_OPENED = re.compile(r"[\[({][ \[]{0,2}[-.\dxyXY]")
_LISTED = re.compile(r"\.\d{1,8}\s?[,;]")
_SPACED = re.compile(r"\.\d{1,8}\s0\.\d")
_ASSIGNED = re.compile(r"[=:] ?(?:0?\.\d|1\.0)")
_SPEAKS = re.compile(
    r"\bbounding[\s_-]{0,2}box|\bbbox|\bcoordinates\b|\b[xy][\s-]?coordinate\b|\bcoordinate\s?[\[(\d]"
    r"|\blocated\s{1,2}at\s?:?\s?(?:[\[(]\s?[\d.\-xy\]]|[xy]\d?\s?[=:]\s?(?:\d?\.\d|\d{2})"
    rf"|{_FRACTION}(?:\s?[,;]|\sand)?\s?{_FRACTION})",
    re.IGNORECASE,
)
# One character for one, so that what is found in the one text can be cut out of the other.
_NARROW = str.maketrans("［］（）｛｝，；、．：＝０１２３４５６７８９", "[](){},;,.:=0123456789")
# Before a box, these show that the sentence needs it: "at [..]", "people and [..] are", "covers [..]".
_NEEDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "and",
        "or",
        "but",
        "nor",
        "at",
        "in",
        "on",
        "to",
        "of",
        "from",
        "by",
        "with",
        "within",
        "near",
        "inside",
        "outside",
        "around",
        "between",
        "behind",
        "beside",
        "under",
        "underneath",
        "beneath",
        "above",
        "below",
        "over",
        "along",
        "alongside",
        "across",
        "against",
        "into",
        "onto",
        "upon",
        "atop",
        "through",
        "off",
        "past",
        "beyond",
        "among",
        "opposite",
        "without",
        "towards",
        "toward",
        "for",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "as",
        "than",
        "like",
        "its",
        "their",
        "his",
        "her",
        "has",
        "have",
        "had",
        "covers",
        "cover",
        "occupies",
        "occupy",
        "spans",
        "span",
        "fills",
        "fill",
        "shows",
        "show",
        "sees",
        "see",
        "takes",
        "take",
        "reaches",
        "reach",
        "extends",
        "region",
        "area",
        "box",
        "boxes",
        "position",
        "location",
        "point",
        "points",
        "place",
        "range",
        "values",
        "value",
        "corner",
    ]
)
# Other words in -ing before a box are verbs that have it for their object: "the man riding [..] is old".
_NOUNS_IN_ING = frozenset(
    re.findall(
        r"\w+",
        "anything awning bedding building bunting ceiling clothing crossing darling duckling dumpling earring evening "
        "everything flooring frosting gosling herring icing king lightning morning nothing offspring opening painting "
        "plaything pudding railing ring sapling scaffolding shelving sibling sling something spring stocking string "
        "swing thing topping viking wedding wing",
    )
)
_NAMED_IN_ING = re.compile(r"(?:^|[\s(])(?:the|an?) \w{1,40}$", re.IGNORECASE)
# After these even most of the nouns above are verbs.
_VERB_IN_ING = re.compile(
    r"\b(?:man|men|woman|women|boys?|girls?|child|children|kids?|lady|ladies|guys?|person|people|couple|workers?|artist|"
    r"someone|he|she|they|who|while|(?<!there )(?:is|are|was|were)) "
    r"(?:building|crossing|frosting|icing|opening|painting|stocking|swing|topping)$",
    re.IGNORECASE,
)
# A noun phrase: one word after these, with adjectives before it ("the small dog [..]", "with skis [..]").
_BEFORE_NOUN = re.compile(
    r"(?:^|[\s(])(?:the|an?|this|that|these|those|one|two|three|four|both|some|several|many|his|her|its|their|with|"
    r"of|on|by|near|behind|beside|holding|wearing) (?:(?:red|blue|green|yellow|orange|black|white|grey|gray|brown|"
    r"pink|purple|large|small|big|little|tall|young|old|older|younger|wooden|metal) ){0,2}[\w'-]{1,40}$",
    re.IGNORECASE,
)
# COCO's categories of two words: the boxes of a prompt stand beside them, and no verb is among them.
_COMPOUND = re.compile(
    r"\b(?:cell phone|tennis racket|baseball bat|baseball glove|traffic light|fire hydrant|stop sign|parking meter|"
    r"sports ball|wine glass|hot dog|potted plant|dining table|teddy bear|hair drier)(?:e?s)?$",
    re.IGNORECASE,
)
_VERB_AFTER = re.compile(r" (?:is|are|was|were|can|could|may|will|appears?|seems?)\b", re.IGNORECASE)


_LAST_WORD = re.compile(r"[^\W_]{1,40}$")


def speaks_of_boxes(text: str) -> bool:
    """The text talks about boxes or coordinates as such, or places something "at [..]"."""
    return may_speak_of_boxes(text.casefold()) and bool(_SPEAKS.search(_narrow(text)))


def may_speak_of_boxes(plain: str) -> bool:
    """False where a text of these words, in lower case, surely does not speak of boxes; quick."""
    return "box" in plain or "coordinate" in plain or "located" in plain


def has_box(text: str) -> bool:
    """There is a box in the text."""
    return next(_runs(_narrow(text)), None) is not None


def _narrow(text: str) -> str:
    """The text with brackets, commas and digits of full width as those of ASCII, of the same length."""
    return text if text.isascii() else text.translate(_NARROW)


def _runs(text: str) -> Iterator[re.Match[str]]:
    """`_RUN.finditer`, tried only at opening brackets."""
    end = 0
    for opening in _OPENING.finditer(text):
        if opening.start() >= end and (match := _RUN.match(text, opening.start())):
            yield match
            end = match.end()


def may_hold_box(text: str) -> bool:
    """False where there is surely no box and nothing like the remains of one; quick."""
    text = _narrow(text)
    if ("[" in text or "(" in text or "{" in text) and _OPENED.search(text):
        return True
    if ("," in text or ";" in text) and _LISTED.search(text):
        return True
    if " 0." in text and _SPACED.search(text):
        return True
    return ("=" in text or ":" in text) and _ASSIGNED.search(text) is not None


def without_boxes(text: str, *, sentence: bool = True) -> str | None:
    """The one-line text with its boxes taken out, None when that would leave a hole; no box, the same text.

    A choice (`sentence=False`) may also be only a noun and its box, or only a box (then "" is left).
    """
    if not may_hold_box(text):
        return text
    kept, end = [], 0
    for match in _runs(_narrow(text)):
        start = match.start() - text.startswith(" ", max(end, match.start() - 1))
        before, after = text[max(end, start - 100) : start], text[match.end() : match.end() + 20]
        if not _can_go(before, after, bare=match["bare"] is not None, sentence=sentence):
            return None
        kept.append(text[end:start])
        end = match.end()
    cleaned = "".join([*kept, text[end:]]).strip() if kept else text
    return None if may_hold_box(cleaned) and _REMAINS.search(_narrow(cleaned)) else cleaned


def _can_go(before: str, after: str, *, bare: bool, sentence: bool) -> bool:
    before = before.rstrip()
    if not before:
        return not sentence and not after.strip(" .,;")
    word = _LAST_WORD.search(before[before.rfind(" ") + 1 :])
    if word is None or word[0].casefold() in _NEEDS or _needs_object(before, word[0].casefold()):
        return False
    if not bare:
        return True
    if not sentence and not after.strip(" .,;"):
        return True
    # A noun, not a verb that needs an object: straight after "the", or with a verb of its own behind the box.
    return bool(_VERB_AFTER.match(after) or _COMPOUND.search(before[-20:]) or _BEFORE_NOUN.search(before))


def _needs_object(before: str, word: str) -> bool:
    """The text ends with this word, a verb in -ing."""
    if not word.endswith("ing"):
        return False
    if word in _NOUNS_IN_ING:
        return bool(_VERB_IN_ING.search(before[-40:]))
    return not _NAMED_IN_ING.search(before)
