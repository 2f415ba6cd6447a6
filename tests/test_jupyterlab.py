"""The notebooks and widgets in JupyterLab, in a real browser: opened, run, read, and used with mouse and keys."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from in_lab.studio import hostile_reply, revise_a_prompt, write_studio_notebook
from made_run import write_run
from nbformat.v4 import new_code_cell, new_notebook
from project import PROJECT_ROOT
from reviewing.review_records import EVIL, record, reject

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.playground.server import serve
from dataengine_lib.playground.teacher import reply

pytestmark = pytest.mark.browser
TOKEN = "only-for-this-test"
# what has the focus: its label, or its text, or what it is
FOCUSED = """() => {
  const one = document.activeElement, label = one.labels && one.labels[0];
  return (label && label.innerText) || (one.matches('button') && one.innerText) || one.tagName;
}"""
# the chosen entry of a list, in which ipywidgets keeps spaces from breaking
CHOSEN = "one => one.selectedOptions[0].innerText.replaceAll('\\u00a0', ' ')"

# A notebook with a display of ours and one of anything else, which JupyterLab typesets.
MATHEMATICS = r"$5 to $10, \\frac{\\frac{1}{2}}{3} $\\frac{\\frac{1}{2}}{3}$"
DISPLAYS = f"""
from IPython.display import HTML, display
from dataengine_lib.report.tables import table, conclusion, show_style
show_style()
display(table([["a", 1], ["b", 20], ["c", 3]], ["name", "number"]))
display(table([["{MATHEMATICS}"]], ["type"]), conclusion("{MATHEMATICS}"), HTML("<p>other {MATHEMATICS}</p>"))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, in a copy of the project, so that nothing is saved there, with a finished run."""
    tmp_path = tmp_path_factory.mktemp("lab")
    root = tmp_path / "project"
    for folder in ("notebooks", "data_demo", "params", ".jupyter"):
        shutil.copytree(PROJECT_ROOT / folder, root / folder)
    (root / "reports").mkdir()
    shutil.copy(PROJECT_ROOT / "reports" / "README.md", root / "reports")
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    displays = new_notebook(cells=[new_code_cell(DISPLAYS)], metadata={"kernelspec": kernel})
    nbformat.write(displays, root / "notebooks" / "displays.ipynb")
    write_review(write_run(root / "reports" / "made") / "round1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    home = {name: str(tmp_path / name.lower()) for name in settings}
    home["JUPYTER_CONFIG_PATH"] = str(root / ".jupyter")
    options = ["--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}", "--allow-root"]
    options += ["--ServerApp.root_dir=.", "--LabApp.default_url=/lab/tree/notebooks/start.md"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=root, stdout=log, stderr=log, env={**os.environ, **home},
        )  # fmt: skip
    try:
        yield Lab(_ready(f"http://127.0.0.1:{port}", server, tmp_path / "lab.log"), root)
    finally:
        server.terminate()
        server.wait(30)


class Lab(NamedTuple):
    """Where JupyterLab answers, and the folder that it shows."""

    address: str
    root: Path


def write_review(folder):
    """Files of step 4: q-0 on which readers disagree, q-1 to q-3, and the dropped q-4; every text and name is hostile."""
    texts = {
        "question": EVIL,
        "choices": [f"{EVIL}{n}" for n in range(4)],
        "rationales": [EVIL],
        "question_type": EVIL,
        "image_path": "1.png",
    }
    kept = [record(n, **texts) for n in (1, 2, 3)]
    kept.append(record(0, **texts, second_answers={EVIL: 0, "b": 1}))
    write_json(folder / "gptvqa_train_data.json", kept)
    dropped = [reject("q-4", EVIL, detail=EVIL, raw_instructions=EVIL, image_path=EVIL)]
    write_jsonl(folder / "rejects.jsonl", dropped)


def _ready(address, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5)
            return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not answer in two minutes: {log.read_text()}")


def run_all(lab, page, name):
    # without the workspace that an earlier test has left, in which its notebook is open
    page.goto(f"{lab.address}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb?token={TOKEN}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # cells run before that are lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).first.click()


def test_the_first_page_leads_to_runs_and_experiments(lab, page):
    """It is shown as a page, and the file browser follows to the folder of what a link opens."""
    page.goto(f"{lab.address}/lab/workspaces/start/tree/notebooks/start.md?token={TOKEN}")
    for link, folder, file in (
        ("demo", "params", "demo.yaml"),
        ("what lies there", "reports", "README.md"),
    ):
        page.locator(".lm-TabBar-tab", has_text="start.md").click()
        page.locator(".jp-RenderedMarkdown:visible").get_by_role("link", name=link, exact=True).click()
        page.locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current", has_text=file).wait_for()
        page.locator(".jp-BreadCrumbs", has_text=folder).wait_for()
    assert page.locator(".jp-Dialog").count() == 0


def test_data_is_not_typeset_as_mathematics_and_tables_are_sorted(lab, page):
    run_all(lab, page, "displays")
    page.locator(".jp-OutputArea-output", has_text="other").locator("mjx-container").first.wait_for()
    ours = page.locator(".jp-OutputArea-output .mathjax_ignore")
    assert ours.count() == 3 and ours.locator("mjx-container").count() == 0
    assert r"$5 to $10, \frac{\frac{1}{2}}{3}" in ours.nth(1).inner_text()
    # the script that the style sheet comes with makes the tables displayed after it sortable
    ours.first.get_by_role("button", name="number").click()
    assert ours.first.locator("td:first-child").all_inner_texts() == ["b", "c", "a"]


def test_evaluate_runs_on_its_defaults_and_shows_chart_gallery_and_conclusion(lab, page):
    run_all(lab, page, "1_evaluate")
    last = page.locator(".jp-CodeCell").last
    last.get_by_text("The student answers 58.3 %").wait_for(timeout=240_000)
    assert page.locator('figure.chart[role=img][aria-label*="accuracy" i]').count() == 1
    # the style sheet, which the notebook's second cell displays, applies far below it and follows JupyterLab's theme
    edge = "one => getComputedStyle(one).borderLeftWidth"
    assert last.locator(".conclusion").evaluate(edge) == "4px"
    scheme = "one => getComputedStyle(one).colorScheme"
    assert page.locator(".dataengine").last.evaluate(scheme) == "light"
    assert page.locator(".card .right").first.evaluate("one => getComputedStyle(one).fontWeight") == "600"
    pictures = page.locator(".jp-OutputArea-output img[alt]")
    assert pictures.count() > 0
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")


def test_a_run_is_explored_with_the_forms_of_the_notebook(lab, page):
    """Clicks, keys, the files they write, and hostile texts that stay texts, in one session over the newest run."""
    check = watch(lab, page)
    run_all(lab, page, "explore")
    page.get_by_text("made has 2 evaluations, 6 bad cases and 4 kept QAs").wait_for(
        state="attached", timeout=240_000
    )
    run, cells = lab.root / "reports" / "made", page.locator(".jp-Cell").count()
    browse_bad_cases(page, run / "example_decisions.json")
    choose_weights(page, run / "weight_by_hand.json")
    review_with_mouse_and_keys(page, run / "round1" / "review.json")
    find_neighbours(page)
    # A, pressed in a list, would add a cell, if JupyterLab heard it, and D twice delete one
    assert page.locator(".jp-Cell").count() == cells
    check()


def test_a_prompt_is_revised_in_the_studio(lab, page):
    """Typed reasons and rules, keys, a proposal, a version and its files; the teacher's texts are hostile."""
    check = watch(lab, page)
    with serve(reply, structured=hostile_reply) as server:
        folder = write_studio_notebook(lab.root, server.base_url)
        run_all(lab, page, "studio")
        revise_a_prompt(page, folder)
    assert page.locator(".jp-Cell").count() == 1
    check()


