"""Step 4: the short answer of an open-ended QA in a teacher's reply: read and cleaned, or dropped with one reason."""

import re

from dataengine_lib.core.text import choice_key, key_words
from dataengine_lib.replies.boxes_in_text import without_boxes
from dataengine_lib.replies.choices import has_word, joined_lines
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason

# Answers of VQAv2 have one to three words, 99 % of them at most three; a few names and phrases have more.
_MOST_WORDS = 5
# matches "Which of these is red?" · "Which of the following …" · "… from the given options": choices that are not shown
_NEEDS_CHOICES = re.compile(
    r"\bof (?:these|the following)\b"
    r"|\b(?:these|following|given|listed|above|below) (?:\w+ )?(?:options|choices|answers|alternatives)\b",
    re.IGNORECASE,
)
_QUOTES = " \"'“”‘’"
# what a person says who does not know
_UNSURE = frozenset(
    ("unknown", "unclear", "not sure", "unsure", "cannot tell", "can't tell", "n/a", "none of the above",
     "not visible", "not known", "not clear", "cannot say", "not stated", "not mentioned")
)  # fmt: skip


def short_answer(answer: str, short: str) -> str:
    """The answer as it is kept, `dog`; `short` is the part behind a heading of its own, where the reply has one.

    Boxes and a full stop are removed. Raises DroppedReply where there is no answer, the two parts disagree, or the
    answer is a sentence.
    """
    one, other = (cleaned_answer(part, _QUOTES) for part in (short, answer))
    if one and other and choice_key(one) not in choice_key(other):
        raise DroppedReply(Reason.SHORT_DISAGREES)
    found = one or other
    if not found or choice_key(found) in _UNSURE:
        raise DroppedReply(Reason.NO_ANSWER)
    if len(key_words(found)) > _MOST_WORDS:
        raise DroppedReply(Reason.LONG_ANSWER)
    return found


def check_stands_alone(question: str) -> None:
    """Raise DroppedReply for a question that can only be answered with choices."""
    if _NEEDS_CHOICES.search(question):
        raise DroppedReply(Reason.NEEDS_CHOICES)


def cleaned_answer(part: str, around: str = "") -> str:
    """A short answer without boxes and full stop, and without the characters `around` at its ends; "" without a word.

    Raises DroppedReply where it needs a box.
    """
    line = joined_lines(part)
    if not has_word(line):
        return ""
    cleaned = without_boxes(line, sentence=False)
    if cleaned is None:
        raise DroppedReply(Reason.BOXES)
    cleaned = cleaned.strip(around)
    return cleaned[:-1] if cleaned.endswith(".") and "." not in cleaned[:-1] else cleaned
