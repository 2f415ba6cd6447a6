"""Figures of step 1: accuracies per split and type with intervals, and A-OKVQA's direct-answer score."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.bad_rows import BadRowSummary
from dataengine_lib.core.records import CHOICE, KINDS, NO_TYPE, OPEN, YES_NO, Answer
from dataengine_lib.core.statistics import Interval, clustered_wilson
from dataengine_lib.evaluation.answers import is_unread
from dataengine_lib.evaluation.direct_answers import counts_for_direct_score
from dataengine_lib.evaluation.judge.agreement import JudgeAgreement
from dataengine_lib.evaluation.letter_bias import Consistency, LetterBias, consistency, letter_bias
from dataengine_lib.evaluation.paired.circular import CircularScore, circular_score
from dataengine_lib.evaluation.paired.scores import image_of_answer
from dataengine_lib.evaluation.probes.blind import BlindScores
from dataengine_lib.evaluation.probes.contamination import Contamination
from dataengine_lib.evaluation.probes.panel import PanelScore
from dataengine_lib.evaluation.scores.open_scores import OpenScores, open_scores
from dataengine_lib.evaluation.scores.yes_no import YesNoScores, yes_no_scores
from dataengine_lib.evaluation.type_confusion import TypeConfusion, type_confusion
from dataengine_lib.evaluation.weights import AccuracyRule, TypeCounts, WeightInterval, weight_table
from dataengine_lib.questions.splits import DIAGNOSE, SPLITS
from dataengine_lib.students.on_server.rank_counts import RankCounts

_POINT_DECIMALS = 6  # of a sum of scores


class Score(msgspec.Struct):
    """Accuracy with its 95 % interval, clustered by image as in step 6, and the direct-answer score; all in [0, 1].

    Of open-ended questions, the accuracy is the mean score and `points` the scores' sum, which is written only where it is
    not `correct`, the number of answers that count as right. `direct_total` questions count for the direct-answer score.
    Accuracy and direct-answer score are None where nothing was asked.
    """

    total: int
    correct: int
    accuracy: float | None
    low: float
    high: float
    direct_total: int
    direct_answer: float | None
    points: float | msgspec.UnsetType = msgspec.UNSET


class SplitScore(msgspec.Struct):
    """One split: all its questions, and each type's; a type without questions has a total of 0.

    `chance` is the expected accuracy of guessing, in [0, 1]. `cannot_tell` counts the answers that name no option,
    which are wrong; `both_ways` is None where the options were not asked in reverse order as well. `letters` are of
    multiple choice. `yes_no` and `open` are of the questions of these kinds, and left out where there are none; so is
    `circular`, without which no question was asked in rotations.
    """

    overall: Score
    per_type: dict[str, Score]
    chance: float
    cannot_tell: int
    letters: LetterBias
    both_ways: Consistency | None
    types: TypeConfusion
    yes_no: YesNoScores | msgspec.UnsetType = msgspec.UNSET
    open: OpenScores | msgspec.UnsetType = msgspec.UNSET
    circular: CircularScore | msgspec.UnsetType = msgspec.UNSET


FIRST_TOKEN = "first token"
"""`rank: letter` of a student on a server: options by the probability of the answer's first token."""


