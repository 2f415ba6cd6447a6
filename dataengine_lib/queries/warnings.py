"""What step 2 warns of: queries that were asked for and not written, and images that could not be used."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.type_shares import (
    NO_CASES,
    NO_CASES_FOR_TARGET,
    NOT_WRITTEN,
    NOT_WRITTEN_FOR_TARGET,
    TypeShare,
)

_NO_CASES = (NO_CASES, NO_CASES_FOR_TARGET)
_NO_DRAFTS = (*_NO_CASES, NOT_WRITTEN, NOT_WRITTEN_FOR_TARGET)
_FALLBACK_SHARE = 0.5  # of the queries that should show a neighbour of a bad case's image


def check_any_case(cases: int, maxnum: int, file: Path) -> None:
    """Raise DataEngineError when `maxnum` queries are wanted of a file without bad cases: nothing can be drawn."""
    if maxnum and not cases:
        raise DataEngineError(
            f"none of {maxnum:,} queries could be written: {file} holds no bad case; give that of an evaluation with"
            " wrong answers"
        )


def check_any_query(
    number: int, maxnum: int, shares: Mapping[str, TypeShare], left_out: Mapping[str, int]
) -> None:
    """Raise DataEngineError when `maxnum` queries were wanted and none could be written, saying why."""
    if number or not maxnum:
        return
    if not any(share.asked and share.why_not not in _NO_DRAFTS for share in shares.values()):
        why = "every type with bad cases has the weight 0 and no target; check weight and targets"
    else:
        reasons = [share.why_not for share in shares.values() if share.why_not]
        images = f"; images left out: {counted_reasons(left_out)}" if left_out else ""
        why = f"{', '.join(dict.fromkeys(reasons)) or 'no image can be used'}{images}; check coco_dataset"
    raise DataEngineError(f"none of {maxnum:,} queries could be written: {why}")


def query_warnings(
    number: int, maxnum: int, shares: Mapping[str, TypeShare], unreadable: Sequence[str]
) -> list[str]:
    """A sentence for each way in which `number` queries are less than what was asked for."""
    found = []
    if number < maxnum:
        reasons = Counter[str]()
        for share in shares.values():
            # a type whose turns went to the others lacks no query
            if share.asked > share.filled and share.why_not not in ("", NO_CASES, NOT_WRITTEN):
                reasons[share.why_not] += share.asked - share.filled
        why = f": {counted_reasons(reasons)}" if reasons else ""
        found.append(f"{number:,} of {maxnum:,} queries were written{why}")
    without = [name for name, share in shares.items() if share.why_not in _NO_CASES]
    if len(without) > len(shares) / 2:
        found.append(f"{len(without)} of {len(shares)} types have no bad cases and get no queries")
    wanted = sum(share.neighbours + sum(share.fallbacks.values()) for share in shares.values())
    fallbacks = sum((Counter(share.fallbacks) for share in shares.values()), Counter[str]())
    if fallbacks.total() > _FALLBACK_SHARE * wanted:
        found.append(
            f"{fallbacks.total():,} of {wanted:,} queries that should show an image like a bad case's show a random "
            f"one: {counted_reasons(fallbacks)}"
        )
    if unreadable:
        found.append(
            f"{len(unreadable):,} images were not found or could not be read, the first: {shown(unreadable[0], 160)}"
        )
    return found
