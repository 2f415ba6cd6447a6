"""Step 1: the answer in a written reply of a student behind a server, or why there is none."""

import re
from collections.abc import Sequence

from dataengine_lib.chat.ledger import PaidTotal
from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import caseless
from dataengine_lib.replies.json_reply import structured_answer

MOST_WORDS = 3  # of an answer without options, as the prompt asks for
# matches "the answer is (b) cat" and "b. cat": the letter, and what follows it
_LETTER_FIRST = re.compile(
    r"(?:(?:the )?(?:correct |best |final )?answer(?: is)?\W+)?\W*([a-z])(?:\W+|$)(.*)"
)


def written_answer(row: PaidTotal, choices: Sequence[str] | None, max_output_tokens: int) -> str | AskFailed:
    """The answer in the last reply to a request about `choices` (None: without any), or why there is none."""
    # 1. replies that are no answer, whatever their text says
    if row.finish_reason == "refusal":
        return AskFailed("the student refused", teacher_at_fault=False, declined=True)
    if row.finish_reason == "content_filter":
        return AskFailed("stopped by the student's content filter", teacher_at_fault=False, declined=True)
    if row.failed:
        return AskFailed(row.problem or "the reply is empty, or ended by an error", teacher_at_fault=False)
    cut_off = AskFailed(
        f"cut off at max_output_tokens={max_output_tokens}; raise it",
        teacher_at_fault=False,
    )
    # 2. the text after the reasoning; a reply that ends within it never reached its answer
    text, unfinished = after_reasoning(row.text)
    if unfinished:
        return cut_off
    # 3. complete JSON is an answer, even where the reply was cut off behind it;
    # other text that was cut off is one only where it begins with the answer
    chosen = None if choices is None else structured_answer(text, choices)
    if chosen is not None:
        return chosen
    if row.finish_reason == "length" and (row.structured or not _is_answer(text, choices)):
        return cut_off
    return text


def _is_answer(text: str, choices: Sequence[str] | None) -> bool:
    """Whether a reply that was cut off begins with its answer: an option, or a few words, without reasoning before."""
    words = caseless(text)
    if choices is None:
        return 0 < len(words.split()) <= MOST_WORDS
    # "(b) cat" leaves "cat" to compare with option B alone; "cat" is compared with every option
    letter = _LETTER_FIRST.match(words)
    index = LETTERS.find(letter[1].upper()) if letter else -1
    if letter and 0 <= index < len(choices):
        words, options = letter[2], [choices[index]]
    else:
        options = list(choices)
    # The option itself may be cut off, and what follows it must not go on in the same sentence.
    return any(
        caseless(option).startswith(words) or re.match(rf"{re.escape(caseless(option))}\s?[.,;:!)*]", words)
        for option in options
        if words or letter
    )
