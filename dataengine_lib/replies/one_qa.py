"""Step 4: one QA from the parts of a reply in any layout: checked, cleaned, and its right choice found.

Every repetition in a pattern has a limit, so that the time is linear in the length of the reply.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import msgspec

from dataengine_lib.core.records import CHOICE, LETTERS, NO_ANSWER, OPEN, YES_NO
from dataengine_lib.core.text import choice_key
from dataengine_lib.questions.answer_kinds import YES_NO_CHOICES
from dataengine_lib.replies.boxes_in_text import may_mention_boxes, mentions_boxes, without_boxes
from dataengine_lib.replies.choices import clean_choices, has_word, joined_lines, letters_read
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason
from dataengine_lib.replies.kinds.short_answer import check_stands_alone, cleaned_answer, short_answer
from dataengine_lib.replies.kinds.yes_no import (
    says_other_answer,
    yes_no_index,
    yes_no_question,
)


class Qa(msgspec.Struct, kw_only=True):
    """One question read from a reply; `rationales` is empty when the teacher gave no explanation.

    `short_answer` answers the question without its choices; it is empty where the reply has none, and the answer of an
    open-ended question, which has no choices and NO_ANSWER as index. The choices of a yes/no question are YES_NO_CHOICES.
    """

    question: str
    choices: list[str]
    correct_choice_idx: int
    rationales: list[str] = []
    short_answer: str = ""


class QaParts(NamedTuple):
    """The parts of one QA as the teacher wrote them; only the number of choices is checked yet.

    `letter_index` is the index of the right choice where the answer is a single letter in a field of its own (JSON).
    Otherwise it is None, and the right choice is read from `answer`, the words behind the heading.
    """

    question: str
    choices: list[str]
    answer: str
    short_answer: str
    explanations: list[str]
    letter_index: int | None = None


def checked_qa(parts: QaParts, plain: str, kind: str = CHOICE) -> Qa:
    """The QA of these parts, of an answer kind. Raises DroppedReply with the first reason against it.

    `plain` is the casefolded text of the whole reply: a word that it does not hold is not searched for in the parts.
    """
    question, rationales = _question_and_rationales(parts, plain)
    if kind == YES_NO:
        return _yes_no(parts, question, rationales)
    if kind == OPEN:
        return _open(parts, question, rationales)
    choices = clean_choices(parts.choices)
    if parts.letter_index is None:
        correct = _correct(without_lead(parts.answer), parts.choices, choices)
    elif parts.letter_index < len(choices):
        correct = parts.letter_index
    else:
        raise DroppedReply(Reason.OUTSIDE)
    if any(_says_other_letter(text, choices, correct) for text in rationales):
        raise DroppedReply(Reason.CONTRADICTS)
    return Qa(
        question=question,
        choices=choices,
        correct_choice_idx=correct,
        rationales=[_clean(text) for text in rationales],
        short_answer=_short(parts.short_answer, choices, correct),
    )


def _question_and_rationales(parts: QaParts, plain: str) -> tuple[str, list[str]]:
    """The question as it is kept, and the rationales as written, which pass the checks that every kind of QA has."""
    rationales = [text for text in parts.explanations if has_word(text)]
    if may_mention_boxes(plain):
        written = "\n".join([parts.question, *parts.choices, parts.answer, parts.short_answer, *rationales])
        if mentions_boxes(written):
            raise DroppedReply(Reason.BOXES)
    if "description" in plain and any(map(_DESCRIPTION.search, rationales)):
        raise DroppedReply(Reason.DESCRIPTION)
    question = _clean(joined_lines(parts.question))
    if not has_word(question):
        raise DroppedReply(Reason.NO_QUESTION)
    return question, rationales


def _yes_no(parts: QaParts, question: str, rationales: list[str]) -> Qa:
    # "(A) Yes (B) No" is what some teachers write all the same
    if any(choice_key(choice) not in YES_NO_CHOICES for choice in parts.choices):
        raise DroppedReply(Reason.HAS_CHOICES)
    index = yes_no_index(without_lead(parts.answer or parts.short_answer))
    if any(says_other_answer(text, index) for text in rationales):
        raise DroppedReply(Reason.CONTRADICTS)
    return Qa(
        question=yes_no_question(question),
        choices=list(YES_NO_CHOICES),
        correct_choice_idx=index,
        rationales=[_clean(text) for text in rationales],
    )


def _open(parts: QaParts, question: str, rationales: list[str]) -> Qa:
    if parts.choices:
        raise DroppedReply(Reason.HAS_CHOICES)
    check_stands_alone(question)
    return Qa(
        question=question,
        choices=[],
        correct_choice_idx=NO_ANSWER,
        rationales=[_clean(text) for text in rationales],
        short_answer=short_answer(without_lead(parts.answer), parts.short_answer),
    )


def without_lead(answer: str) -> str:
    """The answer without the words that lead to it: `(B): cat` of `The correct answer is (B): cat`."""
    return answer[len(_LEAD.match(answer)[0]) :]  # type: ignore[index]  # it matches nothing, too


_DESCRIPTION = re.compile(r"\bdescriptions?\b", re.IGNORECASE)

# matches the end of "the answer" · "The correct choice"
_NAMES_THE_ANSWER = re.compile(r"(?:\banswer|\b(?:correct|right|best) (?:choice|option))\Z", re.IGNORECASE)


class _Letters(NamedTuple):
    """The patterns with the letters of as many choices as a QA has.

    The first two begin with what is fast to search for; the words before " is" are looked at only where `named` matches.
    """

    # matches " is (A)" · " is: option B," and not " is (A) or (B)"
    named: re.Pattern[str]
    # matches "(A) is correct because" · "(A) is the right answer", not "neither (B) nor (A) is correct"
    is_right: re.Pattern[str]
    # matches "B" · "(B)" · "B."
    alone: re.Pattern[str]
    # matches "(B)" · "(b)" in a remark, also of a choice that is not there
    other: re.Pattern[str]


@lru_cache(maxsize=16)
def _letters(count: int) -> _Letters:
    # A to D also where fewer are asked for: a letter that is not there contradicts the right one, too
    letter, read = f"([A-{LETTERS[max(count, 4) - 1]}])", letters_read(count)[-1]
    return _Letters(
        re.compile(
            rf" is:? (?:option |choice )?(?:[(\[\"'“]{letter}[)\]\"'”]|{letter}(?=[.,;:)]|\Z))(?!, | or | and )"
        ),
        re.compile(
            rf"\({letter}\)(?<!nor .{{3}})(?<!or .{{3}})(?<!and .{{3}}) is (?:the )?(?:correct|right)"
            r"(?= (?:answer|choice|option|one|because|since|as)\b|[.,;]|\Z)"
        ),
        re.compile(rf"[(\[]?{letter}[)\].]{{0,2}}"),
        re.compile(rf"\(([A-{read}a-{read.lower()}])\)"),
    )


def _says_other_letter(text: str, choices: list[str], correct: int) -> bool:
    """Whether a rationale calls another letter right: "The correct answer is (A)" below "Answer: (B)"."""
    letters, right = _letters(len(choices)), LETTERS[correct]
    for match in letters.named.finditer(text):
        if (match[1] or match[2]) != right and _NAMES_THE_ANSWER.search(
            text, max(0, match.start() - 20), match.start()
        ):
            return True
    return ") is " in text and any(match[1] != right for match in letters.is_right.finditer(text))


def _clean(line: str) -> str:
    """The line without boxes. Raises DroppedReply where its sentence needs one."""
    cleaned = without_boxes(line)
    if cleaned is None:
        raise DroppedReply(Reason.BOXES)
    return cleaned


def _short(text: str, choices: list[str], correct: int) -> str:
    """The short answer without boxes and full stop; "" where it is only the right choice's letter, which says nothing
    without the choices. Raises DroppedReply where it names a wrong choice, by its text or its letter."""
    cleaned = cleaned_answer(text)
    if not cleaned:
        return ""
    key = choice_key(cleaned)
    if key != choice_key(choices[correct]) and key in map(choice_key, choices):
        raise DroppedReply(Reason.SHORT_DISAGREES)
    letter = _letters(len(choices)).alone.fullmatch(cleaned)
    if letter and not re.search(
        rf"\b{letter[1]}\b", choices[correct]
    ):  # "C" is an answer where "vitamin C" is right
        if letter[1] != LETTERS[correct]:
            raise DroppedReply(Reason.SHORT_DISAGREES)
        return ""
    return cleaned


# matches "The correct answer is: option " before "B"; "Answer: " before "cat"; and nothing before "cat"
_LEAD = re.compile(
    r"\A\s*(?:(?:the )?(?:correct |right |best )?(?:answer|option|choice)(?: is| would be)?\b ?:? ?)?"
    r"(?:is )?(?:option |choice )?",
    re.IGNORECASE,
)
# matches "(B) cat" · "[B]" · "B. cat" · "B: cat" · "B" alone · "B cat", with what follows the letter as `rest`
_LETTER = re.compile(
    r"(?:\( ?([A-Z]) ?\)|\[([A-Z])\]|([A-Z])(?=[.):,]|\Z)|([A-Z]) )(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_REMARK = re.compile(r"\s?(?:[.,;:(–—-]|because\b|since\b|as\b)")


def _correct(answer: str, raw_choices: list[str], choices: list[str]) -> int:
    """The index of the right choice, from its letter, its text or both.

    `raw_choices` are the choices before boxes and full stops were removed; the answer may repeat them as either.
    Raises DroppedReply where there is no answer, its letter is outside the choices, or letter and text disagree.
    """
    line = joined_lines(answer)
    if not has_word(line):
        raise DroppedReply(Reason.NO_ANSWER)
    # the whole answer is a choice's text; a single letter may be one and is read as a letter first
    keys = list(map(choice_key, choices))
    as_written = keys if choices is raw_choices else list(map(choice_key, raw_choices))
    whole = choice_key(line)
    by_text = keys.index(whole) if whole in keys else None
    if whole in as_written and (by_text is None or as_written.index(whole) < by_text):
        by_text = as_written.index(whole)
    if by_text is not None and len(whole) > 1:
        return by_text
    match = _LETTER.match(line)
    if match is None and by_text is not None:  # "3" of "(A) 1 (B) 2 (C) 3 (D) 4"
        return by_text
    if match is None:  # a choice's text and a remark
        begun = [i for i in range(len(keys)) if _begins(whole, keys[i])]
        if len(begun) != 1 or _letters(len(choices)).other.search(line):
            raise DroppedReply(Reason.NO_ANSWER)
        return begun[0]
    # a letter, and perhaps a text that has to agree with it
    letter = match[1] or match[2] or match[3] or match[4]
    index, rest = ord(letter.upper()) - ord("A"), match["rest"].lstrip(" .):,–—")
    if rest.startswith("-") and not rest[1:2].isdigit():  # the sign of "-5" stays
        rest = rest.lstrip(" .):,-–—")
    if index >= len(choices):
        raise DroppedReply(Reason.OUTSIDE)
    text = choice_key(rest)
    agrees = not text or text in (as_written[index], keys[index])
    if not agrees and text not in as_written and text not in keys:
        # a remark may follow the choice's text, but it must name no other letter
        named = _letters(len(choices)).other.findall(rest)
        others = {other.upper() for other in named} - {letter.upper()}
        agrees = not others and any(_begins(text, key) for key in (as_written[index], keys[index]))
    if not agrees or (by_text is not None and by_text != index):
        raise DroppedReply(Reason.DISAGREE)
    return index


def _begins(text: str, choice: str) -> bool:
    """Whether a text is the choice and then a remark: "cat, because it has whiskers"."""
    return text.startswith(choice) and bool(_REMARK.match(text, len(choice)))
