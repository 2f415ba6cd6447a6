"""Step 1, `weight_rule: progress`: more queries for types whose errors fall with the QAs they get, fewer for others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from dataengine_lib.core.statistics import Z_95, summed_by_image
from dataengine_lib.evaluation.progress.random_effects import random_effects

LEAST, MOST = 0.2, 2.0  # of a factor: no type is starved, and none takes everything
_RESPONDS = 0.5  # factor below which a type counts as not responding
_DECAY = 0.5  # factor of a round's part for each later round, as later QAs of a type may help less
_PER = 100  # QAs that `response` is given for


@dataclass(frozen=True)
class TypeHistory:
    """One type over the rounds: the scores `(rounds, questions)` in [0, 1] of the same diagnose questions in every round.

    `images` names each question's image; `trained` `(rounds - 1,)` are the QAs of the type that came to the training
    between one round's evaluation and the next.
    """

    scores: np.ndarray
    images: Sequence[str]
    trained: Sequence[int]


class TypeProgress(msgspec.Struct, frozen=True):
    """What one type gained, of `learning_progress.json`.

    `gain` is the change of its accuracy from the first round to this one, with its 95 % interval, all in [-1, 1];
    `trained` are all QAs it got. `response` is the share of its errors that 100 QAs removed, an estimate that is pulled
    towards the mean of all types the more, the less certain it is; None where it cannot be estimated. `factor` is what
    its error rate is multiplied by to become its weight.
    """

    questions: int
    trained: int
    gain: float
    low: float
    high: float
    response: float | None
    factor: float

    @property
    def responds(self) -> bool:
        """False when it removes less than half as many errors per QA as the types do on average."""
        return self.factor >= _RESPONDS


def learning_progress(histories: Mapping[str, TypeHistory]) -> dict[str, TypeProgress]:
    """The progress of each type that has questions.

    A type's response is the accuracy that it gained, divided by its QAs times its error rate before them, where a round
    counts half as much as the one after it. Responses are shrunk towards their mean by their uncertainty (random
    effects), so that chance alone changes no weight. The factor is the response over the mean response, within
    [LEAST, MOST]; it is 1 where nothing is known yet: in round 1, for a type without QAs or without errors before them,
    and for all types where they gain nothing on average.
    Sources: PROGRESS (arXiv 2506.01085), which samples concepts by the relative change of their accuracy and goes on
    exploring the others; DataEnvGym (2410.06215) for the state of a student by skill; DerSimonian and Laird 1986.
    """
    asked = {kind: one for kind, one in histories.items() if one.scores.shape[1]}
    estimates = {kind: found for kind, one in asked.items() if (found := _response(one)) is not None}
    mean, shrunk = _shrunk(estimates)
    progress = {}
    for kind, one in asked.items():
        change = one.scores[-1] - one.scores[0]
        gain, middle, error = float(change.mean()), *mean_change(change, one.images, 1.0)
        # PROGRESS explores by chance what does not progress; a factor of at least LEAST does it evenly
        factor = min(MOST, max(LEAST, shrunk[kind] / mean)) if mean > 0 and kind in shrunk else 1.0
        progress[kind] = TypeProgress(
            questions=one.scores.shape[1],
            trained=sum(one.trained),
            gain=round(gain, 4),
            low=round(max(-1.0, min(gain, middle - Z_95 * error)), 4),
            high=round(min(1.0, max(gain, middle + Z_95 * error)), 4),
            response=round(_PER * shrunk[kind], 4) if kind in shrunk else None,
            factor=round(factor, 3),
        )
    return progress


def progress_weights(
    error_rates: Mapping[str, float], progress: Mapping[str, TypeProgress]
) -> dict[str, float]:
    """Each type's weight in [0, 1]: its error rate times its factor, all divided by the largest where that is above 1.

    A type with errors never gets the weight 0. Rounded to three decimals.
    """
    weights = {
        kind: rate * (progress[kind].factor if kind in progress else 1.0)
        for kind, rate in error_rates.items()
    }
    scale = max([1.0, *weights.values()])
    return {kind: max(round(weight / scale, 3), 0.001 if weight else 0.0) for kind, weight in weights.items()}


def _response(one: TypeHistory) -> tuple[float, float] | None:
    """The share of errors that one QA removes, with its variance; None where no QA met an error."""
    rounds = len(one.trained)
    parts = np.array([_DECAY ** (rounds - 1 - place) for place in range(rounds)])
    errors = 1 - one.scores[:-1].mean(axis=1)
    exposure = float((parts * np.array(one.trained, dtype=float) * errors).sum())
    if not exposure:
        return None
    change = (parts[:, None] * np.diff(one.scores, axis=0)).sum(axis=0)
    gained, error = mean_change(change, one.images, float(parts @ parts))
    return gained / exposure, (error / exposure) ** 2


def mean_change(change: np.ndarray, images: Sequence[str], square: float) -> tuple[float, float]:
    """The mean of `change` `(questions,)` and its standard error, with images as the units.

    Half a question that got better, half one that got worse and one that stayed are added, so that few questions
    without a change do not look like certainty; `square` is the square of such a change.
    Source: Agresti and Min 2005, for matched proportions.
    """
    number = len(change)
    mean = float(change.sum()) / (number + 2)
    sums, sizes = summed_by_image(np.column_stack([change, np.ones(number)]), images).T
    squares = float(((sums - sizes * mean) ** 2).sum()) + square
    return mean, math.sqrt(squares) / (number + 2)


def _shrunk(estimates: Mapping[str, tuple[float, float]]) -> tuple[float, dict[str, float]]:
    """The mean response, and each type's own pulled towards it."""
    if not estimates:
        return 0.0, {}
    values, variances = (np.array(column) for column in zip(*estimates.values(), strict=True))
    mean, between = random_effects(values, variances)
    pulled = mean + between / (between + variances) * (values - mean)
    return mean, dict(zip(estimates, pulled.tolist(), strict=True))
