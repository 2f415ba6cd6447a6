"""Step 4: what the teacher wrote, read into questions with four choices, or turned down with one reason.

Replies come from a model and are not trusted: every pattern here is bounded, so that the time grows with the
length of the reply and no faster, and what cannot be read in one way only is dropped rather than guessed.
The templates of `params/prompts` ask for the layout that is read here.
"""

import re
from enum import StrEnum
from functools import lru_cache

import msgspec

from dataengine_lib.data.boxes_in_text import (
    has_box,
    may_hold_box,
    may_speak_of_boxes,
    speaks_of_boxes,
    without_boxes,
)
from dataengine_lib.data.reply_parts import Block, blocks, plain_text, without_label
from dataengine_lib.data.reply_words import behind_thoughts

MAX_CHARACTERS = 20_000  # a QA has a few hundred; longer replies are loops or pasted documents


class Reason(StrEnum):
    """Why a reply, or a row, was dropped; the words are shown in the report."""

    MALFORMED = "malformed row"
    TOO_LONG = "reply too long"
    TRUNCATED = "reply cut off"
    SKIPPED = "skipped by the teacher"
    NO_QUESTION = "no question"
    NO_CHOICES = "no choices"
    NOT_FOUR = "not four choices"
    EMPTY_CHOICE = "empty choice"
    EQUAL_CHOICES = "equal choices"
    EQUAL_BUT_BOX = "choices differ only by their box"
    NO_ANSWER = "no answer"
    REPEATED_PART = "a part of the reply comes twice"
    OUTSIDE = "answer outside the choices"
    DISAGREE = "answer letter and text disagree"
    SHORT_DISAGREES = "short answer is a wrong choice"
    CONTRADICTS = "the reply contradicts itself"
    MARKED = "a choice is marked as right or wrong"
    TOKEN = "holds a special token of a model"
    BOXES = "speaks of boxes or coordinates"
    DESCRIPTION = "speaks of a description"
    DUPLICATE = "same QA on the same image"
    REFUTED = "boxes refute the answer"
    LEAK = "gives away the evaluation"
    NEAR_DUPLICATE = "nearly the same question on the same image"
    SECOND_READER = "a second reader disagrees"
    BLIND_READER = "a reader without the image finds the answer"
    BLIND = "words alone give the answer away"
    REVIEWER = "rejected by a reviewer"


class Qa(msgspec.Struct, kw_only=True):
    """One question read from a reply; `rationales` is empty when the teacher gave no explanation.

    `short_answer` is what answers the question without its choices, empty where the reply has no such line.
    """

    question: str
    choices: list[str]
    correct_choice_idx: int
    rationales: list[str] = []
    short_answer: str = ""


