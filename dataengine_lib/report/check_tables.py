"""Report of step 4: what the checks beyond format found, and how much is answered without the picture."""

from dataengine_lib.curation.blind_figure import BlindFigure, BlindFigures
from dataengine_lib.curation.check_counts import ChecksSummary
from dataengine_lib.report.tables import Figure, Html, percent, table

_NAMES = {
    "box_check": "boxes refute it",
    "leaks": "gives away the evaluation",
    "near_duplicates": "nearly the same on the same image",
    "second_answer": "a second reader disagrees",
    "blind_answer": "a reader finds it without the image",
    "blind_classifier": "words alone give it away",
}
_MANY = 20  # questions of a type from which its figure is shown


def checks_table(summary: ChecksSummary) -> Html:
    """One row for each check that was on."""
    rows = [
        [_NAMES.get(name, name), count.said, count.marked, count.dropped]
        for name, count in summary.checks.items()
    ]
    return table(rows, ["Check", "Could say", "Marked", "Dropped"])


def blind_table(summary: ChecksSummary) -> Html:
    """The share answered without the picture, with its interval and chance: of all, and of each type with enough.

    Who answers a sample only says of how many it was drawn.
    """
    drawn = f", a sample of {summary.blind_drawn_from:,}" if summary.blind_drawn_from else ""
    rows: list[list[object]] = []
    for who, figures in (
        (f"classifier of words{drawn}", summary.blind_classifier),
        ("the same after dropping", summary.after_dropping),
        ("teacher without the image", summary.blind_reader),
    ):
        if figures is not None:
            rows.append([who, "all", *_cells(figures.all)])
            rows += [[who, name, *_cells(one)] for name, one in _shown(figures)]
    return table(rows, ["Who answers", "Questions", "Number", "Answered", "Chance", ""])


def blind_sentence(summary: ChecksSummary) -> str:
    """The figure of the questions as they are kept, in words; empty where there is none."""
    figures = summary.after_dropping or summary.blind_classifier
    if figures is None:
        return ""
    one = figures.all
    verdict = _verdict(one)
    asked = "them"
    if summary.blind_drawn_from:
        asked = f"{one.total:,} that were drawn from {summary.blind_drawn_from:,} of them"
    return (
        f"Words alone answer {percent(one.accuracy, one.low, one.high).text} of {asked}, "
        f"chance is {percent(one.chance).text}: {verdict}."
    )


def _shown(figures: BlindFigures) -> list[tuple[str, BlindFigure]]:
    """Types from the most given away on."""
    known = [(name, one) for name, one in figures.by_type.items() if one.total >= _MANY]
    return sorted(known, key=lambda pair: (pair[1].chance - pair[1].low, pair[0]))


def _cells(one: BlindFigure) -> list[object]:
    return [one.total, percent(one.accuracy, one.low, one.high), percent(one.chance), Figure(_verdict(one))]


def _verdict(one: BlindFigure) -> str:
    return "as by guessing" if one.at_chance else "above chance" if one.low > one.chance else "below chance"
