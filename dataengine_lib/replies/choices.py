"""Step 4: the choices of a reply, mostly four: read from its text, then cleaned and compared.

Every repetition in a pattern has a limit, so that the time is linear in the length of the reply.
"""

import re
from functools import lru_cache

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import choice_key, one_line
from dataengine_lib.replies.boxes_in_text import has_box, may_hold_box, without_boxes
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason
from dataengine_lib.replies.headings import without_label

_WORD = re.compile(r"\w")


def has_word(text: str) -> bool:
    """Whether there is a letter or a digit in the text."""
    return text[:1].isalnum() or bool(_WORD.search(text))


def joined_lines(text: str) -> str:
    """`one_line` of a `plain_text`, whose only white space is single spaces and line ends; faster."""
    return one_line(text) if "\n" in text else text.strip()


# Letters that are looked for where fewer choices were asked for, so that a fifth one is seen
_FEWEST_READ = 8


def letters_read(count: int) -> str:
    """The letters that are looked for where `count` choices were asked for."""
    return LETTERS[: max(count, _FEWEST_READ)]


@lru_cache(maxsize=16)
def _skip_pattern(count: int) -> re.Pattern[str]:
    return re.compile(
        rf"[\W_]*(?:(?:\(?[A-{letters_read(count)[-1]}]\)?[.:)]? ?)?skip[\"'”’)\]]*"
        r"(?:\s*\Z|[.,;:!(\n]|\s?[-–—]\s|\s(?:this|because|since|as)\b))",
        re.IGNORECASE,
    )


def says_skip(text: str, count: int = 4) -> bool:
    """Whether Skip is all that a part says, or has a reason behind it; a letter of `count` choices may stand before it.

    "Skip." · "(A): skip" · "Skip - too dark" · "skip because"
    """
    return bool(_skip_pattern(count).match(text))


@lru_cache(maxsize=16)
def _styles(count: int) -> list[re.Pattern[str]]:
    """One style of letters each: (A) · [A] · A) · A. · A: of `count` choices and a few more."""
    last = letters_read(count)[-1]
    letter = f"([A-{last}a-{last.lower()}])"
    # the last three begin with the letter: faster to search for than a lookbehind
    marks = (
        rf"\( ?{letter} ?\)",
        rf"\[{letter}\]",
        rf"{letter}(?<![\w(].)\)",
        rf"{letter}(?<!\w.)\.(?=\s|\Z)",
        rf"{letter}(?<!\w.):(?=\s|\Z)",
    )
    return [re.compile(mark) for mark in marks]


# a list's marks, and one with the spaces around it at the start of a line
_BULLETS = re.compile(r"[-*•]")
_BULLET = re.compile(r" ?[-*•]? ?")


_Mark = tuple[int, int, str]  # where a choice's letter begins and ends as written, and the letter


def _marks(style: re.Pattern[str], text: str) -> list[_Mark]:
    return [(*match.span(), match[1]) for match in style.finditer(text)]


def _on_lines(marks: list[_Mark], text: str) -> list[_Mark]:
    """The marks at the start of a line, each with the bullet before it."""
    found = []
    for start, end, letter in marks:
        near = max(0, start - 4)  # a bullet and its spaces are at most 3 characters
        line = text.rfind("\n", near, start) + 1 or near
        if start - line <= 3 and _BULLET.fullmatch(text, line, start):
            found.append((line, end, letter))
    return found


def other_number(count: int) -> Reason:
    """The reason to drop a reply that has not `count` choices."""
    return Reason.NOT_FOUR if count == 4 else Reason.OTHER_NUMBER


def split_off_choices(question: str, count: int = 4) -> tuple[str, str]:
    """(question, choices as text) of a question whose choices follow it without a heading, split at the first `(A)`.

    Raises DroppedReply where no choices follow, or where they belong to the question's sentence.
    """
    for number, style in enumerate(_styles(count)):
        marks = _marks(style, question)
        starts = [start for start, _, letter in _on_lines(marks, question) if letter in "Aa"]
        if not starts and not number:
            # only "(A)" may also stand inside a line: the other styles occur in sentences, "vitamin A. …"
            starts = [start for start, _, letter in marks if letter == "A"]
        if starts and starts[0] > 0:
            asked = without_label(question[: starts[0]].strip())
            if asked.endswith(","):
                break  # "Is it (A) …, (B) …?": the choices are part of the sentence
            return asked, question[starts[0] :]
    raise DroppedReply(Reason.NO_CHOICES)


