"""Step 1: the questions that the student got wrong, by type, without near-duplicates; step 2's examples."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dataengine_lib.core.records import Answer
from dataengine_lib.evaluation.paired.circular import with_wrong_choice
from dataengine_lib.questions.similarity import reduce_pool


class BadCases(NamedTuple):
    """`kept` is the content of `bad_case_aokvqa_classified.json`; `alike` counts the near-duplicates by type."""

    kept: dict[str, list[Answer]]
    alike: dict[str, int]


def collect_bad_cases(
    answers: Sequence[Answer], types: Iterable[str], near_duplicate: float, seed: int
) -> BadCases:
    """The wrong `answers` of each of `types`; of those whose questions nearly agree, one is kept.

    `near_duplicate` is the similarity in [0, 1] from which two count as one (0: keep all), `seed` draws which stays.
    """
    wrong = [with_wrong_choice(answer) for answer in answers if not answer.correct]
    kept: dict[str, list[Answer]] = {}
    alike: dict[str, int] = {}
    # a type without wrong answers gets an empty list, so that the file names every type
    for question_type in types:
        of_type = [answer for answer in wrong if answer.question_type == question_type]
        kept[question_type] = reduce_pool(of_type, near_duplicate, seed).kept
        alike[question_type] = len(of_type) - len(kept[question_type])
    return BadCases(kept, alike)
