"""Index pages (all steps): one per run, and one of all runs."""

from os.path import exists, isfile  # False for a name that is too long, where Path raises
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataengine_lib.core.files import read_json
from dataengine_lib.core.statistics import cannot_tell, in_points
from dataengine_lib.core.text import duration
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.rounds.figures import Figures, GainVerdict
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.html import file_link, page_html, plain_label, render_template
from dataengine_lib.report.index_pages.cautions import cautions
from dataengine_lib.report.index_pages.changed import changed_cards
from dataengine_lib.report.index_pages.run_story import kept_counts, run_story
from dataengine_lib.report.index_pages.runs_table import Unusual, run_cells
from dataengine_lib.report.names import MOST_ROWS, plain_name
from dataengine_lib.report.pages.run_head import run_head
from dataengine_lib.report.pages.watched import RunningStep, reload_script
from dataengine_lib.report.rounds.small_chart import small_round_chart
from dataengine_lib.report.run_file import ShownRun, ShownStep, read_run
from dataengine_lib.report.type_pages.anchors import TYPE_PAGE, type_anchor, with_type_links
from dataengine_lib.report.type_pages.funnel import funnel_parts, story_table

_STATUS_TEXTS = {
    "done": "✓ done",
    "skipped": "✓ unchanged",
    "failed": "✗ failed",
    "interrupted": "✗ interrupted",
    "running": "… running",
    "waiting": "waiting",
}


def write_run_index(folder: Path, watched: RunningStep | None = None, image_root: Path | None = None) -> Path:
    """Write `<run>/index.html`: main figures, from bad cases to changed questions, and a table of rounds and steps.

    With `watched` it shows how far the step is and loads itself anew, as long as the run is running. `image_root` is where
    the compared questions' image paths start, for the cards of what was fixed and broken.
    """
    run = read_run(folder)
    running = watched if run.status == "running" else None
    figures = compared_figures(run, folder)
    steps = [_step(step, folder) for step in run.steps]
    # labels begin with the number of the step, so this is the order of the loop
    columns = sorted({step["step"] for step in steps})
    places = list(dict.fromkeys(step["place"] for step in steps))
    # a table with a row per place (whole run, round1, …, final) and a column per step
    cells = {(step["place"], step["step"]): step for step in steps}
    body = render_template(
        "run_index.html.j2",
        **_run(run, folder, "", figures),
        **_story(run, folder, figures),
        changed=_changed(figures, folder, image_root),
        compared=next((one["href"] for one in steps if one["step"] == "6_compare_rounds"), ""),
        columns=[(column, plain_label(column)) for column in columns],
        rows=[
            (plain_label(place) or "whole run", [cells.get((place, column)) for column in columns])
            for place in places
        ],
        steps=steps,
        seed=run.seed,
        error=run.error or "",
        types=_type_links(figures, folder),
        head=run_head(run, folder),
        running=running,
    )
    links = [{"name": "all reports", "href": "../index.html"}]
    return _write(
        folder / "index.html", f"Run {run.run or _name(folder)}", body, links, run.notes, running is not None
    )


def _story(run: ShownRun, folder: Path, figures: Figures | None) -> dict[str, Any]:
    """The bars of all rounds together and the table of the rounds; no bars before anything was asked."""
    story = run_story(run, folder, figures)
    compared = figures.comparisons[0] if figures else None
    known = {"fixed": compared.overall.fixed, "broken": compared.overall.broken} if compared else {}
    where = f" on {figures.split}" if figures and figures.split != "all" else ""
    caption = f"fixed and broken{where} by the evaluation after the round" + (
        f"; the bars compare {compared.after} with {compared.before}" if compared else ""
    )
    return {
        "funnel": funnel_parts(story, known) if story.total("queries") else [],
        "story_table": _markup(story_table(story, caption).text),
    }


def _changed(figures: Figures | None, folder: Path, image_root: Path | None) -> list[dict[str, Any]]:
    """Cards of what the last evaluation fixed and broke, against the first."""
    if figures is None:
        return []
    command = "/".join(folder.resolve().parts[-2:])  # none of the machine's folders above
    shown = changed_cards(figures.comparisons[0], image_root, command)
    return [part | {"cards": _markup(part["cards"])} for part in shown]


def _type_links(figures: Figures | None, folder: Path) -> list[dict[str, str]]:
    """Links to the sections of the page of types, the type that was weakest at first before the others."""
    if not isfile(folder / TYPE_PAGE):
        return []
    by_type = figures.rounds[0].by_type if figures else {}
    kinds = sorted(by_type, key=lambda kind: (by_type[kind].accuracy, kind))[:MOST_ROWS]
    return [
        {"name": "all types", "href": TYPE_PAGE},
        *({"name": plain_name(kind), "href": f"{TYPE_PAGE}#{type_anchor(kind)}"} for kind in kinds),
    ]


def run_folders(reports: Path) -> list[Path]:
    """The folders of runs below `reports`, by name; their `run.json` may be damaged."""
    return [file.parent for file in sorted(reports.glob("*/run.json"))]


