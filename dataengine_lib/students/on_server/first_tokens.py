"""Step 1, `rank: letter` of a student behind a server: options scored by the probabilities of the answer's first token.

A server lists the most probable tokens at a place (`top_logprobs`), so a letter may be missing from the list, and stand
in it in several forms: "A", " A", "(A", "A)".
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

# Matches "A", " A", "▁(A", "Ġ**Yes", "A)." and "B:": white space as tokenizers write it, marks, a word, marks.
_WORD = re.compile(r"""[\s▁Ġ]*[(\["'*]*([A-Za-z]+)[)\].,:"'*]*\s*""")
_OPENER = re.compile(
    r"""[\s▁Ġ(\["'*]+"""
)  # matches "(", " **": an answer begins, and its letter is not in the token


class FirstToken(NamedTuple):
    """The scores of a question's options, log-probabilities, and what is not known about them.

    `missing` counts options without a token in the list: each has the score that it has at most. `share` is the
    probability of all options together. `decided` is False where the list cannot tell which option is the most probable
    one.
    """

    scores: list[float]
    missing: int
    share: float
    decided: bool


def score_first_token(top: Sequence[tuple[str, float]], names: Sequence[str]) -> FirstToken:
    """Scores of the options that begin with `names` (letters, or words such as Yes), from a server's list of tokens.

    All forms of a name are counted together. Letters count in upper case alone ("a" begins a sentence), words in any case.
    A name without a token has at most the probability of the least probable token of the list, or of what the list
    leaves over. No option is the most probable one where none is in the list, where one that is missing may be as
    probable as the best one, or where tokens after which any of them may follow, as "(", are as probable.
    """
    probabilities = dict.fromkeys(names, 0.0)
    opened = 0.0
    words = {name if len(name) == 1 else name.casefold(): name for name in names}
    listed = [(token, math.exp(logprob)) for token, logprob in top]
    for token, probability in listed:
        found = _WORD.fullmatch(token)
        text = found[1] if found else ""
        name = words.get(text if len(text) == 1 else text.casefold())
        if name is not None:
            probabilities[name] += probability
        elif _OPENER.fullmatch(token):
            opened += probability
    total = sum(probability for _, probability in listed)
    least = min((probability for _, probability in listed), default=1.0)
    # never 0, of which there is no logarithm
    most_of_missing = max(min(least, 1 - total), 1e-12)
    best = max(probabilities.values(), default=0.0)
    missing = sum(not value for value in probabilities.values())
    return FirstToken(
        [math.log(min(1.0, value or most_of_missing)) for value in probabilities.values()],
        missing,
        sum(probabilities.values()),
        best > max(opened, most_of_missing * (1 + 1e-9) if missing else 0.0),
    )