class _Dropped(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def parse_reply(raw: str, *, truncated: bool = False) -> list[Qa] | Reason:
    """Every QA of a reply, or the one reason why none is taken; of two QAs, both are taken or both dropped.

    `truncated`: the teacher was cut off by its token limit, so the last part of the reply is not whole.
    """
    if len(raw) > MAX_CHARACTERS:
        return Reason.TOO_LONG
    if "think" in raw:
        raw = behind_thoughts(raw)[0]
    text = plain_text(raw)
    if "<" in text:
        text = _END_TOKEN.sub("", text)
        if _TOKEN.search(text):
            return Reason.TOKEN
    found = blocks(text)
    if not found:
        return Reason.SKIPPED if _SAYS_SKIP.search(text[:300]) else Reason.NO_QUESTION
    if truncated:
        last = found[-1]
        if last[-1][0] != "explanation":
            return Reason.TRUNCATED
        last.pop()  # half a rationale is no rationale; the QA before it is whole
    plain = text.casefold()
    try:
        qas = [_qa(block, plain) for block in found]
    except _Dropped as dropped:
        return dropped.reason
    if len(qas) > 1 and _contradict(qas):
        return Reason.CONTRADICTS
    return qas


# A trainer's tokenizer would take these for its own, and "<image>" for a picture.
_TOKEN = re.compile(r"<\|[\w -]{1,30}\|>|</?s>|<(?:image|video|audio)>", re.IGNORECASE)
_END_TOKEN = re.compile(r"(?:\s{0,3}(?:<\|[\w -]{1,30}\|>|</s>))\Z")


def _contradict(qas: list[Qa]) -> bool:
    """Two of them ask the same with the same choices and take another one for right."""
    answers: dict[tuple[str, frozenset[str]], str] = {}
    for qa in qas:
        choices = list(map(same_words, qa.choices))
        right = choices[qa.correct_choice_idx]
        if answers.setdefault((same_words(qa.question), frozenset(choices)), right) != right:
            return True
    return False


def _qa(block: Block, plain: str) -> Qa:
    """The QA of a block; `plain` is the reply in lower case, by which can be told what it surely does not say."""
    may_skip = "skip" in plain or not plain.isascii()  # some letters beyond ASCII are taken for an i
    parts = dict(reversed(block))  # the first of each kind
    question = parts["question"]
    if may_skip and _SKIP.match(question):
        raise _Dropped(Reason.SKIPPED)
    if "choices" not in parts:
        question, parts["choices"] = _split_off_choices(question)
    answer, short = parts.get("answer", ""), parts.get("short", "")
    answer = answer[len(_LEAD.match(answer)[0]) :]  # type: ignore[index]  # it matches nothing, too
    if may_skip and (_SKIP.match(answer) or _SKIP.match(short)):
        raise _Dropped(Reason.SKIPPED)
    if len(parts) < len(block):
        kinds = [kind for kind, _ in block]
        if any(kinds.count(kind) > 1 for kind in ("choices", "answer", "short")):
            raise _Dropped(Reason.REPEATED_PART)
    explained = [_one_line(text) for kind, text in block if kind == "explanation"]
    rationales = [text for text in explained if _has_word(text)]
    raw_choices = _choices(parts["choices"])
    if may_speak_of_boxes(plain):
        written = "\n".join([question, *raw_choices, parts.get("answer", ""), short, *rationales])
        if speaks_of_boxes(written):
            raise _Dropped(Reason.BOXES)
    if "description" in plain and any(map(_DESCRIPTION.search, rationales)):
        raise _Dropped(Reason.DESCRIPTION)
    question = _clean(_one_line(question))
    if not _has_word(question):
        raise _Dropped(Reason.NO_QUESTION)
    choices = _clean_choices(raw_choices)
    correct = _correct(answer, raw_choices, choices)
    if any(_says_other_letter(text, "ABCD"[correct]) for text in rationales):
        raise _Dropped(Reason.CONTRADICTS)
    return Qa(
        question=question,
        choices=choices,
        correct_choice_idx=correct,
        rationales=[_clean(text) for text in rationales],
        short_answer=_short(short, choices, correct),
    )


_WORD = re.compile(r"\w")
_SAYS_SKIP = re.compile(r"\bskip", re.IGNORECASE)
_DESCRIPTION = re.compile(r"\bdescriptions?\b", re.IGNORECASE)


def _has_word(text: str) -> bool:
    return text[:1].isalnum() or bool(_WORD.search(text))


# Both begin with what is searched for fast; words in small letters before " is" are looked at where it matches.
_IS_LETTER = re.compile(
    r" is:? (?:option |choice )?(?:[(\[\"'“]([A-D])[)\]\"'”]|([A-D])(?=[.,;:)]|\Z))(?!, | or | and )"
)
_SPEAKS_OF_RIGHT = re.compile(r"(?:\banswer|\b(?:correct|right|best) (?:choice|option))\Z", re.IGNORECASE)
_LETTER_IS_RIGHT = re.compile(
    r"\(([A-D])\)(?<!nor .{3})(?<!or .{3})(?<!and .{3}) is (?:the )?(?:correct|right)"
    r"(?= (?:answer|choice|option|one|because|since|as)\b|[.,;]|\Z)"
)


def _says_other_letter(text: str, right: str) -> bool:
    """A rationale calls another letter right: "The correct answer is (A)" below "Answer: (B)"."""
    for match in _IS_LETTER.finditer(text):
        if (match[1] or match[2]) != right and _SPEAKS_OF_RIGHT.search(
            text, max(0, match.start() - 20), match.start()
        ):
            return True
    return ") is " in text and any(match[1] != right for match in _LETTER_IS_RIGHT.finditer(text))


def _one_line(text: str) -> str:
    """The plain text on one line; it holds no other white space than single spaces and line ends."""
    return " ".join(text.split()) if "\n" in text else text.strip()


def _clean(line: str) -> str:
    cleaned = without_boxes(line)
    if cleaned is None:
        raise _Dropped(Reason.BOXES)
    return cleaned


_MARKS = [  # (A) · [A] · A) · A. · A: (the last three begin with the letter, which is searched for fastest)
    re.compile(mark)
    for mark in (
        r"\( ?([A-Ha-h]) ?\)",
        r"\[([A-Ha-h])\]",
        r"([A-Ha-h])(?<![\w(].)\)",
        r"([A-Ha-h])(?<!\w.)\.(?=\s|\Z)",
        r"([A-Ha-h])(?<!\w.):(?=\s|\Z)",
    )
]
_BULLETS = re.compile(r"[-*•]")
_BULLET = re.compile(r" ?[-*•]? ?")


_Mark = tuple[int, int, str]  # where a choice's letter begins and ends as written, and the letter


def _marks(style: re.Pattern[str], text: str) -> list[_Mark]:
    return [(*match.span(), match[1]) for match in style.finditer(text)]


def _on_lines(marks: list[_Mark], text: str) -> list[_Mark]:
    """The marks that lines begin with; a bullet is part of the mark."""
    found = []
    for start, end, letter in marks:
        near = max(0, start - 4)  # a bullet with its spaces is no longer
        line = text.rfind("\n", near, start) + 1 or near
        if start - line <= 3 and _BULLET.fullmatch(text, line, start):
            found.append((line, end, letter))
    return found


def _split_off_choices(question: str) -> tuple[str, str]:
    """A question whose choices follow it without a heading, taken apart at the first `(A)`."""
    for style in _MARKS:
        marks = _marks(style, question)
        starts = [start for start, _, letter in _on_lines(marks, question) if letter in "Aa"]
        if not starts and style is _MARKS[0]:
            starts = [start for start, _, letter in marks if letter == "A"]
        if starts and starts[0] > 0:
            asked = without_label(question[: starts[0]].strip())
            if asked.endswith(","):
                break  # "Is it (A) …, (B) …": the choices are part of the sentence
            return asked, question[starts[0] :]
    raise _Dropped(Reason.NO_CHOICES)


def _choices(text: str) -> list[str]:
    """The four choices as written. Marks are of one style and case, A to D in order, each once."""
    text = text.strip()
    begin = len(_BULLET.match(text)[0]) if text.startswith(("-", "*", "•")) else 0  # type: ignore[index]
    for style in _MARKS:
        if first := style.match(text, begin):
            break
    if first is None or first[1] not in "Aa":
        raise _Dropped(Reason.SKIPPED if _SKIP.match(text) else Reason.NO_CHOICES)
    letters = "ABCDEFGH" if first[1] == "A" else "abcdefgh"
    parts = style.split(text)  # text before, letter, choice, letter, choice, …
    if "".join(parts[1::2]) == letters[:4] and not ("\n" in text and _BULLETS.search(text)):
        return _read_choices(parts[2::2])
    marks = [mark for mark in _marks(style, text) if mark[2] in letters]
    on_lines = _on_lines(marks, text) if "\n" in text else []
    if "".join([mark[2] for mark in on_lines]) == letters[:4]:
        marks = on_lines  # the others belong to the choices' words
    elif "".join([mark[2] for mark in marks]) != letters[:4]:
        raise _Dropped(Reason.NOT_FOUR)
    elif on_lines:
        lines = {end: start for start, end, _ in on_lines}
        marks = [(lines.get(end, start), end, letter) for start, end, letter in marks]
    ends = [mark[0] for mark in marks[1:]] + [len(text)]
    return _read_choices([text[mark[1] : end] for mark, end in zip(marks, ends, strict=True)])


_MARKED = re.compile(r"[✓✔✅☑✗✘❌❎]|\((?:in)?correct(?: \w{1,10})?\)|\w ?\*\Z", re.IGNORECASE)


def _read_choices(written: list[str]) -> list[str]:
    """The choices without what only a list needs. Lines that only the last one goes on with belong to none."""
    last = written[-1].strip()
    if "\n" in last.partition("\n\n")[0] and not any("\n" in text.strip() for text in written[:-1]):
        raise _Dropped(Reason.NOT_FOUR)
    return list(map(_choice, written))


def _choice(written: str) -> str:
    """What stands behind a choice's letter, up to an empty line, on one line and without what parts it from the next."""
    text = written.strip()
    if "\n" in text:
        text = _one_line(text.partition("\n\n")[0])
    if text.endswith((" or", " and", " or,", " and,")):
        text = text.rstrip(",").rpartition(" ")[0]
    return text.rstrip(" ,;|")


_SENTENCE_END = re.compile(r"(?:^|\s)[^\s.]{2,}\.$")  # not of "U.S.", "a.m.", "3.5." or "wait..."


def _clean_choices(raw: list[str]) -> list[str]:
    choices, written = raw, " ".join(raw)
    if may_hold_box(written):
        cleaned = [without_boxes(choice, sentence=False) for choice in raw]
        choices = [choice for choice in cleaned if choice is not None]
        if len(choices) < len(raw):
            raise _Dropped(Reason.BOXES)
    may_mark = "*" in written or "correct" in written.casefold() or not written.isascii()
    if may_mark and any(map(_MARKED.search, choices)):
        raise _Dropped(Reason.MARKED)
    if not all(map(_has_word, choices)):
        before = next(old for new, old in zip(choices, raw, strict=True) if not _has_word(new))
        raise _Dropped(Reason.EQUAL_BUT_BOX if has_box(before) else Reason.EMPTY_CHOICE)
    if len(set(map(same_words, choices))) < len(choices):
        only_box = len(set(map(same_words, raw))) == len(raw)
        raise _Dropped(Reason.EQUAL_BUT_BOX if only_box else Reason.EQUAL_CHOICES)
    if choices[0].endswith(".") and all(map(_SENTENCE_END.search, choices)):
        return [
            choice[:-1] for choice in choices
        ]  # a list of sentences; one such mark may belong to its choice
    return choices


@lru_cache(maxsize=256)  # a reply's choices are compared with each other, its answer and its short answer
def same_words(text: str) -> str:
    """The text without case, article and end mark: equal for two choices that say the same."""
    words = (
        " ".join(text.split()).casefold().strip("\"'“”‘’„‚«»「」`* ").rstrip(".,;:!\"'“”‘’«»「」。，；！ ")
    )
    return words.partition(" ")[2] if words.startswith(("a ", "an ", "the ")) else words


def _short(text: str, choices: list[str], correct: int) -> str:
    """The short answer; one that says the same as a wrong choice gives two answers to one question."""
    if not text:
        return ""
    cleaned = without_boxes(_one_line(text), sentence=False)
    if cleaned is None:
        raise _Dropped(Reason.BOXES)
    said = same_words(cleaned)
    if said != same_words(choices[correct]) and said in map(same_words, choices):
        raise _Dropped(Reason.SHORT_DISAGREES)
    return cleaned[:-1] if cleaned.endswith(".") and "." not in cleaned[:-1] else cleaned


_SKIP = re.compile(
    r"[\W_]*(?:(?:\(?[A-H]\)?[.:)]? ?)?skip[\"'”’)\]]*"
    r"(?:\s*\Z|[.,;:!(\n]|\s?[-–—]\s|\s(?:this|because|since|as)\b))",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"\A\s*(?:(?:the )?(?:correct |right |best )?(?:answer|option|choice)(?: is| would be)?\b ?:? ?)?"
    r"(?:is )?(?:option |choice )?",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"(?:\( ?([A-Z]) ?\)|\[([A-Z])\]|([A-Z])(?=[.):,]|\Z)|([A-Z]) )(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_GOES_ON = re.compile(r"\s?(?:[.,;:(–—-]|because\b|since\b|as\b)")
_OTHER_LETTER = re.compile(r"\(([A-Ha-h])\)")


def _correct(answer: str, raw_choices: list[str], choices: list[str]) -> int:
    """The index of the right choice: letter, text or both, as long as they say the same."""
    said = _one_line(answer)
    if not _has_word(said):
        raise _Dropped(Reason.NO_ANSWER)
    keys = list(map(same_words, choices))
    as_written = keys if choices is raw_choices else list(map(same_words, raw_choices))
    whole = same_words(said)
    by_text = keys.index(whole) if whole in keys else None
    if whole in as_written and (by_text is None or as_written.index(whole) < by_text):
        by_text = as_written.index(whole)
    if by_text is not None and len(whole) > 1:
        return by_text
    match = _LETTER.match(said)
    if match is None:
        begun = [i for i in range(len(keys)) if _begins(whole, keys[i])]
        if len(begun) != 1 or _OTHER_LETTER.search(said):
            raise _Dropped(Reason.NO_ANSWER)
        return begun[0]
    letter = match[1] or match[2] or match[3] or match[4]
    index, rest = ord(letter.upper()) - ord("A"), match["rest"].lstrip(" .):,–—")
    if rest.startswith("-") and not rest[1:2].isdigit():  # of "-5" it is a sign
        rest = rest.lstrip(" .):,-–—")
    if index >= len(choices):
        raise _Dropped(Reason.OUTSIDE)
    text = same_words(rest)
    agrees = not text or text in (as_written[index], keys[index])
    if not agrees and text not in as_written and text not in keys:
        others = {other.upper() for other in _OTHER_LETTER.findall(rest)} - {letter.upper()}
        agrees = not others and any(_begins(text, key) for key in (as_written[index], keys[index]))
    if not agrees or (by_text is not None and by_text != index):
        raise _Dropped(Reason.DISAGREE)
    return index


def _begins(text: str, choice: str) -> bool:
    """`text` is the choice and then a remark: "cat, because it has whiskers"."""
    return text.startswith(choice) and bool(_GOES_ON.match(text, len(choice)))
