"""What step 2 warns of."""

from typing import Any

from dataengine_lib.queries.type_shares import NO_CASES, NO_CASES_FOR_TARGET, POOL_EMPTY, TypeShare
from dataengine_lib.queries.warnings import query_warnings


def share(asked: int, filled: int, why_not: str = "", **more: Any) -> TypeShare:
    settings: dict[str, Any] = {
        "weight": 0.5, "target": None, "weight_share": 0.5, "asked": asked, "filled": filled, "drawn_share": 0.5,
        "neighbours": filled // 2, "fallbacks": {}, "why_not": why_not,
    }  # fmt: skip
    return TypeShare(**(settings | more))


def test_all_queries_written_is_nothing_to_warn_of() -> None:
    # the turns of a type without cases went to the other
    assert query_warnings(20, 20, {"ocr": share(20, 20), "style": share(5, 0, NO_CASES)}, []) == []


def test_missing_queries_are_counted_by_reason() -> None:
    shares = {"ocr": share(10, 4, POOL_EMPTY), "style": share(5, 0, NO_CASES_FOR_TARGET, target=5)}
    shares |= {"scene": share(5, 5), "topic": share(9, 0, NO_CASES)}
    assert query_warnings(9, 20, shares, []) == [
        f"9 of 20 queries were written: {POOL_EMPTY} (6), {NO_CASES_FOR_TARGET} (5)"
    ]


def test_types_without_cases_images_and_neighbours_are_warned_of() -> None:
    shares = {"ocr": share(9, 9, fallbacks={"used up": 8}), "style": share(0, 0, NO_CASES)}
    shares |= {"topic": share(0, 0, NO_CASES)}
    assert query_warnings(9, 9, shares, ["a.jpg: not found", "b.jpg: damaged"]) == [
        "2 of 3 types have no bad cases and get no queries",
        "8 of 12 queries that should show an image like a bad case's show a random one: used up (8)",
        "2 images were not found or could not be read, the first: 'a.jpg: not found'",
    ]
