"""The head of a run's index page: student, teacher, data with counts, duration, cost, the command, versions."""

from pathlib import Path
from typing import TypeVar

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.text import duration
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.pages.head import Head, shown_time, shown_versions
from dataengine_lib.report.run_file import ShownRun

_Content = TypeVar("_Content")


class _Overall(msgspec.Struct):
    total: int = 0


class _Split(msgspec.Struct):
    overall: _Overall = msgspec.field(default_factory=_Overall)


class _Metrics(msgspec.Struct):
    splits: dict[str, _Split] = {}


class _Usage(msgspec.Struct):
    cost_usd: float | None = None
    requests: int = 0


class _Kept(msgspec.Struct):
    kept: int = 0
    dropped: int = 0


def run_head(run: ShownRun, folder: Path) -> Head:
    """The facts of the run in `folder`, as far as its files are there and can be read."""
    facts = [
        ("student", run.student),
        ("teacher", run.teacher),
        ("data", _data(run, folder)),
        ("date", shown_time(run.started) if run.started else ""),
        ("duration", duration(run.seconds) if run.seconds else ""),
        ("cost", _cost(run, folder)),
    ]
    return Head(
        facts=[(name, value) for name, value in facts if value],
        command=run.command,
        versions=shown_versions(run),
    )


def _data(run: ShownRun, folder: Path) -> str:
    """Questions by split, and QAs kept of those that the teacher wrote."""
    parts = []
    for metrics in _read(run, folder, "metrics.json", _Metrics)[:1]:  # the same questions in every round
        asked = {name: split.overall.total for name, split in metrics.splits.items()}
        named = ", ".join(f"{number:,} {name}" for name, number in asked.items())
        parts.append(f"{sum(asked.values()):,} questions{f' ({named})' if len(asked) > 1 else ''}")
    if counts := _read(run, folder, "post_process.json", _Kept):
        kept, all_written = sum(one.kept for one in counts), sum(one.kept + one.dropped for one in counts)
        parts.append(f"{kept:,} of {all_written:,} written QAs kept")
    return "; ".join(parts)


def _cost(run: ShownRun, folder: Path) -> str:
    """What the teacher's replies of all rounds cost; empty where a price is not known."""
    cost, known = paid_cost(run, folder)
    if cost is None:
        return ""
    replies = (
        f"{sum(one.requests for one in _read(run, folder, 'usage.json', _Usage)):,} replies of the teacher"
    )
    return f"{cost:.2f} US dollars for {replies}" if known else f"not known, for {replies}"


def paid_cost(run: ShownRun, folder: Path) -> tuple[float | None, bool]:
    """US dollars of the teacher's replies of all rounds, None before the first; and whether every price is known."""
    found = _read(run, folder, "usage.json", _Usage)
    known = [one.cost_usd for one in found if one.cost_usd is not None]
    return (sum(known) if found else None), len(known) == len(found)


def _read(run: ShownRun, folder: Path, name: str, content: type[_Content]) -> list[_Content]:
    """Every step's output of that name; files of other versions are left out."""
    found: list[_Content] = []
    for output in (output for step in run.steps for output in step.outputs):
        if output.rpartition("/")[2] != name:
            continue
        try:
            found.append(read_json(folder / output, content))
        except (DataEngineError, OSError):
            continue
    return found