def write_index(reports: Path, unusual: Unusual | None = None) -> Path:
    """Write `reports/index.html`: every run in a folder below it, latest first; runs that cannot be read are named.

    `unusual` is what `runs.compared.unusual` finds. A study in a folder below it is linked to.
    """
    runs, broken = [], []
    for folder in run_folders(reports):
        try:
            run = read_run(folder)
        except DataEngineError as error:
            # damaged, or of another program: the other runs are shown all the same
            broken.append(str(error))
            continue
        figures = compared_figures(run, folder)
        cells = run_cells(run, folder, figures, kept_counts(run, folder), unusual or {})
        runs.append(_run(run, folder, quote(f"{_name(folder)}/"), figures) | cells)
    runs.sort(key=lambda run: str(run["started"]), reverse=True)
    studies = [
        {"name": _name(page.parent), "href": quote(f"{_name(page.parent)}/{page.name}")}
        for page in sorted(reports.glob("*/7_study.html"))
    ]
    body = render_template("all_index.html.j2", runs=runs, studies=studies, broken=broken)
    return _write(reports / "index.html", "All reports", body, [], [])


def _run(run: ShownRun, folder: Path, start: str, figures: Figures | None) -> dict[str, Any]:
    """What both pages show of a run; `start` begins the links to its pages."""
    careful = cautions(kept_counts(run, folder), figures)
    warnings = len(run.warnings or []) + sum(len(step.warnings or []) for step in run.steps)
    return {
        "name": run.run or _name(folder),
        "href": quote(f"{_name(folder)}/index.html"),
        "status": run.status,
        "sign": _STATUS_TEXTS.get(run.status, ""),
        # "2026-01-31T12:00:00+00:00" is shown as "2026-01-31 12:00:00"
        "started": (run.started or "").replace("T", " ").split("+")[0],
        "rounds": run.rounds,
        "notes": run.notes,
        "warnings": run.warnings or [],
        "cautions": careful,
        "warned": _count(warnings + len(careful), "warning"),
        "tiles": [*(_gains(figures) if figures else []), *_times(run)],
        "chart": _chart(figures, f"{start}{TYPE_PAGE}" if isfile(folder / TYPE_PAGE) else "")
        if figures
        else "",
    }


def _name(folder: Path) -> str:
    return folder.resolve().name  # "." has no name of its own


def _step(step: ShownStep, folder: Path) -> dict[str, Any]:
    label = step.label
    outputs = [folder / name for name in step.outputs]
    return {
        "label": plain_label(label),
        # "round1/1_evaluate" is at the place "round1", "0_classify_questions" at ""
        "place": label.rpartition("/")[0],
        "step": label.rpartition("/")[2],
        "status": step.status,
        "sign": _STATUS_TEXTS.get(step.status, step.status),
        "seconds": f"{step.seconds:.1f} s" if step.seconds else "",
        "error": step.error or "",
        "warnings": step.warnings or [],
        "href": quote(f"{label}.html") if isfile(folder / f"{label}.html") else "",
        "files": [file_link(path, folder) for path in outputs if exists(path)],
        "warned": _count(len(step.warnings or []), "warning"),
    }


def _count(number: int, noun: str) -> str:
    """`1 warning`, `2 warnings`; empty for 0."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else ""


def compared_figures(run: ShownRun, folder: Path) -> Figures | None:
    """The comparison that this run made; None when it made none, though an earlier run in the folder may have."""
    made = [step for step in run.steps if step.step == "6_compare_rounds"]
    file = folder / "compare_rounds.json"
    if not file.is_file() or any(step.status not in ("done", "skipped") for step in made):
        return None
    try:
        return read_json(file, Figures)
    except DataEngineError:  # a file of another version: the step's own page still shows its chart
        return None


def _gains(figures: Figures) -> list[tuple[str, str]]:
    first, last, compared = figures.rounds[0].overall, figures.rounds[-1].overall, figures.comparisons[0]
    accuracy = f"{figures.split} accuracy, {first.total:,} questions"
    tiles = [
        (
            f"{first.accuracy:.1%} → {last.accuracy:.1%}",
            f"{accuracy}; {cannot_tell(first.total)}" if first.too_few else accuracy,
        ),
        _gain_tile(compared.overall, "gain"),
    ]
    if compared.weak:
        tiles.append(_gain_tile(compared.weak, f"gain of the {len(figures.weak_types)} weakest types"))
    return tiles


def _gain_tile(tested: GainVerdict, name: str) -> tuple[str, str]:
    gain = tested.gain
    interval = f"[{in_points(gain.low)}, {in_points(gain.high)}]"
    words = verdict_words(tested.verdict, gain.questions)
    return f"{in_points(gain.gain)} points", f"{name}, 95 % interval {interval}: {words}"


def _times(run: ShownRun) -> list[tuple[str, str]]:
    overhead = run.overhead_seconds or 0
    return [
        (
            duration(run.seconds or 0),
            f"in all, of which {duration(overhead)} for starting notebooks and rendering",
        )
    ]


def _chart(figures: Figures, types: str) -> Any:
    """The small chart; a click on a row leads to the page of `types`, where there is one."""
    rounds = figures.rounds
    drawn = small_round_chart(rounds[0].by_type, rounds[-1].by_type, len(rounds) - 1).text
    return _markup(with_type_links(drawn, types) if types else drawn)


def _markup(html: str) -> Any:
    from markupsafe import Markup

    return Markup(html)


def _write(
    page: Path,
    title: str,
    body: str,
    links: list[dict[str, str]],
    notes: list[str],
    reloads: bool = False,
) -> Path:
    script = reload_script() if reloads else None
    with replacing(page, "w") as stream:
        stream.write(page_html(title, body, links=links, notes=notes, script=script))
    return page
