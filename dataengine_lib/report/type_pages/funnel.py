"""From bad cases to what was fixed and broken (all steps): as bars of all rounds together, and as a table of rounds."""

from collections.abc import Mapping
from typing import Any

from dataengine_lib.report.tables import Figure, Html, table
from dataengine_lib.report.type_pages.figures import TypeRound, TypeStory, interval_words

# figures of a round, and their names
_PARTS = (
    ("bad_cases", "bad cases"),
    ("queries", "queries"),
    ("replies", "replies"),
    ("kept", "QAs kept"),
    ("trained", "drawn in training"),
    ("fixed", "questions fixed"),
    ("broken", "questions broken"),
)
_DRAWN = "a training draws each QA several times, also those of earlier rounds"


def funnel_parts(story: TypeStory, known: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Words, number and width in % of each bar: sums over all rounds, or what is `known` by the name of the figure.

    Parts that are not known are left out.
    """
    sums = {words: (known or {}).get(name, story.total(name)) for name, words in _PARTS}
    shown = {words: total for words, total in sums.items() if total is not None}
    widest = max(shown.values(), default=0) or 1
    return [
        {"words": words, "number": f"{int(total):,}", "width": round(100 * total / widest, 1)}
        for words, total in shown.items()
    ]


def story_table(story: TypeStory, caption: str = "") -> Html:
    """A row for each round, and one for the evaluation after the last; `caption` says what is compared."""
    caption = f"{caption}; {_DRAWN}" if caption else _DRAWN
    rows = [
        (
            Figure("after" if one.after else str(one.round)),
            Figure(interval_words(one)),
            *(getattr(one, name) for name, _ in _PARTS),
            _dollars(one.cost_usd),
            _price(one),
        )
        for one in story.rounds
    ]
    head = ["round", "accuracy before", *(words for _, words in _PARTS), "US dollars", "per QA kept"]
    return table(rows, head, caption)


def _dollars(cost: float | None) -> Figure | None:
    return None if cost is None else Figure(f"{cost:,.2f}" if cost >= 1 else f"{cost:.4g}")


def _price(one: TypeRound) -> Figure | None:
    return None if one.cost_usd is None or not one.kept else Figure(f"{one.cost_usd / one.kept:.4g}")
