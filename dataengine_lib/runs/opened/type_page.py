"""`types.html` of a run (all steps): its frames and images put together for the page of question types."""

from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.type_pages.anchors import TYPE_PAGE
from dataengine_lib.runs.lineage import round_folders
from dataengine_lib.runs.opened.opened_run import load_run

# in a study, checkpoints are dropped and their logs stay
_TRAIN_LOGS = ("checkpoint/train_log.json", "train_log.json")


class _Drawn(msgspec.Struct):
    """Of a training's log, how many examples it drew of each type, new ones and others."""

    by_type: dict[str, dict[str, int]] = {}


def write_type_page(folder: Path) -> Path | None:
    """Write `types.html` beside the run's index; None where no question was evaluated and nothing was asked.

    Raises DataEngineError for a file of the run that cannot be read.
    """
    from dataengine_lib.frames.columns import make_frame
    from dataengine_lib.report.html import page_html, render_template, template_text
    from dataengine_lib.report.index import compared_figures
    from dataengine_lib.report.run_file import read_run
    from dataengine_lib.report.type_pages.examples import TypeExamples
    from dataengine_lib.report.type_pages.figures import type_stories
    from dataengine_lib.report.type_pages.page import type_page_values

    run, shown = load_run(folder), read_run(folder)
    types = run.types
    if not len(types):
        return None
    notes = list(shown.notes)
    try:
        comparison = run.comparison
    except DataEngineError as error:  # evaluations of other questions: the page shows all the rest
        comparison = make_frame("comparison", [])
        notes.append(str(error))
    stories = type_stories(types, run.replies, run.records, comparison, _trained(folder))
    examples = TypeExamples(run.bad_cases, comparison, run.records, run.image_file)
    name = folder.resolve().name
    # the folder above in commands, and none of the machine's
    command = "/".join(folder.resolve().parts[-2:])
    values, script = type_page_values(stories, examples, compared_figures(shown, folder), command)
    links = [{"name": "this run", "href": "index.html"}, {"name": "all reports", "href": "../index.html"}]
    page = page_html(
        f"{shown.run or name} · question types",
        render_template("types.html.j2", **values),
        links=links,
        notes=notes,
        script=script,
        css=template_text("types.css"),
    )
    with replacing(folder / TYPE_PAGE, "w") as stream:
        # a record may hold half of a surrogate pair, which no file can
        stream.write(page.encode("utf-8", "replace").decode("utf-8"))
    return folder / TYPE_PAGE


def _trained(folder: Path) -> dict[int, dict[str, int]]:
    """By round and type, the new examples that the training drew; without the rounds that were not trained."""
    found = {}
    for place in round_folders(folder)[1:]:
        logs = [place / name for name in _TRAIN_LOGS if (place / name).is_file()]
        if logs:
            log: _Drawn = read_json(logs[0], _Drawn)
            found[int(place.name[5:])] = {kind: drawn.get("new", 0) for kind, drawn in log.by_type.items()}
    return found
