"""The prompt studio in JupyterLab: its buttons pressed as a person would, hostile texts, and its notebook."""

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
from made_run import EVIL
from papermill import execute_notebook, inspect_notebook
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.prompt_versions.rule_template import listed_rules
from dataengine_lib.prompt_versions.trials import PersonMark
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.steps.optimize_prompt import OptimizePromptConfig
from dataengine_lib.steps.prompt_studio import PromptStudio
from dataengine_lib.widgets.prompt_studio import PromptStudioForm
from dataengine_lib.widgets.studio.form import StudioForm

DEMO = PROJECT_ROOT / "data_demo"
NOTEBOOK = PROJECT_ROOT / "notebooks" / "optimize_prompt.ipynb"
BANNED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)


def studio(output: Path, **changes: Any) -> PromptStudio:
    given: dict[str, Any] = {"input": DEMO / "gptvqa_prompt.json", "output": output, "coco_dataset": DEMO}
    given |= {"without_rules": [3, 4, 6], "sample": 8, "holdout": 14}
    return PromptStudio(OptimizePromptConfig.read(given | changes, "test"))


def form_of(made: PromptStudio) -> StudioForm:
    return StudioForm(PromptStudioForm(made).session)


def press(form: StudioForm, *names: str) -> None:
    for name in names:
        form.buttons[name].click()


def test_from_a_sample_to_an_accepted_version(tmp_path: Path) -> None:
    made = studio(tmp_path)
    form = form_of(made)
    session = form.session
    assert "No QAs of this version yet" in form.place.value and form.buttons["wrong"].disabled
    press(form, "sample")
    assert "1 of 8" in form.place.value and "<img" in form.image.value
    # a person's mark needs a reason, is written at once and can be taken back
    press(form, "wrong")
    assert "write why it is wrong" in form.status.value and made.folder.marks("v0") == {}
    first = session.outcome
    assert first is not None
    form.why.value = EVIL
    press(form, "wrong")
    assert made.folder.marks("v0") == {first.query_id: PersonMark(True, EVIL.strip())}
    assert "2 of 8" in form.place.value
    press(form, "right", "previous", "unmark", "previous")
    assert list(made.folder.marks("v0")) == [first.query_id] and "marked wrong" in form.place.value
    assert form.why.value == EVIL.strip() and "<script" not in form.place.value
    # the proposal is shown as a diff, edited by the person and saved
    press(form, "propose")
    assert "Added against the marks" in form.status.value and "<ins>" in form.diff.value
    assert len(session.draft) == len(session.version.rules) + 2
    form.rules.value = f"{form.rules.value}\n9. {EVIL}"
    assert "<script" not in form.diff.value and "&lt;script&gt;" in form.diff.value
    press(form, "save")
    version = made.folder.versions["v1"]
    assert (version.by, version.parent) == ("person", "v0") and version.rules == session.draft
    assert form.version.value == "v1" and form.diff.value == "" and "No QAs" in form.place.value
    press(form, "save")
    assert "these are the rules of v1; change one first" in form.status.value
    # as proposed, it is the teacher's
    press(form, "sample", "propose", "save")
    assert made.folder.versions["v2"].by == "teacher" and made.folder.versions["v2"].parent == "v1"
    press(form, "measure", "accept")
    assert "Step 2 reads it with construct_queries.template" in form.status.value
    assert made.folder.accepted is not None and made.folder.accepted.name == "v2"
    assert "14 held-out queries" in form.table.value and form.table.value.count("<tr>") == 4
    accepted = load_template(tmp_path / "accepted.j2")
    assert "<script>" in accepted.file.read_text() and "accepted" in PromptStudioForm(made).summary().text
    # opened once more, everything is there, and nothing was asked twice
    rows = (tmp_path / "replies" / "gptvqa_ledger.jsonl").read_bytes()
    again = form_of(studio(tmp_path))
    assert again.version.value == "v2" and list(again.version.options) == ["v0", "v1", "v2"]
    again.version.value = "v0"
    assert "marked wrong" in again.place.value
    press(again, "sample", "measure")
    assert (tmp_path / "replies" / "gptvqa_ledger.jsonl").read_bytes() == rows
    # other queries of the same version
    press(again, "more", "next", "next")
    assert again.session.number == 2 and "3 of 8" in again.place.value


