"""Step 1: what a written answer to a yes/no question says: as step 1 reads it, and as the public scripts do."""

import re

from dataengine_lib.core.reasoning import after_reasoning

YES, NO = 0, 1  # places in the choices of a yes/no question
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # matches Yes · no · isn't
# matches "Yes" · "yes, it is" · "**No**. There" · "Answer: no" · "The answer is yes": what follows is not "or no"
_FIRST = re.compile(
    r"\W*(?:(?:the\s+)?(?:correct\s+|final\s+)?answer(?:\s+is)?\W+)?(yes|no)\b"
    r"(?=\W*$|\s*[.,;:!*\n)\"'–—-]|\s+(?:there|it|he|she|they|the|this|that|i|you|we|because|since|as)\b)",
    re.IGNORECASE,
)
_MME_CHARACTERS = 4  # of an answer, among which MME's script looks for yes and no


def read_yes_no(text: str) -> int | None:
    """YES, NO, or None where the answer says neither, or both: `Yes, there is no dog` is YES.

    A yes or no that begins the answer counts, else the only one of the two words that it holds, as VLMEvalKit reads it.
    """
    text = after_reasoning(text)[0]
    if first := _FIRST.match(text):
        return YES if first[1].lower() == "yes" else NO
    words = {word.lower() for word in _WORDS.findall(text)}
    if ("yes" in words) == ("no" in words):
        return None
    return YES if "yes" in words else NO


def read_as_mme(text: str) -> int | None:
    """As MME's calculation.py reads an answer: yes or no among its first four characters, None for any other."""
    text = text.lower()
    if text in ("yes", "no"):
        return YES if text == "yes" else NO
    start = text[:_MME_CHARACTERS]
    return YES if "yes" in start else NO if "no" in start else None


def read_as_pope(text: str) -> int:
    """As POPE's evaluate.py reads an answer: NO where its first sentence has the word No, no or not, else YES."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return NO if {"No", "not", "no"} & {*words} else YES
