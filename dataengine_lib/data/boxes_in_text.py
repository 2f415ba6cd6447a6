"""Step 4: boxes that the teacher copied from its prompt into a question, a choice or a rationale.

The student never sees boxes, so text that leans on them cannot be learnt from. A box that only stands beside
its noun is taken out; where taking it out would leave a hole in the sentence, the text is given up.
"""

import re
from collections.abc import Iterator

_NUMBER = r"-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}|[xy](?:\d|_?min|_?max))%?"
_FRACTION = r"(?:0?\.\d{1,8}|1\.0{1,8})"
_BOX = (
    rf"\[{{1,2}} ?{_NUMBER}(?: ?[,;] ?{_NUMBER}){{1,7}} ?\]{{1,2}}"
    rf"|[({{] ?{_FRACTION}(?: ?[,;] ?(?:{_FRACTION}|[01])){{1,7}} ?[)}}]"
)
_BOXES = rf"(?:{_BOX})(?:(?: ?[,;&]| and|, and) ?(?:{_BOX}))*"
_RUN = re.compile(
    rf"\( ?(?:(?:at|in|box|bbox):? ?)?(?P<inner>{_BOXES}) ?\)|(?P<bare>{_BOXES})", re.IGNORECASE
)
_OPENING = re.compile(r"[\[({]")
# A box that was cut short or written without brackets; no sentence has three fractions in a row.
_REMAINS = re.compile(rf"{_FRACTION}\s?[,;]\s?{_FRACTION}\s?[,;]\s?{_FRACTION}|[\[{{(]\s?0?\.\d{{2,8}}\s?,")
# One of these two is part of whatever the two above find.
_OPENED = re.compile(r"[\[({][ \[]{0,2}[-.\dxyXY]")
_LISTED = re.compile(r"\.\d{1,8}\s?[,;]")
_SPEAKS = re.compile(
    r"\bbounding[\s_-]{0,2}box|\bbbox|\bcoordinates\b|\b[xy][\s-]?coordinate\b|\bcoordinate\s?[\[(\d]|\blocated\s{1,2}at\s?:?\s?[\[(]\s?[\d.\-xy\]]",
    re.IGNORECASE,
)
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
        "around",
        "between",
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
    return may_speak_of_boxes(text.casefold()) and bool(_SPEAKS.search(text))


def may_speak_of_boxes(plain: str) -> bool:
    """False where a text of these words, in lower case, surely does not speak of boxes; quick."""
    return "box" in plain or "coordinate" in plain or "located" in plain


def has_box(text: str) -> bool:
    """There is a box in the text."""
    return next(_runs(text), None) is not None


def _runs(text: str) -> Iterator[re.Match[str]]:
    """`_RUN.finditer`, tried only at opening brackets."""
    end = 0
    for opening in _OPENING.finditer(text):
        if opening.start() >= end and (match := _RUN.match(text, opening.start())):
            yield match
            end = match.end()


def may_hold_box(text: str) -> bool:
    """False where there is surely no box and nothing like the remains of one; quick."""
    if ("[" in text or "(" in text or "{" in text) and _OPENED.search(text):
        return True
    return ("," in text or ";" in text) and _LISTED.search(text) is not None


def without_boxes(text: str, *, sentence: bool = True) -> str | None:
    """The one-line text with its boxes taken out, None when that would leave a hole; no box, the same text.

    A choice (`sentence=False`) may also be only a noun and its box, or only a box (then "" is left).
    """
    if not may_hold_box(text):
        return text
    kept, end = [], 0
    for match in _runs(text):
        start = match.start() - text.startswith(" ", max(end, match.start() - 1))
        before, after = text[max(end, start - 100) : start], text[match.end() : match.end() + 20]
        if not _can_go(before, after, bare=match["bare"] is not None, sentence=sentence):
            return None
        kept.append(text[end:start])
        end = match.end()
    cleaned = "".join([*kept, text[end:]]).strip() if kept else text
    return None if may_hold_box(cleaned) and _REMAINS.search(cleaned) else cleaned


def _can_go(before: str, after: str, *, bare: bool, sentence: bool) -> bool:
    before = before.rstrip()
    if not before:
        return not sentence and not after.strip(" .,;")
    word = _LAST_WORD.search(before[before.rfind(" ") + 1 :])
    if word is None or word[0].casefold() in _NEEDS:
        return False
    if not bare:
        return True
    if not sentence and not after.strip(" .,;"):
        return True
    # A noun, not a verb that needs an object: straight after "the", or with a verb of its own behind the box.
    return bool(_VERB_AFTER.match(after) or _COMPOUND.search(before[-20:]) or _BEFORE_NOUN.search(before))
