"""Step 5: rows kept aside, by whose loss a training is watched; they are never those of the evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from dataengine_lib.training.data_sets import DataSet
from dataengine_lib.training.texts import TrainingRow


def split_validation(
    sets: Sequence[DataSet], share: float, seed: int
) -> tuple[list[DataSet], list[TrainingRow]]:
    """(the sets without the rows kept aside, these rows): all rows about the share `share` of the images.

    Whole images, since rows about one image resemble each other. At least one image is kept aside where `share` is
    not 0 and at least one is left.
    """
    images = sorted({row.image for one in sets for row in one.rows if row.image})
    count = min(max(1, round(share * len(images))), len(images) - 1) if share else 0
    aside = set(Random(f"validation {seed}").sample(images, max(0, count)))
    return (
        [replace(one, rows=[row for row in one.rows if row.image not in aside]) for one in sets],
        [row for one in sets for row in one.rows if row.image in aside],
    )
