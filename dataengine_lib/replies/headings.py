"""Step 4: a teacher's text reply, divided at its headings: question, choices, answer, explanation.

Every repetition in a pattern has a limit, so that the time is linear in the length of the reply.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# ASCII characters that plain_text changes; most replies have none of them, which is quick to find out
_ODD_ASCII = "\0\r\t\v\f\x1c\x1d\x1e\x1f"
_ODD_SPACES = (
    "\t\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_PLAIN = str.maketrans(
    {"（": "(", "）": ")", "：": ":", "．": ".", "\r": "\n"}
    | {chr(ord(letter) + 0xFEE0): letter for letter in "ABCDEFGHabcdefgh"}  # full width: Ａ is A
    | dict.fromkeys(_ODD_SPACES, " ")
    | dict.fromkeys("\0\u200b\ufeff")  # removed: NUL, zero-width space, byte order mark
)


def plain_text(raw: str) -> str:
    """The reply without Markdown marks, with short runs of white space (the patterns below rely on that)."""
    text = raw
    if not text.isascii() or any(map(text.__contains__, _ODD_ASCII)):
        text = text.replace("\r\n", "\n").translate(_PLAIN)
    if "**" in text:
        text = _BOLD.sub("", text)
    if "  " in text:
        text = _SPACES.sub(" ", text)
    if "```" in text or "---" in text or "___" in text or "***" in text:
        text = _RULE.sub("", text)
    if "\n\n" in text or "\n \n" in text:
        text = _EMPTY_LINES.sub("\n\n", text)
    return text.strip()


# matches the marks around "**bold**", not those of the powers "x**2" · "2 ** n"
_BOLD = re.compile(r"\*\*(?!(?<=[\w)]\*\*)\d|(?<=\w \*\*) \w)")
_SPACES = re.compile(r"  +")
# matches a line that is a Markdown rule or fence: "---" · "```json"
_RULE = re.compile(r"(?:(?<=\n)|\A) ?(?:```\w{0,10}|-{3,}|_{3,}|\*{3,}) ?(?=\n|\Z)")
_EMPTY_LINES = re.compile(r"\n(?: ?\n)+")

# words before "answer" in a heading: "The correct answer" · "Final answer"
_ANSWERS = r"(?:the|correct|right|best|final|my|expected|suggested|model|gold|actual|ground[ -]truth)"
# A heading and what ends it: a colon, the end of the line, or "is" behind a heading of the answer. It matches
# "Question:" · "### Question 2\n" · "**Choices:**" · "Answer choices:" · "1. Short answer:" · "Correct answer:" ·
# "The answer is" · "Explanatory note:" · "Step-by-step reasoning:"; `line` is the start of a line with its marks.
_HEADING = re.compile(
    r"(?P<line>^[#>*\-•_ ]{0,8}(?:\d{1,2}[.)] ?)?)?(?<!\w)(?:"
    r"(?P<type>question type)|(?P<question>(?:(?:the|new|next|generated|visual|multiple[ -]choice) ){0,2}question)|"
    r"(?P<choices>(?:(?:the|four|answer|possible|multiple(?:[ -]choice)?) ){0,2}(?:choices|options))|"
    rf"(?P<short>(?:the )?(?:short|direct) answer)|(?P<answer>(?:{_ANSWERS} ){{0,3}}answer|"
    r"(?:the )?(?:correct|right) (?:choice|option))|"
    r"(?P<explanation>(?:(?:the|my|brief|short|full|detailed|further|step-by-step) ){0,2}(?:"
    r"explai?nations?|explanatory notes?|reasons?|reasoning|rationales?|lecture|justification))"
    r")(?: ?#?\d{1,2})?[*_]{0,2} ?(?::[*_]{0,2}|(?=\n|\Z)|(?P<verb>is\b))",
    re.IGNORECASE | re.MULTILINE,
)
# The parts that a heading inside a line may follow; elsewhere, as in a rationale, it is text like any other.
_BEFORE = {
    "type": {"question", "answer", "explanation"},
    "question": {"answer", "explanation", "type"},
    "short": {"question", "choices", "answer"},
    "choices": {"question", "short"},
    "answer": {"choices", "short"},
    "explanation": {"choices", "answer", "short"},
}
# the same in replies without choices
_BEFORE_WITHOUT_CHOICES = _BEFORE | {"answer": {"question", "short"}, "short": {"question", "answer"}}

# The words before a known heading at the start of a line: "Chosen " of "Chosen Answer:". That is a heading of another
# name, so the known one inside it does not count.
_OTHER_NAME = re.compile(r"[#>*\-•_ ]{0,8}(?:[\w'-]{2,20} ){1,3}")

Block = list[tuple[str, str]]  # (kind of part, its text) in the order of the reply
_LONGEST_LABEL = 24  # characters of a line that announces the next part, "Choose one:"
_LONGEST_HEADING = 80  # characters of the longest heading with the marks before and behind it
# Where a heading may end: before a colon or a line's end, behind the last letters of its name ("…tion:" of "Question:")
# or a mark ("…**:"). One pattern each for colon and line end, as a set of characters is slower to search for than one.
# The groups begin with a set of letters, which rules most places out at once (IGNORECASE matches ſ, İ and ı as s and i).
_MAY_END = [
    re.compile(
        rf"{end}(?:(?<=[\d*_# ]{end})|(?<=(?:[tT](?i:ion|ype|ure)|[iIİı](?i:ces|ons)|[sSſ](?i:wer|ons)|"
        rf"[nN](?i:ote|ing|ale)|[oO](?i:tes|ice)|[aA](?i:son|les)){end}))"
    )
    for end in (":", "\n")
]
# matches "\nThe answer is" · "\n- **Correct option is": a heading that ends in no colon, at the start of a line
_LINE_ANSWER_IS = re.compile(
    r"\n(?=[#>*\-•_ \dtcsdarbfmeg])[#>*\-•_ ]{0,8}(?:\d{1,2}[.)] ?)?"
    rf"(?:(?:{_ANSWERS} ){{0,3}}answer|(?:the )?(?:(?:short|direct) answer|(?:correct|right) (?:choice|option)))"
    r"[ #\d*_]{0,7}is\b",
    re.IGNORECASE,
)


class _Heading(NamedTuple):
    """A match of `_HEADING`: the kind of part, its name as written, whether it begins a line, and what ends it."""

    kind: str
    name: str
    on_line: bool
    colon: bool
    verb: bool


_Found = tuple[_Heading, int, int]  # (heading, begin, end)


def _found(match: re.Match[str]) -> _Found:
    verb = match["verb"] is not None
    kind = match.lastgroup or ""
    if verb:
        kind = "short" if match["short"] else "answer"
    name = match[kind] or ""  # None where "is" follows a heading that is not the answer's
    heading = _Heading(kind, name, match["line"] is not None, ":" in match[0], verb)
    return heading, *match.span()


@lru_cache(maxsize=256)  # most headings of most replies are the same few
def _line_heading(line: str) -> _Found | None:
    """The heading that begins a line; `line` ends where a heading may end, with the marks behind its colon."""
    match = _HEADING.match(line)
    return _found(match) if match else None


def _headings(text: str) -> Iterator[_Found]:
    """The matches of `_HEADING` in their order, found faster than by `finditer`.

    The pattern is tried only where a heading may end. A line that begins with "The answer is" is rare and ends in no
    colon; a text that has one is searched as a whole.
    """
    if _LINE_ANSWER_IS.search("\n" + text):
        yield from map(_found, _HEADING.finditer(text))
        return
    done = 0
    lines = text + "\n"
    for at in sorted([end.start() for mark in _MAY_END for end in mark.finditer(lines)]):
        near = at - _LONGEST_HEADING if at > _LONGEST_HEADING else 0
        begin = text.rfind("\n", near, at) + 1 or near
        if begin < done:
            begin = done
        if begin == 0 or text[begin - 1] == "\n":
            stop = at + 1
            # marks behind the colon, of which a heading takes at most two: "__Question:__"
            if text.startswith(("*", "_"), stop) and text[at] == ":":
                stop += 2 if text.startswith(("*", "_"), stop + 1) else 1
            if known := _line_heading(text[begin:stop]):
                done = begin + known[2]
                yield known[0], begin, done
                begin = done
        # then headings inside the line; + 3: the colon or line end itself and two marks behind it
        while begin <= at and (match := _HEADING.search(text, begin, at + 3)):
            yield _found(match)
            done = begin = match.end()


def without_label(part: str) -> str:
    """A part without its last line where that only announces the next part: "Choose one:", "Here is another:"."""
    before, _, last = part.rpartition("\n")
    return before.rstrip() if last.endswith(":") and len(last) <= _LONGEST_LABEL and before else part


def blocks(text: str, choices: bool = True) -> list[Block]:
    """The parts of each question of the reply, empty where it has no heading of a question.

    `choices`: the questions have choices, so that an answer follows these and not the question itself.
    """
    found: list[Block] = []
    previous, begin, before = "", 0, _BEFORE if choices else _BEFORE_WITHOUT_CHOICES
    for heading, start, end in _headings(text):
        kind = heading.kind
        if heading.verb:  # "The answer is (B)" is a heading only where an answer is expected
            if not heading.on_line or not heading.name or previous not in ("choices", "question"):
                continue
        elif not heading.on_line and (
            not heading.name[0].isupper()
            or heading.name.endswith(" question")  # "The question: who is he?" is a sentence
            or not heading.colon
            or previous not in before[kind]
            or _OTHER_NAME.fullmatch(text, text.rfind("\n", 0, start) + 1, start)
        ):
            continue
        if found:
            part = text[begin:start].strip()
            found[-1].append((previous, without_label(part) if part.endswith(":") else part))
        if kind == "question":
            found.append([])
        previous, begin = kind, end
    if found:
        found[-1].append((previous, text[begin:].strip()))
    return found
