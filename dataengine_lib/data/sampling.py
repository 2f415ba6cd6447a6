"""Adaptive bad-case sampling (step 2): which types, which examples, which images. Pure, seeded, always ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

USED_UP = "no unused image left among the neighbours"


@dataclass(frozen=True)
class Draft:
    """A query before it has an image: its type, the places of its examples in that type's pool, how to pick."""

    question_type: str
    examples: tuple[int, ...]
    neighbour: bool


@dataclass(frozen=True)
class Pick:
    """The image of a draft, as a row of the pool; `fallback` says why a neighbour was wanted but not taken."""

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
) -> tuple[list[Draft], dict[str, int]]:
    """Draw `maxnum` types by weight and examples for each; returns them and how often each type was drawn.

    A type without cases cannot be filled: when it is drawn, its turn goes to the other types by their weights, so
    their shares among themselves stay as the weights say. Without any cases there are no drafts.
    Source: MLLM-DataEngine, section 3.2 (adaptive bad-case sampling).
    """
    types = [kind for kind, weight in weights.items() if weight > 0]
    fillable = [kind for kind in types if cases.get(kind, 0)]
    asked = dict.fromkeys(weights, 0)
    drafts: list[Draft] = []
    for number in range(maxnum):
        kind = rng.choices(types, [weights[name] for name in types])[0] if types else ""
        if kind:
            asked[kind] += 1
        if not fillable:
            continue
        if kind not in fillable:
            kind = rng.choices(fillable, [weights[name] for name in fillable])[0]
            asked[kind] += 1
        chosen = tuple(rng.sample(range(cases[kind]), min(examples, cases[kind])))
        # with a share of 0.5 every second query, spread evenly for any other share
        wants_neighbour = int((number + 1) * neighbour_share + 1e-9) > int(number * neighbour_share + 1e-9)
        drafts.append(Draft(kind, chosen, wants_neighbour))
    return drafts, asked


def pick_images(
    drafts: Sequence[Draft], anchors: Sequence[Neighbours | None], free: np.ndarray, rng: Random
) -> list[Pick]:
    """An image for every draft in turn, none twice, until the pool is empty: `len(result) <= len(drafts)`.

    `anchors[i]` are the neighbours of draft i's first example (None for random drafts); `free` is a bool per pool
    row. A rejected image is drawn again, never its type; where no neighbour is left a random image is taken.
    """
    free = free.copy()
    order = np.flatnonzero(free).tolist()
    rng.shuffle(order)
    picks: list[Pick] = []
    for draft, near in zip(drafts, anchors, strict=True):
        pick = None
        if draft.neighbour and near is not None:
            places = np.flatnonzero(free[near.rows])
            if len(places):
                place = int(places[rng.randrange(len(places))])
                pick = Pick(int(near.rows[place]), True, float(near.similarities[place]))
        if pick is None:
            while order and not free[order[-1]]:
                order.pop()
            if not order:
                break
            reason = (
                (near.missing if near is not None and near.missing else USED_UP) if draft.neighbour else ""
            )
            pick = Pick(order.pop(), False, fallback=reason)
        free[pick.row] = False
        picks.append(pick)
    return picks
