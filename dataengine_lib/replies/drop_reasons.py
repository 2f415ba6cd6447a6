"""Step 4: why a reply, or a row, was dropped."""

from enum import StrEnum


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


class DroppedReply(Exception):
    """A reply that is not taken, for one reason."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
