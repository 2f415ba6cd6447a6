"""Simulated comparisons through step 6's own functions, without any effect or with planted gains."""

import numpy as np

from dataengine_lib.evaluation.rounds.comparison import type_gains

TYPES, EACH, PER_IMAGE = 18, 120, 4
DISCORDANCE = 0.2


def changes(rng: np.random.Generator, gains: dict[int, float], alike: float) -> np.ndarray:
    """`(types, each)`: after minus before; a fifth of the answers change, half for the better, and `gains` on top.

    With probability `alike` a question shares the change of its image.
    """
    level = rng.random((TYPES, EACH))
    shared = np.repeat(rng.random((TYPES, EACH // PER_IMAGE)), PER_IMAGE, axis=1)
    level = np.where(rng.random((TYPES, EACH)) < alike, shared, level)
    better = DISCORDANCE / 2 + np.array([gains.get(kind, 0.0) for kind in range(TYPES)])
    return np.where(level < better[:, None], 1, np.where(level > 1 - DISCORDANCE / 2, -1, 0))


def verdicts(comparisons: int, gains: dict[int, float], *, alike: float, seed: int) -> np.ndarray:
    """`(comparisons, types)`: 1 for a gain that step 6 calls real, -1 for a loss."""
    rng = np.random.default_rng(seed)
    types = np.repeat([f"t{kind:02}" for kind in range(TYPES)], EACH).astype(object)
    # four questions of one type about an image where they are alike; else each about one of its own
    size = PER_IMAGE if alike else 1
    images = [str(number // size) for number in range(TYPES * EACH)]
    found = np.zeros((comparisons, TYPES), dtype=int)
    for number in range(comparisons):
        difference = changes(rng, gains, alike).ravel()
        # the verdicts need no bootstrap
        by_type = type_gains(difference, types, images, [], seed=0, draws=2).by_type
        found[number] = [{"gain": 1, "loss": -1}.get(tested.verdict, 0) for tested in by_type.values()]
    return found