def watch(lab, page):
    """What checks at the end that no text of data or models ran, was typeset, or loaded anything."""
    faults, requests = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": 1280, "height": 1000})

    def check():
        assert page.evaluate("window.ran === undefined") and faults == []
        assert page.locator(".dataengine-form").locator("script, img[src=x], mjx-container").count() == 0
        inside = (lab.address, lab.address.replace("http", "ws"), "data:", "blob:")
        assert [url for url in requests if not url.startswith(inside) or url.endswith("/x")] == []

    return check


def browse_bad_cases(page, file):
    """The most confident case first, filters, keys, the large picture, and decisions."""
    form = page.locator(".dataengine-form").nth(0)
    question, listing = form.locator(".de-question"), form.locator(".widget-select select")
    question.get_by_text("Which thing is 2?").wait_for()
    # Tab goes through the fields as they are read; buttons that would do nothing are passed over
    form.get_by_label("round", exact=True).focus()
    names = []
    for _ in range(8):
        names.append(page.evaluate(FOCUSED))
        page.keyboard.press("Tab")
    assert names == ["round", "type", "outcome", "chosen", "decision", "order", "search", "SELECT"]
    assert page.evaluate(FOCUSED) == "Use as example"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    question.get_by_text("Which thing is 1?").wait_for()
    for key in "add":
        page.keyboard.press(key)
    form.get_by_label("outcome", exact=True).select_option("fixed")
    question.get_by_text("Which thing is 0?").wait_for()
    assert listing.locator("option").count() == 1
    form.locator(".de-path").get_by_text("Round 2, answer: fixed").wait_for()
    picture = form.locator(".de-large summary img").first
    small = picture.bounding_box()["width"]
    picture.click()
    form.locator(".de-large[open]").wait_for()
    assert picture.bounding_box()["width"] > 2 * small
    form.get_by_role("button", name="Use as example").click()
    form.get_by_text("q0 is used as an example").wait_for()
    assert json.loads(file.read_text()) == {"q0": "use"}
    form.get_by_label("outcome", exact=True).select_option("all")
    form.get_by_label("search", exact=True).fill("script")
    question.get_by_text("<script>window.ran=1</script>").wait_for()
    form.get_by_role("button", name="Never use").click()
    form.get_by_text("q3 is never used as an example").wait_for()
    assert json.loads(file.read_text()) == {"q0": "use", "q3": "never"}


