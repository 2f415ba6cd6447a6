"""Step 6: accuracies of every round, gains between two rounds, and which types are weak."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataengine_lib.core.records import OPEN, Answer
from dataengine_lib.core.significance.sign_flip import holm
from dataengine_lib.core.statistics import BOOTSTRAP_DRAWS, Gain, PairedGains, mcnemar
from dataengine_lib.evaluation.paired.circular import with_wrong_choice
from dataengine_lib.evaluation.paired.scores import answer_scores, mean_with_ends
from dataengine_lib.evaluation.rounds.figures import (
    Accuracy,
    ChangedAnswer,
    Comparison,
    GainVerdict,
    PairedScore,
    RoundScores,
)
from dataengine_lib.evaluation.rounds.pairs import PairedAnswers, question_key, type_of
from dataengine_lib.evaluation.rounds.verdicts import too_few, verdict_of
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


def round_scores(name: str, file: Path, answers: Sequence[Answer], pairs: PairedAnswers) -> RoundScores:
    """One round's accuracies, overall and by type; `answers` are those of a round of `pairs`."""
    correct = np.array([answer.correct for answer in answers], dtype=bool)
    scores, images, types = answer_scores(answers), np.array(pairs.images, dtype=object), pairs.types

    def accuracy(mask: np.ndarray, family: int) -> Accuracy:
        mean, low, high = mean_with_ends(scores[mask], images[mask])
        about = len(set(images[mask]))
        return Accuracy(
            int(correct[mask].sum()), int(mask.sum()), mean, low, high, about, too_few(about, family)
        )

    kinds = sorted(set(types))
    by_type = {kind: accuracy(types == kind, len(kinds)) for kind in kinds}
    return RoundScores(name, str(file), accuracy(np.ones(len(types), dtype=bool), 1), by_type)


def compare_two(
    pairs: PairedAnswers, names: Sequence[str], before: int, after: int, weak: Sequence[str], seed: int
) -> Comparison:
    """Round `after` against round `before`, by index; `seed` is of the bootstrap."""
    answers = pairs.rounds[before], pairs.rounds[after]
    scores = answer_scores(answers[0]), answer_scores(answers[1])
    gains = type_gains(scores[1] - scores[0], pairs.types, pairs.images, weak, seed)
    # right or wrong, also where scores are fractions: 1 is fixed, -1 broken
    correct = [np.array([answer.correct for answer in one], dtype=int) for one in answers]
    changed = correct[1] - correct[0]
    counted = all(np.isin(one, (0, 1)).all() for one in scores)

    def paired(tested: GainVerdict, mask: np.ndarray | slice = slice(None)) -> PairedScore:
        fixed, broken = (int((changed[mask] == sign).sum()) for sign in (1, -1))
        return PairedScore(
            gain=tested.gain,
            p_value=tested.p_value,
            p_holm=tested.p_holm,
            verdict=tested.verdict,
            fixed=fixed,
            broken=broken,
            p_mcnemar=mcnemar(fixed, broken) if counted else None,
        )

    fixed, broken = (
        [_changed_answer(answers[0][row], answers[1][row]) for row in np.flatnonzero(changed == sign)]
        for sign in (1, -1)
    )
    return Comparison(
        before=names[before],
        after=names[after],
        overall=paired(gains.overall),
        by_type={kind: paired(tested, pairs.types == kind) for kind, tested in gains.by_type.items()},
        weak=gains.weak,
        fixed=fixed,
        broken=broken,
    )


class TypeGains(NamedTuple):
    """The tested gains of one comparison; `weak` is None without weak types."""

    overall: GainVerdict
    by_type: dict[str, GainVerdict]
    weak: GainVerdict | None


def type_gains(
    difference: np.ndarray,
    types: np.ndarray,
    images: Sequence[str],
    weak: Sequence[str],
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
) -> TypeGains:
    """The gain of all questions, of each type and of the weak types' average, with intervals and tests.

    `difference` `(questions,)` is after minus before in [-1, 1], `types` and `images` name each question's. The types'
    p-values are corrected together; overall and the average are one hypothesis each. `seed` is of the bootstrap.
    """
    groups = {kind: types == kind for kind in sorted(set(types))}
    everything = np.ones(len(types), dtype=bool)
    # one set of draws for all groups, from which the weak types' average gets its interval too
    gains = PairedGains({_ALL: everything, **groups}, difference, images, seed=seed, draws=draws)
    p_values = {kind: gains.p_value([kind]) for kind in groups}
    corrected = holm(p_values)

    def tested(gain: Gain, p_value: float, p_holm: float, family: int) -> GainVerdict:
        verdict = verdict_of(gain.gain, p_holm, gain.images, family)
        return GainVerdict(gain=gain, p_value=p_value, p_holm=p_holm, verdict=verdict)

    def alone(names: Sequence[str]) -> GainVerdict:
        p_value = gains.p_value(names)
        return tested(gains.average(names), p_value, p_value, 1)

    return TypeGains(
        overall=alone([_ALL]),
        by_type={
            kind: tested(gains.gain(kind), p_values[kind], corrected[kind], len(groups)) for kind in groups
        },
        weak=alone(weak) if weak else None,
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
        before=with_wrong_choice(before).model_answer,
        after=with_wrong_choice(after).model_answer,
        direct_answers=before.direct_answers if before.answer_kind == OPEN else [],
    )
