"""Step 4: what a reader is to reply and what its reply says, by the answer kind of the record."""

from collections.abc import Sequence
from typing import Any

from dataengine_lib.core.records import OPEN, YES_NO, TrainRecord, right_answer, shows_options
from dataengine_lib.core.text import caseless
from dataengine_lib.evaluation.scores.vqa_text import vqa_key
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice
from dataengine_lib.replies.drop_reasons import DroppedReply
from dataengine_lib.replies.json_reply import (
    letter_schema,
    strict_object,
    structured_answer,
    structured_words,
)
from dataengine_lib.replies.kinds.short_answer import short_answer
from dataengine_lib.replies.kinds.yes_no import yes_no_index
from dataengine_lib.replies.one_qa import without_lead

# The answers to an open-ended QA, which has no choices that they could be places of.
SAME_ANSWER, OTHER_ANSWER = 0, 1


def answer_schema(record: TrainRecord, may_pass: bool) -> dict[str, Any]:
    """The strict JSON schema of a reader's reply; with `may_pass` it may be CANNOT_TELL."""
    if record.answer_kind == YES_NO:
        return strict_object(
            answer={"type": "string", "enum": ["Yes", "No", *([CANNOT_TELL] if may_pass else [])]}
        )
    if record.answer_kind == OPEN:
        return strict_object(answer={"type": "string"})
    return letter_schema(record.choices, may_pass)


def named_answer(text: str, record: TrainRecord, order: Sequence[int]) -> int | None:
    """The index of the choice that a reply names, of an open-ended QA SAME_ANSWER or OTHER_ANSWER; None for no answer.

    `order` are the indices of the choices in the order in which they were shown. Words of an open-ended answer are
    compared as the script of VQAv2 does it.
    """
    if not shows_options(record.answer_kind):
        words = structured_words(text)
        return _named_in_words(without_lead(text if words is None else words), record)
    shown = [record.choices[index] for index in order]
    # JSON where the reply holds some, else words
    structured = structured_answer(text, shown)
    named = written_choice(text if structured is None else structured, shown)
    # from the order in which the choices were shown to the record's own
    return None if named is None else order[named]


def _named_in_words(answer: str, record: TrainRecord) -> int | None:
    if caseless(answer).strip(" .\"'") == CANNOT_TELL:
        return None
    try:
        if record.answer_kind == YES_NO:
            return yes_no_index(answer)
        same = vqa_key(short_answer(answer, "")) == vqa_key(right_answer(record))
    except DroppedReply:  # no answer, or a sentence, which is none that can be compared
        return None
    return SAME_ANSWER if same else OTHER_ANSWER
