"""The end of a run (all steps): accuracy by type before and after and times as lines; the report's pages."""

from collections.abc import Sequence
from contextlib import suppress
from os.path import isfile  # False for a name that is too long, where Path.is_file raises
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dataengine_lib.core.files import read_json, shown_name
from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.run_file import read_run
from dataengine_lib.runs.compared.unusual import unusual_parameters
from dataengine_lib.runs.manifest import read_manifest
from dataengine_lib.runs.opened.image_roots import existing_folder
from dataengine_lib.runs.opened.type_page import write_type_page
from dataengine_lib.runs.state import RunState

if TYPE_CHECKING:
    from dataengine_lib.report.pages.watched import RunningStep
    from dataengine_lib.steps.compare_rounds import SummaryRow


def summary_lines(folder: Path, state: RunState) -> list[str]:
    """The table of `compare_rounds.json` when the last step is done, then notes, seconds and the report's path."""
    lines: list[str] = []
    if state.steps[-1].status in ("done", "skipped"):
        from dataengine_lib.steps.compare_rounds import CompareRoundsResult, Figures

        output = folder / "compare_rounds.json"
        figures: Figures = read_json(output, Figures)
        lines += ["", *table_lines(CompareRoundsResult(figures, output).summary_table())]
    share = state.overhead_seconds / state.seconds if state.seconds else 0.0
    lines.append("")
    lines += [f"note: {note}" for note in state.notes]
    lines += warned_lines(state)
    lines.append(
        f"time: {state.seconds:.0f} s, of which {state.overhead_seconds:.0f} s ({share:.0%})"
        " notebook start-up and rendering"
    )
    lines.append(f"report: {folder / 'index.html'}")
    return lines


def warned_lines(state: RunState) -> list[str]:
    """One line that counts the warnings and names where they come from; none without warnings."""
    warned = [step for step in state.steps if step.warnings]
    number = len(state.warnings) + sum(len(step.warnings) for step in warned)
    if not number:
        return []
    labels = ", ".join(
        [*(["the checks before the run"] if state.warnings else []), *(step.label for step in warned)]
    )
    return [f"warnings: {number}, of {labels}; see above and in the report"]


def table_lines(rows: Sequence["SummaryRow"]) -> list[str]:
    """Accuracy by type before and after in %, the gain with its 95 % interval in points, and what it shows.

    As aligned lines; p-values are by images and after Holm's correction over the types.
    """
    width = max([len("question type"), *(len(row.question_type) for row in rows)])
    intervals = [f"[{in_points(row.low)}, {in_points(row.high)}]" for row in rows]
    wide = max([len("95 % interval"), *map(len, intervals)])
    lines = [f"{'question type':{width}}  before   after    gain   {'95 % interval':{wide}}  p (Holm)  shows"]
    for row, interval in zip(rows, intervals, strict=True):
        figures = f"{row.before:6.1%}  {row.after:6.1%}  {in_points(row.gain):>6}"
        p_value = equals_p(row.p_holm).removeprefix("= ")
        lines.append(
            f"{row.question_type:{width}}  {figures}   {interval:{wide}}  {p_value:>8}  {row.verdict}"
        )
    return lines


def write_pages(folder: Path, watched: "RunningStep | None" = None) -> None:
    """Write the run's `index.html`, `watched` or not, and that of all runs in the folder above.

    An `index.html` of another origin in the folder above, as may be with --out, is not replaced. A folder above that
    cannot be written has no such page.
    """
    from dataengine_lib.report.index import run_folders, write_index, write_run_index

    write_run_index(folder, watched, _image_root(folder))
    above = folder.resolve().parent
    page = above / "index.html"
    # the title that write_index gives its page
    with suppress(DataEngineError, OSError):  # the run itself is complete without that page
        if not page.exists() or "<title>All reports" in page.read_text(encoding="utf-8", errors="replace"):
            newest_first = sorted(run_folders(above), key=_started, reverse=True)
            write_index(above, unusual_parameters(newest_first))


def _image_root(folder: Path) -> Path | None:
    """Where the image paths of the compared questions start; None before step 6, and where it is not there any more."""
    made = read_manifest(folder / "6_compare_rounds.manifest.json")
    root = made.parameters.get("image_root") if made else None
    return existing_folder(Path(root), folder) if isinstance(root, str) else None


def _started(folder: Path) -> str:
    try:
        return read_run(folder).started or ""
    except DataEngineError:  # the page names it
        return ""


class Rendered(NamedTuple):
    """The index page of a run that was rendered once more, and warnings of what it lacks."""

    page: Path
    warnings: list[str]


def render_run(folder: Path) -> Rendered:
    """Render every executed notebook of a run and its index pages.

    Raises ParameterError when the folder is not that of a run, and DataEngineError when none of its notebooks is there.
    """
    from dataengine_lib.report.html import render_notebook

    file = folder / "run.json"
    if not file.is_file():
        raise ParameterError(f"{folder}: no run.json here; give the folder of a run, such as reports/demo")
    state: RunState = read_json(file, RunState)
    named = [step.notebook for step in state.steps if step.notebook]
    there = [name for name in named if isfile(folder / name)]
    if not there:
        why = f"{shown_name(named[0])} and the others are missing" if named else "no step has run"
        raise DataEngineError(
            f"{folder}: has no executed notebook to render, as {why}; run the experiment once more"
        )
    for name in there:
        render_notebook(folder / name, (folder / name).with_suffix(".html"))
    warnings = []
    try:
        write_type_page(folder)
    except DataEngineError as error:  # a damaged file: the other pages are there
        warnings.append(f"no page of the question types: {error}")
    write_pages(folder)
    if missing := [name for name in named if name not in there]:
        names = first_named([shown_name(name) for name in missing])
        warnings.append(f"{len(missing)} of {len(named)} notebooks are missing: {names}")
    return Rendered(folder / "index.html", warnings)
