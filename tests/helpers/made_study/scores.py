"""Made-up scores of arms, seeds and questions, without files."""

from collections.abc import Sequence

import numpy as np


def drawn_scores(
    rng: np.random.Generator,
    shift: Sequence[float] = (0.0, 0.0),
    seeds: int = 8,
    images: int = 60,
    *,
    seed_spread: float = 0.2,
    arm_image_spread: float = 0.4,
    start: float = 0.8,
) -> np.ndarray:
    """Right or wrong `(arms, seeds, 2 * images)` of a crossed logistic model, two questions an image side by side.

    `shift` is what each arm adds to all log odds. Arms differ at random by seed (`seed_spread`), by image and in each
    answer; seeds and questions are the same for all arms.
    """
    arms, questions = len(shift), 2 * images
    of_image = rng.normal(0, 1.2, (1, 1, images)) + rng.normal(0, arm_image_spread, (arms, 1, images))
    of_seed = rng.normal(0, 0.1, (1, seeds, 1)) + rng.normal(0, seed_spread, (arms, seeds, 1))
    log_odds = start + np.repeat(of_image, 2, axis=2) + of_seed + rng.normal(0, 1, (1, 1, questions))
    log_odds = log_odds + np.asarray(shift)[:, None, None]
    return (rng.random((arms, seeds, questions)) < 1 / (1 + np.exp(-log_odds))).astype(float)
