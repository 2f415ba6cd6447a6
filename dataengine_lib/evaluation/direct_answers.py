"""Step 1: answers without options, and A-OKVQA's direct-answer score."""

import re
from collections.abc import Sequence

from dataengine_lib.core.records import Answer
from dataengine_lib.core.text import answer_key

# the dot that ends a sentence, as in `a dog. It sits`, but not in `U.S. Army`, `st. bernard`, `dr. pepper`,
# `approx. 5`, `p.m. train`, `j. smith` or `no. 7`
_SENTENCE_END = re.compile(
    r"(?<=[a-z0-9])(?<!\b[Ss]t)(?<!\b[MmDdJjSs]r)(?<!\b[Mm]rs)(?<!\b[Mm]s)(?<!\b[Mm]t)(?<!\b[Ff]t)(?<!\bvs)"
    r"(?<!\b[Pp]rof)(?<!\bapprox)(?<!\.[a-z])(?<!^[a-z])\.(?=\s|$)(?!(?<=\b[Nn]o\.)\s\d)"
)
_LETTER = re.compile(r"^\(?[A-Z]\)[:.]?\s*")  # `(B) `, `B) `, `(B): `


def counts_for_direct_score(answer: Answer) -> bool:
    """Whether A-OKVQA's direct-answer score includes this question: it leaves difficult ones out."""
    asked = answer.direct_answer is not None
    return asked and bool(answer.direct_answers) and not answer.difficult_direct_answer


def direct_answer_score(given: str, answers: Sequence[str]) -> float:
    """min(1, matches / 3) over the people's answers, in [0, 1]; case and punctuation at the ends are ignored.

    An answer without a word or sign matches nothing. Source: A-OKVQA's eval_predictions.py.
    """
    normalised = answer_key(given)
    matches = sum(answer_key(answer) == normalised for answer in answers) if normalised else 0
    return min(1.0, matches / 3)


def extract_direct_answer(written: str) -> str:
    """The answer in what the student wrote after `The answer is`: up to the end of the first line or sentence.

    An option's letter before it is removed.
    """
    # `(B) a dog. It sits.` gives `a dog`, `: two` gives `two`, and `U.S. Army` stays
    line = written.strip().split("\n")[0]
    sentence = _SENTENCE_END.split(line)[0]
    return _LETTER.sub("", sentence.strip()).strip(" :")
