"""Step 6: accuracies of every round, gains between two rounds, and which types are weak."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import PairedGains, mcnemar, wilson
from dataengine_lib.evaluation.rounds.figures import (
    Accuracy,
    ChangedAnswer,
    Comparison,
    PairedScore,
    RoundScores,
)
from dataengine_lib.evaluation.rounds.pairs import PairedAnswers, question_key, type_of
from dataengine_lib.questions.splits import DIAGNOSE

_ALL = "overall"  # the group of all questions
_NO_DIAGNOSE = "the first evaluation has no diagnose questions, so no type can be called weak"
_NONE_WANTED = "weak_types is 0"
_NONE_WRONG = "the student answered every diagnose question right, so no type is weak"


def weak_types(first: Sequence[Answer], count: int, compared: Collection[str]) -> tuple[list[str], str]:
    """The `count` types of lowest accuracy on the first evaluation's diagnose questions, and a note about them.

    They are selected on other questions than they are compared on: selected on the same ones, they would improve by
    regression to the mean alone. Types without a `compared` question are left out and named in the note.
    """
    if not count:
        return [], _NONE_WANTED
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for answer in first:
        if answer.split == DIAGNOSE:
            total[type_of(answer)] += 1
            right[type_of(answer)] += answer.correct
    if not total:
        return [], _NO_DIAGNOSE
    # types of equal accuracy in alphabetical order
    weakest = sorted(total, key=lambda kind: (right[kind] / total[kind], kind))
    # a type without a wrong answer is not weak, even if fewer than `count` remain
    weak = [kind for kind in weakest if right[kind] < total[kind]][:count]
    if not weak:
        return [], _NONE_WRONG
    not_compared = [kind for kind in weak if kind not in compared]
    note = f"not among the compared questions: {', '.join(not_compared)}" if not_compared else ""
    return [kind for kind in weak if kind in compared], note


def round_scores(name: str, file: Path, answers: Sequence[Answer], types: np.ndarray) -> RoundScores:
    """One round's accuracies, overall and by type; `types` is `(questions,)`."""
    correct = np.array([answer.correct for answer in answers])
    by_type = {kind: _accuracy(correct[types == kind]) for kind in sorted(set(types))}
    return RoundScores(name, str(file), _accuracy(correct), by_type)


def _accuracy(correct: np.ndarray) -> Accuracy:
    right, total = int(correct.sum()), len(correct)
    interval = wilson(right, total)
    return Accuracy(right, total, right / total, interval.low, interval.high)


def compare_two(
    pairs: PairedAnswers, names: Sequence[str], before: int, after: int, weak: Sequence[str], seed: int
) -> Comparison:
    """Round `after` against round `before`, by index; `seed` is of the bootstrap."""
    answers = pairs.rounds[before], pairs.rounds[after]
    correct = [np.array([answer.correct for answer in one], dtype=int) for one in answers]
    difference = correct[1] - correct[0]  # 1: fixed, -1: broken, 0: as right or wrong as before
    types = pairs.types
    groups = {kind: types == kind for kind in sorted(set(types))}
    everything = np.ones(len(types), dtype=bool)
    # one set of draws for all groups, from which the weak types' average gets its interval too
    gains = PairedGains({_ALL: everything, **groups}, difference, pairs.images, seed=seed)

    def paired(name: str, mask: np.ndarray | slice = slice(None)) -> PairedScore:
        fixed, broken = (int((difference[mask] == sign).sum()) for sign in (1, -1))
        return PairedScore(gains.gain(name), fixed, broken, mcnemar(fixed, broken))

    fixed, broken = (
        [_changed_answer(answers[0][row], answers[1][row]) for row in np.flatnonzero(difference == sign)]
        for sign in (1, -1)
    )
    return Comparison(
        before=names[before],
        after=names[after],
        overall=paired(_ALL),
        by_type={kind: paired(kind, mask) for kind, mask in groups.items()},
        weak=gains.average(weak) if weak else None,
        fixed=fixed,
        broken=broken,
    )


def _changed_answer(before: Answer, after: Answer) -> ChangedAnswer:
    return ChangedAnswer(
        question_id=question_key(before),
        question_type=type_of(before),
        image_id=before.image_id,
        image_path=before.image_path,
        question=before.question,
        choices=before.choices,
        correct_choice_idx=before.correct_choice_idx,
        before=before.model_answer,
        after=after.model_answer,
    )
