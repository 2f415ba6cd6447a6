"""Step 1: how a student that is asked in a chat gives short answers, and how their first tokens are read.

Shared by students behind servers and in vLLM, which are asked in the same words.
"""

import math
from collections.abc import Sequence

from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_choice import CANNOT_TELL
from dataengine_lib.students.interface import RankedText
from dataengine_lib.students.on_server.first_tokens import FirstToken, score_first_token

# What is appended to every prompt, and so part of the key of every paid request.
BY_LETTER = (
    "Answer with the letter of the best option and nothing else. "
    f'Only where no option can be preferred, answer "{CANNOT_TELL}".'
)
IN_WORDS = "Answer in one to three words."
_BY_FIRST_LETTER = "Answer with the letter of the best option and nothing else."
_BY_FIRST_WORD = "Answer with one word: {words}."


def ranked_prompt(prompt: str, choices: Sequence[str], scored: RankedText) -> tuple[str, Sequence[str]]:
    """The prompt whose first answered token is ranked, and the names by which the options are known in it.

    They are the options' letters, or with `scored` of `words` the one word that each option is.
    """
    if scored == "words":
        return f"{prompt}\n{_BY_FIRST_WORD.format(words=' or '.join(choices))}", choices
    return f"{prompt}\n{_BY_FIRST_LETTER}", LETTERS[: len(choices)]


def read_first_token(
    top: Sequence[tuple[str, float]], names: Sequence[str]
) -> tuple[FirstToken, list[float] | AskFailed]:
    """What the most probable first tokens say, and the options' scores, or that they cannot tell (declined)."""
    found = score_first_token(top, names)
    if found.decided:
        return found, found.scores
    first = ", ".join(f"{token!r} {100 * math.exp(logprob):.1f} %" for token, logprob in top[:3])
    return found, AskFailed(f"cannot tell: the first token is {first}", teacher_at_fault=False, declined=True)
