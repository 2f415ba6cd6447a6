"""Step 2's account: how many queries of each type were asked for, how many there are, and why not all."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from dataengine_lib.queries.sampling import Draft, Pick

NO_CASES = "no bad cases of this type; its turns went to the other types"
NO_CASES_FOR_TARGET = "no bad cases of this type, so its target is not filled"
POOL_EMPTY = "no unused image left in the pool"
TOO_LONG = "with prompts over max_prompt_tokens even without captions"


class TypeShare(msgspec.Struct):
    """One type's line in `sampling.json` and in the notebook: how often it was drawn, and what became of it.

    `weight_share` is the share of `maxnum` that weights and targets give it, `drawn_share` that of the queries
    written; `target` is None where the weight decides. `fallbacks` counts by reason the queries that should have
    had a neighbour and got a random image.
    """

    weight: float
    target: int | None
    weight_share: float
    asked: int
    filled: int
    drawn_share: float
    neighbours: int
    fallbacks: dict[str, int]
    why_not: str


def type_shares(
    weights: Mapping[str, float],
    targets: Mapping[str, int],
    maxnum: int,
    cases: Mapping[str, int],
    asked: Mapping[str, int],
    drafts: Sequence[Draft],
    picks: Sequence[Pick],
    too_long: Collection[int],
) -> dict[str, TypeShare]:
    """A line for each type of `weights`; `cases` and `asked` are counts, `too_long` places of drafts given up."""
    rest = maxnum - sum(targets.values())
    total = sum(weight for kind, weight in weights.items() if kind not in targets)
    mine: dict[str, list[Pick]] = {kind: [] for kind in weights}
    for pick in picks:
        mine[drafts[pick.draft].question_type].append(pick)
    given_up = Counter(drafts[place].question_type for place in too_long)
    shares = {}
    for kind, weight in weights.items():
        wanted = targets[kind] if kind in targets else rest * weight / total if total else 0.0
        got, missing = mine[kind], asked[kind] - len(mine[kind])
        why = []
        if not cases[kind] and kind in targets:
            why += [NO_CASES_FOR_TARGET] if missing else []
        elif not cases[kind]:
            why += [NO_CASES] if weight > 0 else []
        else:
            why += [f"{given_up[kind]} {TOO_LONG}"] if given_up[kind] else []
            why += [POOL_EMPTY] if missing > given_up[kind] else []
        shares[kind] = TypeShare(
            weight=weight,
            target=targets.get(kind),
            weight_share=round(wanted / maxnum, 4) if maxnum else 0.0,
            asked=asked[kind],
            filled=len(got),
            drawn_share=round(len(got) / len(picks), 4) if picks else 0.0,
            neighbours=sum(pick.neighbour for pick in got),
            fallbacks=dict(sorted(Counter(pick.fallback for pick in got if pick.fallback).items())),
            why_not="; ".join(why),
        )
    return shares
