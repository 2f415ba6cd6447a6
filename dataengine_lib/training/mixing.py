"""Step 5: how many rows are drawn from each training set, in what order, and how they are batched."""

from collections import deque
from collections.abc import Callable, Sequence
from math import sqrt
from random import Random
from typing import TypeVar

_T = TypeVar("_T")
_E = TypeVar("_E")


def draw_counts(
    new_sizes: Sequence[int],
    base_size: int = 0,
    *,
    epochs: float = 1,
    base_share: float | None = None,
    most: int | None = None,
) -> tuple[list[int], int]:
    """(how many rows to draw from each new set, how many from the base set).

    An epoch is as many draws of new rows as there are new rows. A set's share of the draws is proportional to the
    square root of its size; `base_share` in [0, 1) sets the base set's share of all draws instead. At most `most`
    rows are drawn in all, in the same shares.
    Source: the square-root mixing of InstructBLIP (section 2.3, arXiv 2305.06500).
    """
    roots = [sqrt(size) for size in new_sizes]
    if not base_size:
        base_share = 0.0
    elif base_share is None:
        base_share = sqrt(base_size) / (sqrt(base_size) + sum(roots))
    total = epochs * sum(new_sizes)  # draws of new rows
    if most is not None:
        # `most` bounds all draws, while `total` counts those of new rows
        total = min(total, most * (1 - base_share))
    # at least one, however small `epochs` or `most` is
    new = max(1, round(total)) if any(new_sizes) else 0
    # new rows are 1 - base_share of all draws
    return _apportion(new, roots), max(0, round(total / (1 - base_share)) - new)


def _apportion(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in proportion to `weights` that add up to `total`, by the largest-remainder method."""
    # `or 1` for sets that are all empty
    exact = [total * weight / (sum(weights) or 1) for weight in weights]
    counts = [int(share) for share in exact]
    # the largest remainder first; sorted is stable, so the earlier set wins a tie
    remainders = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for place in remainders[: total - sum(counts)]:
        counts[place] += weights[place] > 0  # nothing is drawn from an empty set
    return counts


def draw_examples(
    rows: Sequence[_T], count: int, make: Callable[[list[_T]], list[_E | None]], rng: Random
) -> list[_E]:
    """The examples that `make` gives for `count` rows in random order; each row is used equally often, or once more.

    A row for which `make` gives None is replaced by another and not tried a second time; without usable rows nothing
    is drawn. `make` is called only for rows whose turn has come, so that unused rows are never encoded.
    """
    usable, waiting, drawn = list(rows), deque[_T](), list[_E]()
    while len(drawn) < count and (waiting or usable):
        if not waiting:  # a new pass over all usable rows, in a new order
            waiting.extend(rng.sample(usable, len(usable)))
        turn = [waiting.popleft() for _ in range(min(count - len(drawn), len(waiting)))]
        made = make(turn)
        drawn += [example for example in made if example is not None]
        if bad := {id(row) for row, example in zip(turn, made, strict=True) if example is None}:
            usable = [row for row in usable if id(row) not in bad]
    return drawn


def length_batches(lengths: Sequence[int], size: int, rng: Random, window: int = 16) -> list[list[int]]:
    """Every index into `lengths` once, in batches of `size` with little padding.

    Within windows of `window` batches the indices are sorted by length and the batches shuffled, so that the
    order stays close to the given one. Only the last window may hold a smaller batch.
    """
    batches: list[list[int]] = []
    for start in range(0, len(lengths), size * window):
        window_indices = sorted(
            range(start, min(start + size * window, len(lengths))), key=lambda i: lengths[i]
        )
        cut = [window_indices[first : first + size] for first in range(0, len(window_indices), size)]
        rng.shuffle(cut)
        batches += cut
    return batches
