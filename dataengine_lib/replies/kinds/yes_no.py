"""Step 4: a yes/no QA of a teacher's reply: its answer read, or dropped with one reason."""

import re

from dataengine_lib.questions.answer_kinds import YES_NO_CHOICES
from dataengine_lib.replies.choices import has_word, joined_lines
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason

# matches "Yes." · "no, because" · "Yes - there is" · "(A) yes": an answer, and perhaps a remark behind it
_ANSWER = re.compile(
    r"[\W_]*(?:\(?[A-B]\)?[.:)]? ?)?(yes|no)\b[\"'”’)*]*(?:\s*\Z|\s?[.,;:!(–—-]|\s(?:because|since|as)\b|\n)",
    re.IGNORECASE,
)
# matches "Yes or no" · "Yes/no" · "Yes and no" · "yes, no": both answers
_BOTH = re.compile(r"[\W_]*(?:yes|no)\b(?: ?[/,] ?| (?:or|and) )(?:yes|no)\b", re.IGNORECASE)
# matches the end of the questions of MME, which says how to answer: " Please answer yes or no."
_HOW_TO_ANSWER = re.compile(
    r"[\s(]*(?:please )?(?:just |only )?answer(?: the question)?(?: with| only| by)? "
    r"[\"'“]?yes[\"'”]? or [\"'“]?no[\"'”]?\W*\Z",
    re.IGNORECASE,
)
# matches "How many dogs are there?", a single sentence that yes or no does not answer
_ASKS_FOR_WORDS = re.compile(
    r"(?:how|what|which|who|whom|whose|where|when|why)\b[^.?!,]*\?*\Z", re.IGNORECASE
)
# matches "the answer is no" · "so the correct answer would be: Yes" in a rationale
_SAYS_ANSWER = re.compile(
    r"\banswer(?: (?:is|would be|must be|should be|has to be)|:):? ?[\"'“(]?(yes|no)\b", re.IGNORECASE
)


def yes_no_index(answer: str) -> int:
    """The place of the answer in YES_NO_CHOICES; a remark may follow it, `Yes, there is a dog.`

    Raises DroppedReply where it is neither yes nor no.
    """
    line = joined_lines(answer)
    if not line:
        raise DroppedReply(Reason.NO_ANSWER)
    found = _ANSWER.match(line)
    if found is None or _BOTH.match(line):
        raise DroppedReply(Reason.NOT_YES_NO)
    return YES_NO_CHOICES.index(found[1].lower())


def yes_no_question(question: str) -> str:
    """The question without a remark on how to answer it, which step 5 adds to every question alike.

    Raises DroppedReply for one that cannot be answered with yes or no.
    """
    bare = _HOW_TO_ANSWER.sub("", question).rstrip()
    if not has_word(bare):
        raise DroppedReply(Reason.NO_QUESTION)
    if _ASKS_FOR_WORDS.match(bare):
        raise DroppedReply(Reason.NOT_YES_NO_QUESTION)
    return bare


def says_other_answer(rationale: str, index: int) -> bool:
    """Whether a rationale calls the other answer right: "the answer is no" below "Answer: Yes"."""
    return any(found[1].lower() != YES_NO_CHOICES[index] for found in _SAYS_ANSWER.finditer(rationale))
