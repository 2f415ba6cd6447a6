"""Adaptive bad-case sampling (step 2): which types, which examples, which images. Pure, seeded, always ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import numpy as np

from dataengine_lib.core.records import Query

USED_UP = "no unused image left among the neighbours"
UNFIT = "the neighbours drawn do not fit the prompt"
REDRAWS = 8  # images drawn in place of ones that do not fit, before their draft is given up
# Queries of one type in a row let a server's prompt cache work; a run that its budget ends must still have asked of
# all types. So types are grouped inside blocks: a cut leaves at most one block uneven, and a server keeps a prefix
# for minutes, in which it answers several blocks.
BLOCK = 240


@dataclass(frozen=True)
class Draft:
    """A query before it has an image: its type, the places of its examples in that type's pool, how to pick."""

    question_type: str
    examples: tuple[int, ...]
    neighbour: bool


@dataclass(frozen=True)
class Pick:
    """The image of the draft at place `draft`, as a row of the pool.

    `fallback` says why a neighbour was wanted but not taken.
    """

    draft: int
    row: int
    neighbour: bool
    similarity: float | None = None
    fallback: str = ""


@dataclass(frozen=True)
class Neighbours:
    """An anchor's most similar pool rows with their similarities, or the reason why there are none."""

    rows: np.ndarray
    similarities: np.ndarray
    missing: str = ""

    @classmethod
    def none(cls, reason: str) -> "Neighbours":
        """No neighbours, and why."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), reason)


def draw_drafts(
    weights: Mapping[str, float],
    cases: Mapping[str, int],
    maxnum: int,
    *,
    examples: int,
    neighbour_share: float,
    rng: Random,
    targets: Mapping[str, int] | None = None,
) -> tuple[list[Draft], dict[str, int]]:
    """Types by weight and examples for each, at most `maxnum` drafts; returns them and the turns that each type got.

    `targets` are numbers of drafts by type, set by hand; the other types share the rest by their weights. A type
    without cases cannot be filled: its turns by weight go to the other types by theirs, so that their shares among
    themselves stay as the weights say; those of a target are left out. Without any cases there are no drafts.
    Source: MLLM-DataEngine, section 3.2 (adaptive bad-case sampling), with `share_out` in place of independent
    draws, which would put a type of 330 in 6,000 queries off by 18 (one standard deviation) for nothing.
    """
    targets = targets or {}
    rest = maxnum - sum(targets.values())
    free = {kind: weight for kind, weight in weights.items() if kind not in targets}
    asked = dict.fromkeys(weights, 0) | share_out(free, rest, rng) | dict(targets)
    fillable = share_out({kind: weight for kind, weight in free.items() if cases.get(kind)}, rest, rng)
    asked |= fillable
    counts = {kind: asked[kind] for kind in weights if asked[kind] and cases.get(kind)}
    # Neighbours are counted out type by type: each type gets its share of them, and all together do.
    next_place = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    drafts: list[Draft] = []
    for kind in _spread(counts, rng):
        chosen = tuple(rng.sample(range(cases[kind]), min(examples, cases[kind])))
        place = next_place[kind]
        next_place[kind] += 1
        # with a share of 0.5 every second query, spread evenly for any other share
        wants_neighbour = int((place + 1) * neighbour_share + 1e-9) > int(place * neighbour_share + 1e-9)
        drafts.append(Draft(kind, chosen, wants_neighbour))
    return drafts, asked


def share_out(weights: Mapping[str, float], number: int, rng: Random) -> dict[str, int]:
    """`number` turns by weight: every type gets its exact share rounded up or down, right on average.

    Nothing is given when all weights are zero. Source: systematic sampling (Madow 1949).
    """
    heavy = {kind: weight for kind, weight in weights.items() if weight > 0}
    counts = dict.fromkeys(weights, 0)
    total, start = math.fsum(heavy.values()), rng.random()
    ends = [math.floor(number * reached / total + start) for reached in accumulate(heavy.values())]
    ends[-1:] = [number] if heavy else []  # a sum of floats may end just beside the total
    for kind, begin, end in zip(heavy, [0, *ends], ends, strict=False):
        counts[kind] = min(end, number) - min(begin, number)
    return counts


def _spread(counts: Mapping[str, int], rng: Random) -> list[str]:
    """Every type as often as it counts, in an order whose every beginning has the types by their counts."""
    keys = [((turn + rng.random()) / count, kind) for kind, count in counts.items() for turn in range(count)]
    return [kind for _, kind in sorted(keys)]


def pick_images(
    drafts: Sequence[Draft],
    anchors: Sequence[Neighbours | None],
    free: np.ndarray,
    rng: Random,
    fits: Callable[[int, int], bool] = lambda draft, row: True,
) -> list[Pick]:
    """An image for every draft in turn, none twice, until the pool is empty: `len(result) <= len(drafts)`.

    `anchors[i]` are the neighbours of draft i's first example (None for random drafts); `free` is a bool per pool
    row; `fits(i, row)` says whether draft i can take the image. A rejected image is drawn again, never its type;
    where no neighbour is left, or fits, a random image is taken. A draft that REDRAWS further images do not fit
    gets none.
    """
    pool, unfit = _Pool(free, rng), Neighbours.none(UNFIT)
    picks: list[Pick] = []
    for number, (draft, near) in enumerate(zip(drafts, anchors, strict=True)):
        refused: list[int] = []
        while len(refused) <= REDRAWS:
            pick = pool.draw(number, draft, near if len(refused) <= REDRAWS // 2 else unfit)
            if pick is None:
                break
            if fits(number, pick.row):
                picks.append(pick)
                break
            refused.append(pick.row)
        pool.put_back(refused)
        if pick is None and not refused:
            break
    return picks


class _Pool:
    """The images that are still free, and the order in which random ones are taken."""

    def __init__(self, free: np.ndarray, rng: Random) -> None:
        self.free, self.rng = free.copy(), rng
        self.order: list[int] = np.flatnonzero(free).tolist()
        rng.shuffle(self.order)

    def draw(self, number: int, draft: Draft, near: Neighbours | None) -> Pick | None:
        """A free image, which is then no longer free; None when there is none."""
        if draft.neighbour and near is not None:
            places = np.flatnonzero(self.free[near.rows])
            if len(places):
                place = int(places[self.rng.randrange(len(places))])
                row = int(near.rows[place])
                self.free[row] = False
                return Pick(number, row, True, float(near.similarities[place]))
        while self.order and not self.free[self.order[-1]]:
            self.order.pop()
        if not self.order:
            return None
        row = self.order.pop()
        self.free[row] = False
        reason = near.missing if near is not None and near.missing else USED_UP
        return Pick(number, row, False, fallback=reason if draft.neighbour else "")

    def put_back(self, rows: list[int]) -> None:
        """Free again, for other drafts; last in the order, or they would be what every draft tries first."""
        if rows:
            self.free[rows] = True
            self.order[:0] = rows


def in_blocks(queries: Sequence[Query]) -> list[Query]:
    """Queries as they are written: by type inside every BLOCK, else in the order in which they were drawn."""
    order = sorted(range(len(queries)), key=lambda place: (place // BLOCK, queries[place].question_type))
    return [queries[place] for place in order]
