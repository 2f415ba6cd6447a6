"""Step 5: how many rows are drawn from each training set, in what order, and how they are batched."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import TypeVar

from dataengine_lib.errors import ParameterError

_MOST_DRAWS = 20_000_000  # each takes about 200 bytes until the training ends
_T = TypeVar("_T")
_E = TypeVar("_E")


@dataclass(frozen=True)
class BasePart:
    """What is drawn of one base set of `rows`: a `share` of all draws in [0, 1), or by weight.

    `weight` stands for the square root of the set's rows, None for that root itself. MiniGPT-4's `sample_ratio` is such a
    weight: its loader draws each batch from one of the sets, with a probability in proportion to their ratios, and
    MLLM-DataEngine v1 gives its sets ratios near the roots of their sizes (captions 60, A-OKVQA 130, rounds 70 and 135).
    """

    rows: int
    share: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class MixSettings:
    """How much is drawn: `epochs` passes over the new data, at most `max_examples` in all, or `exactly` so many.

    `base_share` is the share of all base data in all draws, in [0, 1); None for the rules of `draw_counts`.
    """

    epochs: float
    base_share: float | None
    max_examples: int | None
    exactly: int | None = None
    twice: frozenset[str] = frozenset()  # types whose base rows are drawn twice as often
    even: bool = False  # base rows of rare types are drawn up to four times as often


def draw_counts(
    new_sizes: Sequence[int],
    base: Sequence[BasePart] = (),
    *,
    epochs: float = 1,
    base_share: float | None = None,
    most: int | None = None,
    exactly: int | None = None,
) -> tuple[list[int], list[int]]:
    """(how many rows to draw from each new set, how many from each base set).

    An epoch is as many draws of new rows as there are new rows. A set's share of the draws is proportional to the
    square root of its size, or to its weight; a base set with a share of its own has that, and the others divide what is
    left. `base_share` in [0, 1) sets the share of all base sets together instead. At most `most` rows are drawn in all,
    in the same shares; `exactly` is the number of all draws, in place of epochs. Nothing is drawn from an empty set, and
    without new rows nothing of base sets either, unless `exactly` says how much. Raises ParameterError for more draws
    than memory can hold.
    Source: the square-root mixing of InstructBLIP (section 2.3, arXiv 2305.06500).
    """
    roots = [sqrt(size) for size in new_sizes]
    shares = [part.share or 0.0 if part.rows else 0.0 for part in base]
    weights = [_weight(part) for part in base]
    left = 1 - sum(shares)
    any_new = any(new_sizes)
    if not any(part.rows for part in base):
        base_share = 0.0
    elif not any_new:
        base_share = 1.0
    elif base_share is None:
        base_share = usual_base_share(new_sizes, base)
    if exactly is not None:
        if exactly > _MOST_DRAWS:
            raise ParameterError(
                f"steps: with batch_size they would draw {exactly:.3g} rows, and step 5 draws at most {_MOST_DRAWS:,}; "
                "set fewer steps, or a smaller batch_size"
            )
        # at least one new row, as below
        new = max(1, round(exactly * (1 - base_share))) if any_new else 0
        of_base = exactly - new
    elif any_new:
        total = epochs * sum(new_sizes)  # draws of new rows
        if most is not None:
            # `most` bounds all draws, while `total` counts those of new rows
            total = min(total, most * (1 - base_share))
        if total > _MOST_DRAWS * (1 - base_share):
            raise ParameterError(
                f"epochs {epochs:g}: would draw {total / (1 - base_share):.3g} rows, and step 5 draws at most "
                f"{_MOST_DRAWS:,}; set a smaller epochs, or max_steps"
            )
        # at least one, however small `epochs` or `most` is
        new = max(1, round(total))
        # new rows are 1 - base_share of all draws
        of_base = max(0, round(total / (1 - base_share)) - new)
    else:
        new = of_base = 0
    every = sum(weights) + sum(roots)
    parts = [share + left * weight / (every or 1) for share, weight in zip(shares, weights, strict=True)]
    return _apportion(new, roots), _apportion(of_base, parts)


def usual_base_share(new_sizes: Sequence[int], base: Sequence[BasePart]) -> float:
    """The share of all base sets in the draws, in [0, 1], by their own shares and the square roots of the sizes."""
    shares = sum(part.share or 0.0 for part in base if part.rows)
    weight, roots = sum(map(_weight, base)), sum(sqrt(size) for size in new_sizes)
    return shares + (1 - shares) * (weight / (weight + roots) if weight else 0.0)


def _weight(part: BasePart) -> float:
    """What the set weighs beside the others: nothing when it is empty or has a share of its own."""
    if not part.rows or part.share is not None:
        return 0.0
    return sqrt(part.rows) if part.weight is None else part.weight


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
