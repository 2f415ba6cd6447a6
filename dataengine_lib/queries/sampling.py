"""Step 2: adaptive bad-case sampling: which types, which examples, which images. Opens no file; same seed, same draw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import numpy as np

from dataengine_lib.core.records import Query

# reasons in `sampling.json` why a query that should show a neighbour shows a random image
NEIGHBOURS_USED_UP = "no unused image left among the neighbours"
_NEIGHBOURS_DO_NOT_FIT = "the neighbours drawn do not fit the prompt"

MAX_REDRAWS = 8  # further images tried for a draft when the first does not fit, before the draft is given up
# The same where a teacher can write about some images only: of a type that one image in fifty allows, 98 % of the drafts
# find theirs, and trying one takes about a millisecond.
COVERED_REDRAWS = 200

# Queries of one type in a row let the teacher's server cache the prompt's prefix; a run that stops at its budget must
# still have asked about all types. So queries are grouped by type inside blocks: a stop leaves at most one block
# uneven, and a server keeps a prefix for minutes, in which it answers several blocks.
QUERIES_PER_BLOCK = 240


@dataclass(frozen=True)
class QueryDraft:
    """A query before it has an image.

    `examples` are places in the list of its type's bad cases, the anchor first; `neighbour` says whether the image
    shall be one of the anchor's neighbours. `cause` names what the examples have in common, where that is known.
    """

    question_type: str
    examples: tuple[int, ...]
    neighbour: bool
    cause: str = ""


@dataclass(frozen=True)
class Pick:
    """The image for the draft at place `draft`, as a row of the pool, with its cosine to the anchor if a neighbour.

    `fallback` says why a neighbour was wanted but not taken.
    """

    draft: int
    row: int
    neighbour: bool
    similarity: float | None = None
    fallback: str = ""


@dataclass(frozen=True)
class Neighbours:
    """An anchor's most similar pool images, best first: pool rows `(k,)` int64 with their cosines `(k,)` float32.

    `missing` says why there are none.
    """

    rows: np.ndarray
    similarities: np.ndarray
    missing: str = ""

    @classmethod
    def none(cls, reason: str) -> "Neighbours":
        """No neighbours, with the reason."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), reason)


def draw_drafts(
    weights: Mapping[str, float],
    case_counts: Mapping[str, int],
    maxnum: int,
    *,
    examples: int,
    neighbour_share: float,
    rng: Random,
    targets: Mapping[str, int] | None = None,
) -> tuple[list[QueryDraft], dict[str, int]]:
    """Draw types by weight and `examples` bad cases for each: at most `maxnum` drafts.

    Also returns how many drafts each type was given. `targets` are numbers of drafts by type, set by hand; the other
    types share the rest of `maxnum` by their weights. A type without bad cases cannot be filled: its drafts by weight
    are shared by the other types in proportion to theirs; those of a target are left out. Without any bad cases there
    are no drafts.
    Source: MLLM-DataEngine, section 3.2 (adaptive bad-case sampling), with `allocate_by_weight` in place of
    independent draws, which would put a type with 330 of 6,000 queries off by 18 (one standard deviation).
    """
    targets = targets or {}
    rest = maxnum - sum(targets.values())
    by_weight = {name: weight for name, weight in weights.items() if name not in targets}
    given = dict.fromkeys(weights, 0) | allocate_by_weight(by_weight, rest, rng) | dict(targets)
    # shared out a second time among the types that have cases; the others keep their number, to be reported
    fillable = {name: weight for name, weight in by_weight.items() if case_counts.get(name)}
    given |= allocate_by_weight(fillable, rest, rng)
    counts = {name: given[name] for name in weights if given[name] and case_counts.get(name)}

    # Drafts are numbered type after type to choose those with a neighbour: so each type has its share of neighbours,
    # and so have all types together.
    next_number = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    drafts: list[QueryDraft] = []
    for name in mixed_order(counts, rng):
        chosen = tuple(rng.sample(range(case_counts[name]), min(examples, case_counts[name])))
        number = next_number[name]
        next_number[name] += 1
        # With a share of 0.5 every second draft, spread evenly for any other share: a draft has a neighbour when the
        # whole part of number * share grows by one. 1e-9 is for shares like 0.1 that floats hold inexactly.
        neighbour = int((number + 1) * neighbour_share + 1e-9) > int(number * neighbour_share + 1e-9)
        drafts.append(QueryDraft(name, chosen, neighbour))
    return drafts, given


