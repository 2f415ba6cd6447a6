"""The page of `compare`: conclusion, chart of the runs, a table of each pair, parameters and data that differ."""

import json
from pathlib import Path

from dataengine_lib.core.files import write_json
from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.html import page_html
from dataengine_lib.report.rounds.compared import gains_table, round_chart
from dataengine_lib.report.tables import Html, conclusion, escaped, p_value, percent, points, table
from dataengine_lib.runs.compared.compare_runs import ComparedRuns, RunPair, compared_sentences
from dataengine_lib.runs.compared.differences import RunDifference

_METHOD = "95 % intervals by images; p-values of the sign-flip test by images, corrected by Holm's rule"


def write_comparison(compared: ComparedRuns, output: Path) -> Path:
    """Write every figure to `output`, and the page beside it under the same name; returns the page."""
    write_json(output, compared)
    page = output.with_suffix(".html")
    _write_page(compared, page)
    return page


def _write_page(compared: ComparedRuns, page: Path) -> None:
    first = compared.runs[0].name
    parts = [
        Html(f"<h1>{escaped(' and '.join(run.name for run in compared.runs))}</h1>"),
        conclusion(*compared_sentences(compared), warnings=compared.warnings),
        Html("<h2>The runs</h2>"),
        _runs_table(compared),
        Html(f"<h2>On the questions shared with {escaped(first)}</h2>"),
        _pairs_table(compared),
    ]
    for pair in compared.pairs:
        parts += _pair_parts(first, pair)
    names = [run.name for run in compared.runs]
    parts += _differences(
        names,
        "parameters",
        compared.parameters,
        "of the first round in which the step ran; RUN is the run's folder",
    )
    parts += _differences(
        names, "data", compared.data, "inputs of the steps, by the first characters of their SHA-256"
    )
    with replacing(page, "w") as stream:
        stream.write(page_html(" and ".join(names), "\n".join(part.text for part in parts)))


def _runs_table(compared: ComparedRuns) -> Html:
    rows = [
        (run.name, run.folder, run.evaluated, run.scores.overall.total,
         percent(run.scores.overall.accuracy, run.scores.overall.low, run.scores.overall.high))
        for run in compared.runs
    ]  # fmt: skip
    head = ["run", "folder", "evaluation", "questions", "accuracy"]
    return table(rows, head, f"each on its own questions of split {compared.split}; 95 % intervals by images")


def _pairs_table(compared: ComparedRuns) -> Html:
    rows: list[tuple[object, ...]] = []
    for pair in compared.pairs:
        if pair.comparison is None:
            rows.append((pair.name, 0, None, None, None, None, pair.reason))
            continue
        tested = pair.comparison.overall
        rows.append((
            pair.name, pair.questions, points(tested.gain.gain, tested.gain.low, tested.gain.high), tested.fixed,
            tested.broken, p_value(tested.p_holm), verdict_words(tested.verdict, pair.questions),
        ))  # fmt: skip
    head = ["run", "questions", "points more", "right here only", "right there only", "p, Holm", "shows"]
    return table(rows, head, f"{_METHOD} over the runs")


def _pair_parts(first: str, pair: RunPair) -> list[Html]:
    if pair.comparison is None:
        return []
    tested = pair.comparison.overall
    words = (
        f"{pair.questions:,} questions, {in_points(tested.gain.gain)} points, p {equals_p(tested.p_holm)}."
    )
    return [
        Html(f"<h2>{escaped(pair.name)} against {escaped(first)}</h2><p>{escaped(words)}</p>"),
        Html(round_chart(pair.scores, title="Accuracy per question type, run by run")._repr_html_()),
        gains_table(pair.comparison, f"{_METHOD} over the types", pair.scores[0].by_type),
    ]


def _differences(names: list[str], what: str, differences: list[RunDifference], caption: str) -> list[Html]:
    """The section of parameters or data that differ; one line where none do."""
    if not differences:
        return [Html(f'<p class="empty">No {what} differ.</p>')]
    rows = [(one.name, *(_shown(value) for value in one.values)) for one in differences]
    return [
        Html(f"<h2>{what.capitalize()} that differ</h2>"),
        table(rows, [what.removesuffix("s"), *names], caption),
    ]


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
