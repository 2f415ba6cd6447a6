"""The notebooks in JupyterLab, in a real browser: opened, run on their defaults, read."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from project import PROJECT_ROOT

pytestmark = pytest.mark.browser
TOKEN = "only-for-this-test"


# A notebook with a display of ours and one of anything else, which JupyterLab typesets.
MATHEMATICS = r"$5 to $10, \\frac{\\frac{1}{2}}{3} $\\frac{\\frac{1}{2}}{3}$"
DISPLAYS = f"""
from IPython.display import HTML, display
from dataengine_lib.report.tables import table, conclusion
display(table([["{MATHEMATICS}"]], ["type"]), conclusion("{MATHEMATICS}"), HTML("<p>other {MATHEMATICS}</p>"))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, in a copy of the project, so that nothing is saved there; its address."""
    tmp_path = tmp_path_factory.mktemp("lab")
    root = tmp_path / "project"
    for folder in ("notebooks", "data_demo"):
        shutil.copytree(PROJECT_ROOT / folder, root / folder)
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    displays = new_notebook(cells=[new_code_cell(DISPLAYS)], metadata={"kernelspec": kernel})
    nbformat.write(displays, root / "notebooks" / "displays.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    home = {name: str(tmp_path / name.lower()) for name in settings}
    options = ["--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}", "--allow-root"]
    options += ["--ServerApp.root_dir=.", "--LabApp.default_url=/lab/tree/notebooks"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=root, stdout=log, stderr=log, env={**os.environ, **home},
        )  # fmt: skip
    try:
        yield _ready(f"http://127.0.0.1:{port}", server, tmp_path / "lab.log")
    finally:
        server.terminate()
        server.wait(30)


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
    page.goto(f"{lab}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb?token={TOKEN}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # cells run before that are lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).first.click()


def test_data_is_not_typeset_as_mathematics(lab, page):
    run_all(lab, page, "displays")
    page.locator(".jp-OutputArea-output", has_text="other").locator("mjx-container").first.wait_for()
    ours = page.locator(".jp-OutputArea-output .mathjax_ignore")
    assert ours.count() == 2 and ours.locator("mjx-container").count() == 0
    assert r"$5 to $10, \frac{\frac{1}{2}}{3}" in ours.first.inner_text()


def test_evaluate_runs_on_its_defaults_and_shows_chart_gallery_and_conclusion(lab, page):
    run_all(lab, page, "1_evaluate")
    last = page.locator(".jp-CodeCell").last
    last.get_by_text("The student answers 58.3 %").wait_for(timeout=240_000)
    assert page.locator('figure.chart[role=img][aria-label*="accuracy" i]').count() == 1
    pictures = page.locator(".jp-OutputArea-output img[alt]")
    assert pictures.count() > 0
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