def allocate_by_weight(weights: Mapping[str, float], number: int, rng: Random) -> dict[str, int]:
    """Share out `number` items by weight: each type gets its exact share rounded up or down, exact on average.

    Nothing is given when all weights are zero. Source: systematic sampling (Madow 1949).
    """
    positive = {name: weight for name, weight in weights.items() if weight > 0}
    counts = dict.fromkeys(weights, 0)
    total, start = math.fsum(positive.values()), rng.random()
    # the types' shares end to end on a line of length `number`; one point on each unit, all moved by the same `start`
    ends = [math.floor(number * reached / total + start) for reached in accumulate(positive.values())]
    ends[-1:] = [number] if positive else []  # a sum of floats may end just beside the total
    for name, begin, end in zip(positive, [0, *ends], ends, strict=False):
        counts[name] = min(end, number) - min(begin, number)
    return counts


def mixed_order(counts: Mapping[str, int], rng: Random) -> list[str]:
    """Each type as often as `counts` says, mixed so that every beginning of the list has the types in proportion."""
    # item i of n lies at a random point of the i-th of n equal parts of the line from 0 to 1
    positions = [((i + rng.random()) / count, name) for name, count in counts.items() for i in range(count)]
    return [name for _, name in sorted(positions)]


def pick_images(
    drafts: Sequence[QueryDraft],
    anchors: Sequence[Neighbours | None],
    free: np.ndarray,
    rng: Random,
    fits: Callable[[int, int], bool] = lambda draft, row: True,
    usable: Callable[[int], bool] = lambda row: True,
    redraws: int = MAX_REDRAWS,
) -> list[Pick]:
    """Pick an image for each draft in turn, none twice, until the pool is empty: `len(result) <= len(drafts)`.

    `anchors[i]` are the neighbours of draft i's first example (None for random drafts); `free` is a bool per pool
    row; `usable(row)` says whether any draft can take the image, `fits(i, row)` whether draft i can. An image that does
    not fit is drawn again, never the type; where no neighbour is left, or fits, a random image is taken. A draft for
    which `redraws` further images do not fit either gets none.
    """
    pool, no_fit = _FreeImages(free, rng), Neighbours.none(_NEIGHBOURS_DO_NOT_FIT)
    picks: list[Pick] = []
    for number, (draft, near) in enumerate(zip(drafts, anchors, strict=True)):
        rejected: list[int] = []
        while len(rejected) <= redraws:
            # the first half of the tries among the neighbours, the others among all images
            pick = pool.draw(number, draft, near if len(rejected) <= redraws // 2 else no_fit)
            if pick is None:
                break
            if not usable(pick.row):
                continue  # not put back: no draft could take it
            if fits(number, pick.row):
                picks.append(pick)
                break
            rejected.append(pick.row)
        pool.put_back(rejected)
        if pick is None and not rejected:
            break  # the pool is empty
    return picks


class _FreeImages:
    """The images that are still free, and the order in which random ones are taken (from the end)."""

    def __init__(self, free: np.ndarray, rng: Random) -> None:
        self.free, self.rng = free.copy(), rng
        self.order: list[int] = np.flatnonzero(free).tolist()
        rng.shuffle(self.order)

    def draw(self, number: int, draft: QueryDraft, near: Neighbours | None) -> Pick | None:
        """Take a free image for draft `number`; None when there is none."""
        if draft.neighbour and near is not None:
            places = np.flatnonzero(self.free[near.rows])
            if len(places):
                place = int(places[self.rng.randrange(len(places))])
                row = int(near.rows[place])
                self.free[row] = False
                return Pick(number, row, True, float(near.similarities[place]))
        while self.order and not self.free[self.order[-1]]:  # taken as a neighbour meanwhile
            self.order.pop()
        if not self.order:
            return None
        row = self.order.pop()
        self.free[row] = False
        reason = near.missing if near is not None and near.missing else NEIGHBOURS_USED_UP
        return Pick(number, row, False, fallback=reason if draft.neighbour else "")

    def put_back(self, rows: list[int]) -> None:
        """Make images free again for other drafts, at the far end: else each draft would try them first."""
        if rows:
            self.free[rows] = True
            self.order[:0] = rows


def order_in_blocks(queries: Sequence[Query]) -> list[Query]:
    """Queries in the order of the file: sorted by type inside each block, otherwise as they were drawn."""
    order = sorted(
        range(len(queries)), key=lambda place: (place // QUERIES_PER_BLOCK, queries[place].question_type)
    )
    return [queries[place] for place in order]
