"""How long a run will still take (all steps), as far as earlier runs of the same experiment say."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.run_file import ShownRun, read_run
from dataengine_lib.runs.manifest import read_manifest
from dataengine_lib.runs.workflow import Planned


def earlier_seconds(planned: Sequence[Planned], out: Path, run: str) -> dict[str, float]:
    """The seconds of steps by label, as they took in the folder `out` and in the runs of the same name beside it.

    Of several the latest counts, but those in `out` before all others.
    """
    found: dict[str, float] = {}
    for shown in sorted(_runs_beside(out, run), key=lambda one: one.started or ""):
        found |= {
            step.label: step.seconds
            for step in shown.steps
            if step.seconds and step.status in ("done", "skipped")
        }
    manifests = {item.label: read_manifest(item.manifest) for item in planned}
    return found | {label: one.seconds for label, one in manifests.items() if one and one.seconds}


def _runs_beside(out: Path, run: str) -> Iterable[ShownRun]:
    for file in out.absolute().parent.glob("*/run.json"):
        try:
            shown = read_run(file.parent)
        except DataEngineError:  # damaged, or of another program: it says nothing about this run
            continue
        if shown.run == run:
            yield shown


class TimeLeft:
    """An estimate of the time that the steps of a run take; `earlier` has their seconds by label."""

    def __init__(self, earlier: dict[str, float]) -> None:
        self._earlier = earlier
        self._taken: dict[str, float] = {}  # in this run

    def took(self, label: str, seconds: float) -> None:
        """Count a step that this run has made."""
        self._taken[label] = seconds

    def seconds(
        self, label: str, elapsed: float, bar_seconds: float | None, waiting: Iterable[str]
    ) -> float | None:
        """Of the step `label`, `elapsed` seconds after its start, and of those that wait; None where a step is not known.

        `bar_seconds` are those that the step's bar still expects: the step takes that long at least.
        """
        expected = [self._expected(one) for one in (label, *waiting)]
        known = [one for one in expected if one is not None]
        if len(known) < len(expected):
            return None
        return max(known[0] - elapsed, bar_seconds or 0.0, 0.0) + sum(known[1:])

    def _expected(self, label: str) -> float | None:
        """As in an earlier run, at the pace of this one; else as the same step in this run's rounds."""
        if (before := self._earlier.get(label)) is not None:
            return before * self._pace()
        step = label.rpartition("/")[2]
        alike = [seconds for one, seconds in self._taken.items() if one.rpartition("/")[2] == step]
        return mean(alike) if alike else None

    def _pace(self) -> float:
        """How much longer than before the steps of this run took: the machine may be busier, or the data larger."""
        both = self._taken.keys() & self._earlier.keys()
        before = sum(self._earlier[label] for label in both)
        return sum(self._taken[label] for label in both) / before if before else 1.0