class Metrics(msgspec.Struct):
    """`metrics.json`; `weights` are those of the diagnose split by every rule, empty without that split.

    `source` says how predictions made elsewhere were read and joined, `usage` the tokens of a student on a server,
    `ranked` how many requests to it ranked options (probes apart), and for how many its server's list says less.
    `unscored` counts the answers to questions of a test split, whose answers are not public: nothing is scored then.
    """

    splits: dict[str, SplitScore]
    rank: str
    weight_rule: str
    weights: dict[str, dict[AccuracyRule, WeightInterval]]
    skipped: BadRowSummary
    source: str = ""
    usage: StudentUsage | None = None
    unscored: int = 0
    ranked: RankCounts | msgspec.UnsetType = msgspec.UNSET
    judge: JudgeAgreement | msgspec.UnsetType = msgspec.UNSET  # of open-ended answers, where one was asked
    # absent where the probe is off
    blind: dict[str, BlindScores] | msgspec.UnsetType = msgspec.UNSET  # by split
    contamination: Contamination | msgspec.UnsetType = msgspec.UNSET
    panel: dict[str, PanelScore] | msgspec.UnsetType = msgspec.UNSET  # by the set's name

    def shown(self) -> tuple[str, SplitScore]:
        """The split that a report is about and its scores: diagnose, else holdout; an empty one where nothing is scored."""
        name = next((split for split in SPLITS if split in self.splits), "unscored")
        return name, self.splits.get(name) or _score_split([], [])

    def counts(self) -> TypeCounts:
        """(right answers or sum of scores, questions) of every type in the diagnose split; empty without that split."""
        if DIAGNOSE not in self.splits:
            return {}
        scores = self.splits[DIAGNOSE].per_type
        return {
            kind: (
                score.correct if isinstance(score.points, msgspec.UnsetType) else score.points,
                score.total,
            )
            for kind, score in scores.items()
        }


def compute_metrics(
    answers: Sequence[Answer], types: Sequence[str], rank: str, weight_rule: str, skipped: BadRowSummary
) -> Metrics:
    """The figures of all splits that occur; `types` are listed even without questions."""
    splits: dict[str, SplitScore] = {
        split: _score_split(of_split, types)
        for split in SPLITS
        if (of_split := [answer for answer in answers if answer.split == split])
    }
    metrics = Metrics(splits, rank, weight_rule, {}, skipped)
    if DIAGNOSE in splits:
        # from the diagnose split alone: holdout questions must not decide what the teacher is asked for
        accuracies = {kind: Interval(one.low, one.high) for kind, one in splits[DIAGNOSE].per_type.items()}
        metrics.weights = weight_table(metrics.counts(), accuracies)
    return metrics


def _score_split(answers: Sequence[Answer], types: Sequence[str]) -> SplitScore:
    """The scores of one split's answers, for `types` and any other type that occurs."""
    # the category set's types first, in its order; then others, such as those of another set
    by_type: dict[str, list[Answer]] = {name: [] for name in types}
    for answer in answers:
        by_type.setdefault(answer.question_type or NO_TYPE, []).append(answer)
    of_kind = {
        kind: [answer for answer in answers if (answer.answer_kind or CHOICE) == kind] for kind in KINDS
    }
    return SplitScore(
        overall=_score_answers(answers),
        per_type={name: _score_answers(of_type) for name, of_type in by_type.items()},
        chance=round(sum(map(_guessed, answers)) / max(1, len(answers)), 4),
        cannot_tell=sum(map(is_unread, answers)),
        letters=letter_bias(of_kind[CHOICE]),
        both_ways=consistency(answers),
        types=type_confusion(answers),
        yes_no=yes_no_scores(of_kind[YES_NO]) or msgspec.UNSET,
        open=open_scores(of_kind[OPEN]) or msgspec.UNSET,
        circular=circular_score(answers) or msgspec.UNSET,
    )


def _guessed(answer: Answer) -> float:
    """Probability of being right by guessing, anew in each rotation; 0 without choices."""
    rotations = 1 + len(answer.rotated_choice_idx or [])
    return 1 / len(answer.choices) ** rotations if answer.choices else 0.0


def _score_answers(answers: Sequence[Answer]) -> Score:
    """The score of any answers; numbers have four decimals."""
    total, correct = len(answers), sum(answer.correct for answer in answers)
    direct = [answer.direct_answer_score for answer in answers if counts_for_direct_score(answer)]
    scores = [row.score if row.answer_kind == OPEN else row.correct for row in answers]
    points = round(sum(scores), _POINT_DECIMALS)
    interval = clustered_wilson(np.array(scores, dtype=float), [image_of_answer(row) for row in answers])
    return Score(
        total=total,
        correct=correct,
        accuracy=round(points / total, 4) if total else None,
        low=round(interval.low, 4),
        high=round(interval.high, 4),
        direct_total=len(direct),
        direct_answer=round(sum(direct) / len(direct), 4) if direct else None,
        points=msgspec.UNSET if points == correct else points,
    )
