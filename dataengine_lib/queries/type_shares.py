"""Step 2: how many queries of each type were wanted, how many were written, and why some are missing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from dataengine_lib.queries.sampling import Pick, QueryDraft

NO_CASES = "no bad cases of this type; its turns went to the other types"
NO_CASES_FOR_TARGET = "no bad cases of this type, so its target is not filled"
POOL_EMPTY = "no unused image left in the pool"
TOO_LONG = "with prompts over max_prompt_tokens even without captions"
NOT_WRITTEN = "the teacher writes no questions of this type; its turns went to the other types"
NOT_WRITTEN_FOR_TARGET = "the teacher writes no questions of this type, so its target is not filled"
UNCOVERED = "without an unused image that the teacher can write about"


class TypeShare(msgspec.Struct):
    """One type's entry in `sampling.json` and in the notebook.

    `asked` queries were wanted, `filled` were written, `neighbours` of these about a neighbour of the bad case's
    image. `weight_share` is the share of `maxnum` that weights and targets give the type, `drawn_share` its share of
    the queries written, both from 0 to 1; `target` is None where the weight decides. `fallbacks` counts by reason
    the queries that should have had a neighbour and got a random image; `why_not` says why `filled` is below `asked`.
    `spares` counts the spare queries; it is absent where none were asked for.
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
    spares: int | msgspec.UnsetType = msgspec.UNSET


def type_shares(
    weights: Mapping[str, float],
    targets: Mapping[str, int],
    maxnum: int,
    case_counts: Mapping[str, int],
    asked: Mapping[str, int],
    drafts: Sequence[QueryDraft],
    picks: Sequence[Pick],
    too_long: Collection[int],
    uncovered: Collection[int] = (),
    not_written: Collection[str] = (),
) -> dict[str, TypeShare]:
    """An entry for each type of `weights`.

    `case_counts` are bad cases by type, `asked` drafts by type, and `too_long` the places of the drafts that were
    given up because no prompt fitted, `uncovered` of those for which the teacher could write about no image. Types
    `not_written` are those whose bad cases were left out because the teacher writes no questions like them.
    """
    rest = maxnum - sum(targets.values())
    total = sum(weight for name, weight in weights.items() if name not in targets)
    picks_by_type: dict[str, list[Pick]] = {name: [] for name in weights}
    for pick in picks:
        picks_by_type[drafts[pick.draft].question_type].append(pick)
    # a draft without an image was given up for its length, or came after the last free image was taken
    given_up = Counter(drafts[place].question_type for place in too_long)
    without_image = Counter(drafts[place].question_type for place in uncovered)
    shares = {}
    for name, weight in weights.items():
        # what weights or the target ask for, before drafts of types without cases went to others
        wanted = targets[name] if name in targets else rest * weight / total if total else 0.0
        filled = picks_by_type[name]
        missing = asked[name] - len(filled)
        # why some are missing: no bad cases, prompts that were too long, or no image left
        reasons = []
        if not case_counts[name] and name in targets:
            of_target = NOT_WRITTEN_FOR_TARGET if name in not_written else NO_CASES_FOR_TARGET
            reasons += [of_target] if missing else []
        elif not case_counts[name]:
            of_weight = NOT_WRITTEN if name in not_written else NO_CASES
            reasons += [of_weight] if weight > 0 else []
        else:
            reasons += [f"{given_up[name]} {TOO_LONG}"] if given_up[name] else []
            # the number only beside other reasons, so that warnings can add up types with this one
            of_them = f"{without_image[name]} " if missing > without_image[name] else ""
            reasons += [f"{of_them}{UNCOVERED}"] if without_image[name] else []
            reasons += [POOL_EMPTY] if missing > given_up[name] + without_image[name] else []
        shares[name] = TypeShare(
            weight=weight,
            target=targets.get(name),
            weight_share=round(wanted / maxnum, 4) if maxnum else 0.0,
            asked=asked[name],
            filled=len(filled),
            drawn_share=round(len(filled) / len(picks), 4) if picks else 0.0,
            neighbours=sum(pick.neighbour for pick in filled),
            fallbacks=dict(sorted(Counter(pick.fallback for pick in filled if pick.fallback).items())),
            why_not="; ".join(reasons),
        )
    return shares
