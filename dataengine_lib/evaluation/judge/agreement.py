"""Step 1: how far a judge's verdicts agree with the rule's: their share, and Cohen's kappa."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.evaluation.judge.verdicts import JudgeVerdict
from dataengine_lib.evaluation.letter_bias import Share
from dataengine_lib.evaluation.scores.intervals import Estimate, estimate, ratio


class JudgeAgreement(msgspec.Struct, frozen=True):
    """`judged` of `answers` have a verdict, which the figures are of.

    `accuracy` is the judge's, `agreement` how often rule and judge say the same, `rule_only` and `judge_only` how often one
    alone says correct. `kappa` is 1 for full agreement and 0 for that of chance; it has no value where both always say the
    same word. `usage` is what the judge's replies took, each counted once, whichever run paid for it.
    """

    judge: str
    answers: int
    judged: int
    accuracy: Share
    agreement: Share
    kappa: Estimate
    rule_only: int
    judge_only: int
    usage: StudentUsage | msgspec.UnsetType = msgspec.UNSET


def judge_agreement(
    verdicts: Sequence[JudgeVerdict], judge: str, usage: StudentUsage | msgspec.UnsetType = msgspec.UNSET
) -> JudgeAgreement:
    """The agreement over all verdicts, with the `usage` of the judge.

    Source of kappa: Cohen 1960; its interval is bootstrapped over questions."""
    pairs = np.array(
        [(row.rule_correct, row.judged) for row in verdicts if row.judged is not None], dtype=bool
    ).reshape(-1, 2)
    rule, found = pairs[:, 0], pairs[:, 1]
    count = len(pairs)
    columns = np.stack([np.ones(count), rule, found, rule == found], axis=1).astype(float)
    return JudgeAgreement(
        judge=judge,
        answers=len(verdicts),
        judged=count,
        accuracy=Share.of(int(found.sum()), count),
        agreement=Share.of(int((rule == found).sum()), count),
        kappa=estimate(columns, _kappa),
        rule_only=int((rule & ~found).sum()),
        judge_only=int((found & ~rule).sum()),
        usage=usage,
    )


def _kappa(sums: np.ndarray) -> np.ndarray:
    """`(n,)` of sums `(n, 4)`: all, correct by the rule, by the judge, the same."""
    total, rule, found, same = sums.T
    observed = same / total
    by_chance = (rule * found + (total - rule) * (total - found)) / total**2
    return ratio(observed - by_chance, 1 - by_chance)
