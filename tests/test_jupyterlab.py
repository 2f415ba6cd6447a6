"""The notebooks in JupyterLab, in a real browser: opened, run on their defaults, read."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from project import PROJECT_ROOT

pytestmark = pytest.mark.browser
TOKEN = "only-for-this-test"


@pytest.fixture
def lab(tmp_path):
    """JupyterLab as `make lab` starts it, in a copy of the project, so that nothing is saved there; its address."""
    root = tmp_path / "project"
    for folder in ("notebooks", "data_demo"):
        shutil.copytree(PROJECT_ROOT / folder, root / folder)
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


def test_evaluate_runs_on_its_defaults_and_shows_chart_gallery_and_conclusion(lab, page):
    page.goto(f"{lab}/lab/tree/notebooks/1_evaluate.ipynb?token={TOKEN}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # cells run before that are lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).first.click()
    last = page.locator(".jp-CodeCell").last
    last.get_by_text("The student answers 58.3 %").wait_for(timeout=240_000)
    assert page.locator('figure.chart[role=img][aria-label*="accuracy" i]').count() == 1
    pictures = page.locator(".jp-OutputArea-output img[alt]")
    assert pictures.count() > 0
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