def choose_weights(page, file):
    """A preset, which stays chosen until a slider is moved, and the written file."""
    form = page.locator(".dataengine-form").nth(1)
    preset = form.get_by_label("weights", exact=True)
    assert preset.evaluate(CHOSEN) == "as step 1 wrote"
    preset.select_option("uniform")
    form.get_by_text("1.000", exact=True).nth(1).wait_for()
    form.get_by_role("button", name="Write weights").click()
    form.get_by_text("construct_queries.weight:").wait_for()
    assert json.loads(file.read_text()) == {"image_scene": 1.0, "ocr": 1.0}
    assert preset.evaluate(CHOSEN) == "uniform"
    form.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"one => ({CHOSEN})(one) === 'by hand'", arg=preset.element_handle())
    file.unlink()
    form.get_by_role("button", name="Write weights").click()
    for _ in range(100):
        if file.exists():
            break
        page.wait_for_timeout(100)
    moved, other = sorted(json.loads(file.read_text()).values())
    assert other == 1.0 and 0.9 < moved < 1.0


def find_neighbours(page):
    """Of a bad case, then of a sentence; captions and names of boxes are texts."""
    form = page.locator(".dataengine-form").nth(3)
    form.get_by_role("button", name="Find neighbours").click()
    form.get_by_text("4 neighbours, the most similar first").wait_for(timeout=240_000)
    cards = form.locator(".de-grid figure")
    assert cards.count() == 4 and cards.locator("svg rect").count() == 4
    assert "<script>window.ran=1</script>" in cards.first.inner_text()
    assert any("<img src=x" in name for name in cards.locator("svg text").all_text_contents())
    form.get_by_role("button", name="bad case", exact=True).focus()
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate(FOCUSED))
    assert names == ["pool image", "uploaded image", "sentence"]
    page.keyboard.press("Space")
    form.get_by_label("sentence", exact=True).fill("a red picture")
    form.get_by_role("button", name="Find neighbours").click()
    form.locator("img").wait_for(state="detached")  # the picture of the bad case
    form.get_by_text("4 neighbours, the most similar first").wait_for(timeout=240_000)


def review_with_mouse_and_keys(page, file):
    """Each decision is in the file as soon as it is shown; what data and models wrote is shown as text."""
    form = page.locator(".dataengine-keys")
    place, status = form.locator("b", has_text="shown"), form.locator(".widget-html", has_text="ecided")

    def wait(text):
        status.filter(has_text=text).last.wait_for()

    def key(name, text):
        page.keyboard.press(name)
        wait(text)

    place.filter(has_text="1 of 5").wait_for()
    # Tab goes through fields and buttons as they are read; Escape leaves a field for the form, whose keys then work
    form.get_by_label("type", exact=True).focus()
    names = [page.evaluate(FOCUSED)]
    for _ in range(14):
        page.keyboard.press("Tab")
        names.append(page.evaluate(FOCUSED))
    assert names == [
        *("type", "show", "undecided", "marked by a check", "blind-solvable", "readers disagree", "record"),
        *("←", "→", "Accept (A)", "Reject (R)", "Edit (E)", "Undo (U)", "Clear decision", "note"),
    ]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.classList.contains('dataengine-keys')")
    picture = form.locator("img[alt]")
    assert picture.evaluate("one => one.complete && one.naturalWidth == 100 && one.clientWidth > 300")
    picture.click()
    page.wait_for_function("document.activeElement.classList.contains('dataengine-keys')")
    key("a", "Written: accept of q-0.")
    key("r", "Written: reject of q-1.")
    assert json.loads(file.read_text()) == {"q-0": {"decision": "accept"}, "q-1": {"decision": "reject"}}
    key("ArrowLeft", "Decided: reject.")
    key("ArrowRight", "Not decided yet.")
    key("u", "Undone: the decision about q-1.")
    assert list(json.loads(file.read_text())) == ["q-0"]
    key("e", "Not decided yet.")
    question = form.get_by_label("question")
    question.wait_for()
    page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
    question.fill("are you a, r, e or u?")  # keys of the form, which mean nothing in a field
    question.press("End")
    question.press_sequentially(" a")
    question.press("Control+Enter")
    wait("Written: edit of q-1.")
    form.get_by_label("note").fill("blurred")
    form.get_by_role("button", name="Reject (R)").click()
    wait("Written: reject of q-2.")
    assert json.loads(file.read_text()) == {
        "q-0": {"decision": "accept"},
        "q-1": {"decision": "edit", "question": "are you a, r, e or u? a"},
        "q-2": {"decision": "reject", "note": "blurred"},
    }
    form.get_by_label("readers disagree").check()
    place.filter(has_text="1 of 1").wait_for()
    form.get_by_label("readers disagree").uncheck()
    form.get_by_label("show").select_option(index=2)  # dropped
    form.get_by_text("✗ dropped:").wait_for()
    form.get_by_text("image not found").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.classList.contains('dataengine-keys')")
    key("a", "Written: accept of q-4.")
    assert "4 decided: 2 accept, 1 reject, 1 edit, 1 undecided" in form.inner_text()
    assert form.locator("pre").inner_text() == EVIL
