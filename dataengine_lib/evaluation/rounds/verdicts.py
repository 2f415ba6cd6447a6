"""Step 6: what may be concluded from a gain, as one word for programs and as words for people."""

from typing import Literal

from dataengine_lib.core.significance.sign_flip import ALPHA, smallest_p
from dataengine_lib.core.statistics import cannot_tell

Verdict = Literal["gain", "loss", "unclear", "too few"]
_WORDS: dict[Verdict, str] = {
    "gain": "a real gain",
    "loss": "a real loss",
    "unclear": "not distinguishable from chance",
}


def too_few(images: int, family: int) -> bool:
    """Whether questions about so few images cannot show anything, even if all their answers changed alike.

    `family` is the number of tests that are corrected together.
    """
    return smallest_p(images) * family > ALPHA


def verdict_of(gain: float, p_holm: float, images: int, family: int) -> Verdict:
    """What a gain is called: real only where its p-value, corrected among the `family`, is at most 0.05."""
    if p_holm <= ALPHA:
        return "gain" if gain > 0 else "loss"
    return "too few" if too_few(images, family) else "unclear"


def verdict_words(verdict: Verdict, questions: int) -> str:
    """`a real gain`, `not distinguishable from chance`, or `3 questions cannot tell`."""
    return _WORDS.get(verdict) or cannot_tell(questions)
