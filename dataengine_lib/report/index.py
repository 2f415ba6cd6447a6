"""The pages that lead to all others (all steps): one per run, one over all runs."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataengine_lib.data.comparison import Figures
from dataengine_lib.data.files import read_json, replacing
from dataengine_lib.report.charts import round_chart
from dataengine_lib.report.html import TEMPLATES, file_link, page_html


def write_run_index(folder: Path) -> Path:
    """Write `<run>/index.html`: status, headline numbers, accuracy per type before and after, and every step."""
    from markupsafe import Markup

    run: dict[str, Any] = read_json(folder / "run.json")
    figures = _figures(folder)
    steps = [
        step | {"seconds": f"{step.get('seconds') or 0:.1f}", "files": [file_link(folder / name, folder) for name in step.get("outputs", [])
                                                                       if (folder / name).exists()]}
        for step in run.get("steps", [])
    ]  # fmt: skip
    chart = round_chart(figures.rounds, figures.weak_types)._repr_html_() if figures else ""
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    body = _render(
        run=run["run"], status=run["status"], started=_day(run.get("started")), rounds=run.get("rounds", 0), seed=run.get("seed", 0),
        error=run.get("error"), headline=_headline(run, figures), chart=Markup(chart), steps=steps, versions=versions,
    )  # fmt: skip
    return _write(folder / "index.html", f"Run {run['run']}", body, [{"name": "all reports", "href": "../index.html"}], run.get("notes", []))


def write_index(reports: Path) -> Path:
    """Write `reports/index.html`: every run below it, latest first."""
    found = []
    for file in reports.glob("*/run.json"):
        run: dict[str, Any] = read_json(file)
        figures = _figures(file.parent)
        found.append(run | {
            "href": quote(f"{file.parent.name}/index.html"), "name": file.parent.name, "started": _day(run.get("started")),
            "duration": _duration(run.get("seconds") or 0), "headline": _gain(figures) if figures else "–",
        })  # fmt: skip
    runs = sorted(found, key=lambda run: str(run["started"]), reverse=True)
    return _write(reports / "index.html", "All reports", _render(runs=runs), [], [])


def _figures(folder: Path) -> Figures | None:
    file = folder / "compare_rounds.json"
    return read_json(file, Figures) if file.is_file() else None


def _gain(figures: Figures) -> str:
    first, last, total = figures.rounds[0].overall, figures.rounds[-1].overall, figures.comparisons[0].overall.gain
    return f"{first.accuracy:.1%} → {last.accuracy:.1%} ({100 * total.gain:+.1f} points, 95 % [{100 * total.low:+.1f}, {100 * total.high:+.1f}])"


def _headline(run: dict[str, Any], figures: Figures | None) -> list[tuple[str, str]]:
    tiles = [(_duration(run.get("seconds") or 0), f"in all, {_duration(run.get('overhead_seconds') or 0)} of it notebooks and rendering")]
    if figures:
        first, last, compared = figures.rounds[0].overall, figures.rounds[-1].overall, figures.comparisons[0]
        gain = compared.overall.gain
        tiles = [
            (f"{first.accuracy:.1%} → {last.accuracy:.1%}", f"{figures.split} accuracy, {first.total:,} questions"),
            (f"{100 * gain.gain:+.1f} points", f"gain, 95 % interval [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"),
            *tiles,
        ]
        if compared.weak:
            tiles.insert(2, (f"{100 * compared.weak.gain:+.1f} points", f"gain of the {len(figures.weak_types)} weakest types, "
                             f"95 % [{100 * compared.weak.low:+.1f}, {100 * compared.weak.high:+.1f}]"))  # fmt: skip
    return tiles


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _day(started: str | None) -> str:
    return (started or "").replace("T", " ").split("+")[0]


def _render(**values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template("index.html.j2").render(**values)


def _write(page: Path, title: str, body: str, links: list[dict[str, str]], notes: list[str]) -> Path:
    with replacing(page, "w") as stream:
        stream.write(page_html(title, body, links, notes, []))
    return page