def test_what_a_person_typed_is_never_lost(tmp_path: Path) -> None:
    made = studio(tmp_path)
    form = form_of(made)
    session = form.session
    # letters that are sent one by one would come after the click that uses them
    assert not form.why.continuous_update and not form.rules.continuous_update and form.why.disabled
    press(form, "sample")
    assert not form.why.disabled
    form.why.value = "first reason"
    press(form, "sample", "save", "discard")  # the same QA is shown
    assert form.why.value == "first reason"
    press(form, "next")
    assert form.why.value == ""
    form.why.value = "second reason"
    press(form, "previous")
    assert form.why.value == "first reason"
    press(form, "wrong")
    assert form.why.value == "second reason"
    press(form, "right", "previous", "previous")
    assert form.why.value == "first reason" and "marked wrong" in form.place.value
    press(form, "unmark", "next")
    assert form.why.value == "second reason" and "marked right" in form.place.value
    press(form, "previous")
    assert form.why.value == "first reason" and "marked" not in form.place.value
    press(form, "wrong")
    # a proposal that nobody changed may be replaced; accepted and tried is what was saved
    press(form, "propose", "propose")
    assert form.rules.value == session.draft_text != session.version.rules
    for name, what in (("measure", "tried"), ("accept", "accepted")):
        press(form, name)
        assert "the rules shown are not those of v0; save them as a version first" in form.status.value
        assert f"before it is {what}" in form.status.value
    assert made.folder.accepted is None and session.held_out() == {}
    # rules that a person edited stay through every act, also those that cannot be used
    made.folder.add(["Ask."], "v0", "person")
    edited = "1. Ask about what is seen.\n2. Skip."
    for text, error in (
        (edited, "the rules were edited; save them as a version first"),
        (" \n", "write 1 to 30"),
    ):
        form.rules.value = text
        press(form, "next", "right", "sample", "previous")
        press(form, "propose")
        assert error in form.status.value and form.rules.value == text
        form.version.value = "v1"
        assert error in form.status.value and form.rules.value == text and form.version.value == "v0"
        press(form, "accept")
        assert "save them as a version first" in form.status.value or error in form.status.value
        assert form.rules.value == text and made.folder.accepted is None
    press(form, "save")
    assert "write 1 to 30" in form.status.value and list(made.folder.versions) == ["v0", "v1"]
    press(form, "discard")
    assert session.is_saved and listed_rules(form.rules.value) == session.version.rules
    form.rules.value = edited
    press(form, "save", "accept")
    assert made.folder.accepted is not None and made.folder.accepted.name == "v2"
    assert made.folder.accepted.rules == ["Ask about what is seen.", "Skip."]
    press(form, "discard")
    assert "nothing is to be discarded" in form.status.value
    # figures of other settings are not compared with those of these
    press(form, "measure")
    assert list(session.held_out()) == ["v0", "v2"] and "95 % interval" in form.status.value
    assert form_of(studio(tmp_path, max_output_tokens=599)).session.held_out() == {}


def test_hostile_texts_of_data_and_models_are_escaped(tmp_path: Path) -> None:
    rows: list[Query] = read_json(DEMO / "gptvqa_prompt.json", list[Query])
    for row in rows:
        row.question_type = EVIL
    made = studio(tmp_path / "out", input=write_json(tmp_path / "q.json", rows))
    version = made.folder.add([EVIL, *made.folder.first.rules[:1]], "v0", "teacher", EVIL)
    form = form_of(made)
    form.version.value = version.name
    press(form, "sample", "next", "measure", "accept")
    for part in (form.texts, form.place, form.table, form.status, form.diff, form.image):
        assert "<script" not in part.value and "onerror=" not in part.value.replace("onerror=&", "")
    assert "&lt;script&gt;" in form.texts.value
    form.rules.value = " \n"
    assert "write 1 to 30 rules" in form.status.value


def test_the_notebook_is_as_thin_as_those_of_the_steps() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    for cell in code:
        assert not cell.outputs and cell.execution_count is None
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, BANNED)]
    assert cells[0].source.startswith("# ") and "a script, this shows the mechanics alone" in cells[0].source
    assert cells[-2].source == "## Conclusion" and "conclusion(" in cells[-1].source
    assert all(heading.source.startswith("## ") and heading.source[-1] == "." for heading in cells[3:-2:2])
    values: dict[str, object] = {}
    exec(cells[1].source, values)
    given = {name: values[name] for name in OptimizePromptConfig.model_fields}
    assert OptimizePromptConfig.read(given, "the parameters cell")
    shown = inspect_notebook(str(NOTEBOOK))
    assert set(shown) == set(OptimizePromptConfig.model_fields)
    assert all(one["help"] and one["inferred_type_name"] not in ("", "None") for one in shown.values())


def test_plain_papermill_runs_the_notebook_on_its_defaults(tmp_path: Path) -> None:
    shutil.copytree(PROJECT_ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data_demo").symlink_to(DEMO)
    done, folder = tmp_path / "done.ipynb", tmp_path / "notebooks"
    execute_notebook(str(folder / NOTEBOOK.name), str(done), cwd=str(folder), progress_bar=False)
    cells = [cell for cell in nbformat.read(done, as_version=4).cells if cell.cell_type == "code"]
    text = json.dumps([cell.outputs for cell in cells[-1:]])
    assert "held-out queries, v0 to" in text and "accepted.j2" in text
    form = next(cell for cell in cells if cell.source.startswith("form = "))
    kinds = {kind for output in form.outputs for kind in output.data}
    assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= kinds
    written = tmp_path / "reports" / "explore" / "prompt_studio"
    assert (written / "accepted.j2").is_file() and len(read_json(written / "search.json")) == 6