def written_choices(text: str, count: int = 4) -> list[str]:
    """The `count` choices as written behind their letters, which have one style and case, from A in order, each once.

    Raises DroppedReply for anything else.
    """
    text = text.strip()
    begin = len(_BULLET.match(text)[0]) if text.startswith(("-", "*", "•")) else 0  # type: ignore[index]
    for style in _styles(count):
        if first := style.match(text, begin):
            break
    if first is None or first[1] not in "Aa":
        raise DroppedReply(Reason.SKIPPED if says_skip(text, count) else Reason.NO_CHOICES)
    letters = letters_read(count) if first[1] == "A" else letters_read(count).lower()
    parts = style.split(text)  # text before, letter, choice, letter, choice, …
    # the usual case: just the letters wanted in this style, and no bullets that would end up in the choices
    if "".join(parts[1::2]) == letters[:count] and not ("\n" in text and _BULLETS.search(text)):
        return _read_choices(parts[2::2], count)
    marks = [mark for mark in _marks(style, text) if mark[2] in letters]
    on_lines = _on_lines(marks, text) if "\n" in text else []
    if "".join([mark[2] for mark in on_lines]) == letters[:count]:
        marks = on_lines  # the other marks are part of the choices' words
    elif "".join([mark[2] for mark in marks]) != letters[:count]:
        raise DroppedReply(other_number(count))
    elif on_lines:
        # a bullet before a letter ends the choice before it
        lines = {end: start for start, end, _ in on_lines}
        marks = [(lines.get(end, start), end, letter) for start, end, letter in marks]
    ends = [mark[0] for mark in marks[1:]] + [len(text)]
    return _read_choices([text[mark[1] : end] for mark, end in zip(marks, ends, strict=True)], count)


# matches what gives the answer away: "dog ✓" · "dog (correct)" · "dog *" at the end
_MARKED = re.compile(r"[✓✔✅☑✗✘❌❎]|\((?:in)?correct(?: \w{1,10})?\)|\w ?\*\Z", re.IGNORECASE)


def _read_choices(written: list[str], count: int) -> list[str]:
    """The choices without separators. Raises DroppedReply where only the last one goes on over several lines: these
    may not belong to it."""
    last = written[-1].strip()
    if "\n" in last.partition("\n\n")[0] and not any("\n" in text.strip() for text in written[:-1]):
        raise DroppedReply(other_number(count))
    return list(map(without_separator, written))


def without_separator(written: str) -> str:
    """A choice on one line, up to an empty line, without the comma or the " or" that separates it from the next."""
    text = written.strip()
    if "\n" in text:
        text = joined_lines(text.partition("\n\n")[0])
    # "dog, or" is "dog"
    if text.endswith((" or", " and", " or,", " and,")):
        text = text.rstrip(",").rpartition(" ")[0]
    return text.rstrip(" ,;|")


_SENTENCE_END = re.compile(
    r"(?:^|\s)[^\s.]{2,}\.$"
)  # matches the end of "It runs.", not of "U.S.", "3.5." or "wait..."


def clean_choices(raw: list[str]) -> list[str]:
    """The choices as they are kept, without boxes.

    Raises DroppedReply where one is empty or marked as right, or two say the same.
    """
    choices, written = raw, " ".join(raw)
    if may_hold_box(written):
        cleaned = [without_boxes(choice, sentence=False) for choice in raw]
        choices = [choice for choice in cleaned if choice is not None]
        if len(choices) < len(raw):
            raise DroppedReply(Reason.BOXES)
    may_mark = "*" in written or "correct" in written.casefold() or not written.isascii()
    if may_mark and any(map(_MARKED.search, choices)):
        raise DroppedReply(Reason.MARKED)
    if not all(map(has_word, choices)):
        # a choice that was nothing but its box, or one that the teacher left empty
        before = next(old for new, old in zip(choices, raw, strict=True) if not has_word(new))
        raise DroppedReply(Reason.EQUAL_BUT_BOX if has_box(before) else Reason.EMPTY_CHOICE)
    if len(set(map(choice_key, choices))) < len(choices):
        # different as the teacher wrote them, so only their boxes differed
        only_box = len(set(map(choice_key, raw))) == len(raw)
        raise DroppedReply(Reason.EQUAL_BUT_BOX if only_box else Reason.EQUAL_CHOICES)
    if choices[0].endswith(".") and all(map(_SENTENCE_END.search, choices)):
        # a list of sentences; a full stop of one choice alone may belong to it
        return [choice[:-1] for choice in choices]
    return choices
