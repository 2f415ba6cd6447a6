"""Step 4: the reasons to drop a reply or a record."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a row, a reply or a record was dropped; the words are in the rejects file and shown in the report."""

    MALFORMED = "malformed row"
    TOO_LONG = "reply too long"
    TRUNCATED = "reply cut off"
    SKIPPED = "skipped by the teacher"
    NO_QUESTION = "no question"
    NO_CHOICES = "no choices"
    NOT_FOUR = "not four choices"
    OTHER_NUMBER = "another number of choices than asked for"
    EMPTY_CHOICE = "empty choice"
    EQUAL_CHOICES = "equal choices"
    EQUAL_BUT_BOX = "choices differ only by their box"
    NO_ANSWER = "no answer"
    REPEATED_PART = "a part of the reply comes twice"
    OUTSIDE = "answer outside the choices"
    DISAGREE = "answer letter and text disagree"
    SHORT_DISAGREES = "short answer is a wrong choice"
    CONTRADICTS = "the reply contradicts itself"
    NOT_YES_NO = "answer is neither yes nor no"
    NOT_YES_NO_QUESTION = "yes or no does not answer the question"
    LONG_ANSWER = "answer too long for a short answer"
    NEEDS_CHOICES = "asks for one of choices that are not shown"
    HAS_CHOICES = "choices where none were asked for"
    MARKED = "a choice is marked as right or wrong"
    TOKEN = "holds a special token of a model"
    BOXES = "speaks of boxes or coordinates"
    DESCRIPTION = "speaks of a description"
    DUPLICATE = "same QA on the same image"
    REFUTED = "boxes refute the answer"
    LEAK = "gives away the evaluation"
    NEAR_DUPLICATE = "nearly the same question on the same image"
    KNOWN = "the student knows it already"
    TOO_HARD = "too hard for the student"
    SECOND_READER = "a second reader disagrees"
    BOTH_WRONG = "neither student nor second readers find the answer"
    BLIND_READER = "a reader without the image finds the answer"
    BLIND = "words alone give the answer away"
    REVIEWER = "rejected by a reviewer"


class DroppedReply(Exception):
    """Raised where a reply cannot become a QA, with the one reason."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
