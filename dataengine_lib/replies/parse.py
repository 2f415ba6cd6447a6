"""Step 4: what the teacher wrote, read into questions with four choices, or turned down with one reason.

Replies come from a model and are not trusted: every pattern here is bounded, so that the time grows with the
length of the reply and no faster, and what cannot be read in one way only is dropped rather than guessed.
The templates of `resources/prompts` ask for the layout that is read here.
"""

import re

import msgspec

from dataengine_lib.replies.answer_words import behind_thoughts
from dataengine_lib.replies.boxes_in_text import (
    may_speak_of_boxes,
    speaks_of_boxes,
    without_boxes,
)
from dataengine_lib.replies.choices import (
    SKIP,
    clean_choices,
    has_word,
    one_line,
    same_words,
    split_off_choices,
    written_choices,
)
from dataengine_lib.replies.drop_reasons import Dropped, Reason
from dataengine_lib.replies.headings import Block, blocks, plain_text

MAX_CHARACTERS = 20_000  # a QA has a few hundred; longer replies are loops or pasted documents


class Qa(msgspec.Struct, kw_only=True):
    """One question read from a reply; `rationales` is empty when the teacher gave no explanation.

    `short_answer` is what answers the question without its choices, empty where the reply has no such line.
    """

    question: str
    choices: list[str]
    correct_choice_idx: int
    rationales: list[str] = []
    short_answer: str = ""


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
    except Dropped as dropped:
        return dropped.reason
    if len(qas) > 1 and _contradict(qas):
        return Reason.CONTRADICTS
    return qas


# A trainer's tokenizer would take these for its own, and "<image>" for a picture.
_TOKEN = re.compile(r"<\|[\w -]{1,30}\|>|</?s>|<(?:image|video|audio)>", re.IGNORECASE)
_END_TOKEN = re.compile(r"\s{0,3}(?:<\|[\w -]{1,30}\|>|</s>)\Z")


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
    if may_skip and SKIP.match(question):
        raise Dropped(Reason.SKIPPED)
    if "choices" not in parts:
        question, parts["choices"] = split_off_choices(question)
    answer, short = parts.get("answer", ""), parts.get("short", "")
    answer = answer[len(_LEAD.match(answer)[0]) :]  # type: ignore[index]  # it matches nothing, too
    if may_skip and (SKIP.match(answer) or SKIP.match(short)):
        raise Dropped(Reason.SKIPPED)
    if len(parts) < len(block):
        kinds = [kind for kind, _ in block]
        if any(kinds.count(kind) > 1 for kind in ("choices", "answer", "short")):
            raise Dropped(Reason.REPEATED_PART)
    explained = [one_line(text) for kind, text in block if kind == "explanation"]
    rationales = [text for text in explained if has_word(text)]
    raw_choices = written_choices(parts["choices"])
    if may_speak_of_boxes(plain):
        written = "\n".join([question, *raw_choices, parts.get("answer", ""), short, *rationales])
        if speaks_of_boxes(written):
            raise Dropped(Reason.BOXES)
    if "description" in plain and any(map(_DESCRIPTION.search, rationales)):
        raise Dropped(Reason.DESCRIPTION)
    question = _clean(one_line(question))
    if not has_word(question):
        raise Dropped(Reason.NO_QUESTION)
    choices = clean_choices(raw_choices)
    correct = _correct(answer, raw_choices, choices)
    if any(_says_other_letter(text, "ABCD"[correct]) for text in rationales):
        raise Dropped(Reason.CONTRADICTS)
    return Qa(
        question=question,
        choices=choices,
        correct_choice_idx=correct,
        rationales=[_clean(text) for text in rationales],
        short_answer=_short(short, choices, correct),
    )


# The field of a JSON reply says nothing by its name.
_SAYS_SKIP = re.compile(r"\bskip(?!\" ?:)", re.IGNORECASE)
_DESCRIPTION = re.compile(r"\bdescriptions?\b", re.IGNORECASE)

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


def _clean(line: str) -> str:
    cleaned = without_boxes(line)
    if cleaned is None:
        raise Dropped(Reason.BOXES)
    return cleaned


def _short(text: str, choices: list[str], correct: int) -> str:
    """The short answer; one that says the same as a wrong choice gives two answers to one question."""
    if not text:
        return ""
    cleaned = without_boxes(one_line(text), sentence=False)
    if cleaned is None:
        raise Dropped(Reason.BOXES)
    said = same_words(cleaned)
    if said != same_words(choices[correct]) and said in map(same_words, choices):
        raise Dropped(Reason.SHORT_DISAGREES)
    return cleaned[:-1] if cleaned.endswith(".") and "." not in cleaned[:-1] else cleaned


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
    said = one_line(answer)
    if not has_word(said):
        raise Dropped(Reason.NO_ANSWER)
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
            raise Dropped(Reason.NO_ANSWER)
        return begun[0]
    letter = match[1] or match[2] or match[3] or match[4]
    index, rest = ord(letter.upper()) - ord("A"), match["rest"].lstrip(" .):,–—")
    if rest.startswith("-") and not rest[1:2].isdigit():  # of "-5" it is a sign
        rest = rest.lstrip(" .):,-–—")
    if index >= len(choices):
        raise Dropped(Reason.OUTSIDE)
    text = same_words(rest)
    agrees = not text or text in (as_written[index], keys[index])
    if not agrees and text not in as_written and text not in keys:
        others = {other.upper() for other in _OTHER_LETTER.findall(rest)} - {letter.upper()}
        agrees = not others and any(_begins(text, key) for key in (as_written[index], keys[index]))
    if not agrees or (by_text is not None and by_text != index):
        raise Dropped(Reason.DISAGREE)
    return index


def _begins(text: str, choice: str) -> bool:
    """`text` is the choice and then a remark: "cat, because it has whiskers"."""
    return text.startswith(choice) and bool(_GOES_ON.match(text, len(choice)))
