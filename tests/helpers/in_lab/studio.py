"""The prompt studio in JupyterLab: a notebook with its form, a teacher whose texts are hostile, and what a person does."""

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from reviewing.review_records import EVIL

from dataengine_lib.playground.teacher import structured_reply

REASON = "a, r and u are letters here"  # keys of the form, which mean nothing in a field
RULE = "Ask about one thing alone."
# the last display is the form; the data and the folder of the versions are of the copy of the project
_CELL = """
import os
from dataengine_lib.report.tables import show_style
from dataengine_lib.steps.optimize_prompt import OptimizePromptConfig
from dataengine_lib.steps.prompt_studio import PromptStudio
from dataengine_lib.widgets.prompt_studio import PromptStudioForm

os.environ["OPENAI_API_KEY"] = "key-of-a-test"
show_style()
PromptStudioForm(PromptStudio(OptimizePromptConfig.read({given!r}, "test")))
"""


def hostile_reply(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
    """As the playground's teacher, with a hostile text in each question, list of rules and reason."""
    reply = json.loads(structured_reply(messages, schema))
    if "rules" in reply:
        return json.dumps({"rules": [*reply["rules"], EVIL], "why": EVIL})
    return json.dumps(reply | {"question": f"{EVIL} {reply['question']}"})


def write_studio_notebook(root: Path, base_url: str) -> Path:
    """`notebooks/studio.ipynb` of a copy of the project, whose teacher is a server; returns the folder of the versions."""
    folder = root / "reports" / "studio"
    given = {
        "input": str(root / "data_demo" / "gptvqa_prompt.json"),
        "output": str(folder),
        "coco_dataset": str(root / "data_demo"),
        "teacher": "openai:playground",
        "base_url": base_url,
        "without_rules": [3, 4, 6],
        "sample": 8,
        "holdout": 14,
    }
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = [new_code_cell(_CELL.format(given=given))]
    nbformat.write(
        new_notebook(cells=cells, metadata={"kernelspec": kernel}), root / "notebooks" / "studio.ipynb"
    )
    return folder


def revise_a_prompt(page: Any, folder: Path) -> None:
    """Ask, mark by mouse and keys, propose, edit, save, try and accept; the files are there as soon as it is shown."""
    form = page.locator(".dataengine-keys")
    why, rules = form.get_by_label("why", exact=True), form.get_by_label("rules", exact=True)

    def press(name: str, text: str) -> None:
        form.get_by_role("button", name=name, exact=True).click()
        form.get_by_text(text).first.wait_for()

    form.get_by_text("No QAs of this version yet.").wait_for(timeout=240_000)
    assert why.is_disabled()
    press("Ask for QAs", "QAs pass the checks. Mark what is wrong, and why.")
    form.locator("b", has_text="1 of 8").wait_for()
    picture = form.locator("img[alt]")
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth > 0)")
    # a mark needs a reason, which is typed and sent when the field is left
    press("Wrong (R)", "write why it is wrong")
    why.click()
    why.press_sequentially(REASON)
    why.press("Escape")
    page.wait_for_function("document.activeElement.classList.contains('dataengine-keys')")
    page.keyboard.press("r")
    form.locator("b", has_text="2 of 8").wait_for()
    assert EVIL in form.locator("pre").inner_text()
    marks = json.loads((folder / "versions/v0/marks.json").read_text())
    assert list(marks.values()) == [{"wrong": True, "why": REASON}]
    # a reason that is in no mark yet is there when its QA is shown once more
    assert why.input_value() == ""
    why.press_sequentially("half a reason")
    form.get_by_role("button", name="→").click()
    form.locator("b", has_text="3 of 8").wait_for()
    assert why.input_value() == ""
    form.get_by_role("button", name="←").click()
    form.locator("b", has_text="2 of 8").wait_for()
    assert why.input_value() == "half a reason"
    why.press("Escape")
    page.keyboard.press("a")
    form.locator("b", has_text="3 of 8").wait_for()
    marks = json.loads((folder / "versions/v0/marks.json").read_text())
    assert [mark["wrong"] for mark in marks.values()] == [True, False]
    # the proposal is a diff, is edited, and no button takes the edit away
    press("Propose rules", f"The teacher's reason: {EVIL}")
    form.locator("ins", has_text=EVIL).wait_for()
    rules.press("Control+End")
    rules.press_sequentially(f"\n30. {RULE}")
    press("Propose rules", "the rules were edited; save them as a version first")
    press("Accept version", "the rules shown are not those of v0; save them as a version first")
    assert RULE in rules.input_value() and not (folder / "accepted.json").exists()
    press("Save as a version", "Written:")
    version = json.loads((folder / "versions/v1/version.json").read_text())
    assert (version["by"], version["parent"], version["rules"][-2:]) == ("person", "v0", [EVIL, RULE])
    form.get_by_label("version", exact=True).select_option("v0")
    form.get_by_text("3 of 8").or_(form.get_by_text("1 of 8")).first.wait_for()
    form.get_by_label("version", exact=True).select_option("v1")
    form.get_by_text("No QAs of this version yet.").wait_for()
    press("Try on held-out queries", "held-out queries (")
    press("Accept version", "v1 is accepted. Step 2 reads it with construct_queries.template:")
    assert json.loads((folder / "accepted.json").read_text())["version"] == "v1"
    template = (folder / "accepted.j2").read_text()
    assert EVIL in template and RULE in template
    assert form.locator("table.figures tbody tr").count() == 2
