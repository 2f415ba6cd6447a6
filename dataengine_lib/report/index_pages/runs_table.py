"""One run among others (all steps): its row in the table of `reports/index.html`, without reading large files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import duration
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.index_pages.run_story import KeptCounts
from dataengine_lib.report.pages.run_head import paid_cost
from dataengine_lib.report.run_file import ShownRun

_MOST_NAMED = 6  # parameters of one run
_LONGEST = 80  # characters of a value


class UnusualParameter(NamedTuple):
    """A parameter of a step that most other runs set to something else: `evaluate.weight_rule`, its value, theirs."""

    name: str
    value: str
    usual: str


Unusual = Mapping[Path, Sequence[UnusualParameter]]
"""What is unusual about each run, by its folder."""


def run_cells(
    run: ShownRun, folder: Path, figures: Figures | None, counts: Sequence[KeptCounts], unusual: Unusual
) -> dict[str, Any]:
    """The cells of a run's row, beside those that its section shows as well; empty where it is not known."""
    cells = dict.fromkeys(("accuracy", "gain", "shows"), "")
    if figures:
        first, last, tested = (
            figures.rounds[0].overall,
            figures.rounds[-1].overall,
            figures.comparisons[0].overall,
        )
        gain = tested.gain
        cells = {
            "accuracy": f"{100 * first.accuracy:.1f} → {100 * last.accuracy:.1f} %",
            "gain": f"{in_points(gain.gain)} [{in_points(gain.low)}, {in_points(gain.high)}]",
            "shows": verdict_words(tested.verdict, gain.questions),
        }
    kept, dropped = sum(one.kept for one in counts), sum(one.dropped for one in counts)
    cost, known = paid_cost(run, folder)
    parameters = unusual.get(folder, ())
    return cells | {
        "kept": f"{kept:,} of {kept + dropped:,}" if counts else "",
        "cost": "" if cost is None else f"{cost:.2f}" if known else "not known",
        "time": duration(run.seconds) if run.seconds else "",
        "differs": [
            {"name": one.name, "value": _short(one.value), "usual": _short(one.usual)}
            for one in parameters[:_MOST_NAMED]
        ],
        "more": max(0, len(parameters) - _MOST_NAMED),
    }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
