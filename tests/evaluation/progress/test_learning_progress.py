"""Types that respond to their QAs get more weight, those that do not get less, and chance changes nothing."""

import numpy as np
import pytest

from dataengine_lib.evaluation.progress.learning_progress import (
    LEAST,
    MOST,
    TypeHistory,
    learning_progress,
    progress_weights,
)
from dataengine_lib.evaluation.progress.random_effects import random_effects


def history(accuracies: list[float], trained: list[int], questions: int = 100, seed: int = 0) -> TypeHistory:
    """Questions that are learnt one after the other, and of which one in eight is answered by chance in each round."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(questions) / questions
    scores = np.array([(order < accuracy).astype(float) for accuracy in accuracies])
    by_chance = rng.random(scores.shape) < 1 / 8
    scores[by_chance] = rng.random(by_chance.sum()) < 0.5
    return TypeHistory(scores, [str(n) for n in range(questions)], trained)


def test_a_type_that_never_responds_falls_to_the_floor_and_one_that_does_rises() -> None:
    rising = {f"rising {n}": history([0.3, 0.5, 0.7], [60, 60], seed=n) for n in range(6)}
    found = learning_progress(rising | {"silent": history([0.3, 0.3, 0.3], [200, 200], seed=9)})
    assert found["silent"].factor == LEAST and not found["silent"].responds
    assert found["silent"].trained == 400 and found["silent"].low < 0 < found["silent"].high
    assert all(found[kind].responds for kind in rising)
    assert np.mean([found[kind].factor for kind in rising]) > 1
    # the shares of the next queries move from the silent type to the others
    rates = {kind: 1 - float(one.scores[-1].mean()) for kind, one in rising.items()} | {"silent": 0.7}
    weights = progress_weights(rates, found)
    assert weights["silent"] / sum(weights.values()) < 0.4 * rates["silent"] / sum(rates.values())


def test_a_type_that_learns_faster_than_the_others_rises_above_them() -> None:
    slow = {f"slow {n}": history([0.3, 0.38], [100], seed=n) for n in range(8)}
    found = learning_progress(slow | {"fast": history([0.3, 0.9], [100], seed=9)})
    assert found["fast"].factor == MOST
    assert found["fast"].response > 3 * max(found[kind].response for kind in slow)  # type: ignore[operator]


def test_a_type_that_needs_many_more_qas_for_the_same_gain_counts_for_less() -> None:
    cheap = {f"cheap {n}": history([0.3, 0.6], [50], seed=n) for n in range(6)}
    found = learning_progress(cheap | {"dear": history([0.3, 0.6], [500], seed=9)})
    assert found["dear"].factor < 0.5 < 0.9 < min(found[kind].factor for kind in cheap)


def test_a_type_that_has_learnt_what_it_can_loses_weight_later() -> None:
    others = {f"other {n}": history([0.2, 0.4, 0.6, 0.8], [60, 60, 60], seed=n) for n in range(6)}
    early = learning_progress(others | {"type": history([0.2, 0.5, 0.5, 0.5], [60, 60, 60], seed=9)})
    late = learning_progress(others | {"type": history([0.2, 0.2, 0.2, 0.5], [60, 60, 60], seed=9)})
    assert early["type"].factor < late["type"].factor


def test_noise_alone_does_not_swing_weights() -> None:
    swings = []
    for world in range(40):
        rng = np.random.default_rng(world)
        types = {}
        for n in range(18):
            begin = rng.uniform(0.1, 0.9)
            after = begin + 0.3 * (1 - begin)  # every type loses three tenths of its errors
            types[f"type {n}"] = history([begin, after], [60], questions=25, seed=100 * world + n)
        swings += [abs(one.factor - 1) for one in learning_progress(types).values()]
    assert np.mean(swings) < 0.05 and np.quantile(swings, 0.95) < 0.3


def test_with_few_questions_a_type_is_pulled_to_the_others() -> None:
    others = {f"other {n}": history([0.3, 0.5 + 0.04 * n], [60], seed=n) for n in range(6)}
    few = learning_progress(others | {"type": history([0.3, 0.3], [60], questions=8, seed=9)})
    many = learning_progress(others | {"type": history([0.3, 0.3], [60], questions=400, seed=9)})
    assert many["type"].factor < few["type"].factor < 1


def test_where_nothing_is_known_the_error_rate_decides() -> None:
    rates = {"a": 0.6, "b": 0.3, "c": 0.45}
    assert progress_weights(rates, learning_progress({})) == rates  # round 1
    first = learning_progress({"a": history([0.4], []), "b": history([0.7], [])})
    assert {one.factor for one in first.values()} == {1.0} and first["a"].response is None
    # a type without QAs, one that had no errors, one without questions, and no gain at all
    known = {f"known {n}": history([0.3, 0.6], [50], seed=n) for n in range(6)}
    perfect = TypeHistory(np.ones((2, 9)), ["i"] * 9, [50])
    empty = TypeHistory(np.ones((2, 0)), [], [50])
    found = learning_progress(
        known | {"untried": history([0.3, 0.3], [0]), "perfect": perfect, "empty": empty}
    )
    assert found["untried"].factor == found["perfect"].factor == 1.0 and "empty" not in found
    falling = learning_progress({f"type {n}": history([0.6, 0.4], [50], seed=n) for n in range(4)})
    assert {one.factor for one in falling.values()} == {1.0}


def test_no_type_with_errors_is_starved_and_weights_stay_within_their_range() -> None:
    found = learning_progress(
        {f"rising {n}": history([0.1, 0.5], [60], seed=n) for n in range(5)}
        | {"silent": history([0.3, 0.3], [900], questions=400, seed=9)}
    )
    rates = dict.fromkeys(found, 0.9) | {"silent": 0.001, "perfect": 0.0}
    weights = progress_weights(rates, found)
    assert weights["silent"] == 0.001 and weights["perfect"] == 0.0 and max(weights.values()) == 1.0


def test_questions_of_one_image_count_as_one() -> None:
    def width(images: list[str]) -> float:
        one = TypeHistory(np.array([[0.0] * 8 + [1.0] * 8, [1.0] * 8 + [1.0] * 8]), images, [9])
        found = learning_progress({"type": one})["type"]
        return found.high - found.low

    assert width([str(n // 8) for n in range(16)]) > 1.5 * width([str(n) for n in range(16)])


@pytest.mark.parametrize("between", [0.0, 0.04])
def test_random_effects_find_the_variance_between_values(between: float) -> None:
    rng = np.random.default_rng(1)
    variances = rng.uniform(0.005, 0.05, 3000)
    found = random_effects(rng.normal(0.5, np.sqrt(between + variances)), variances)
    assert found.mean == pytest.approx(0.5, abs=0.01)
    assert found.between == pytest.approx(between, abs=0.003)
    assert random_effects(np.array([0.2]), np.array([0.1])).between == 0.0
