"""A cache of its own for every test session, and a page in the Chromium (or Chrome) of this machine.

Tests that need the browser skip where there is none.
"""

import functools
import gc
import os
import pickle
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataengine_lib.report.pages.notebook import without_iri_grammar

# The files that take longest, longest first: they begin first, so that no worker is left alone with one at the end,
# as with those of `training`, the last folder.
LONG_FILES = (
    "test_demo.py",
    "studies/test_study.py",
    "test_end_to_end.py",
    "training/launch/test_processes.py",
    "demo_assets/test_lessons.py",
    "teachers/test_local_llm.py",
    "chat/test_interrupts.py",
    "training/external/test_train_by_command.py",
    "evaluation/test_resumable.py",
    "test_wheel.py",
    "test_notebooks.py",
    "teachers/test_batches.py",
    "runs/test_run_process.py",
    "embeddings/test_update_store.py",
    "test_jupyterlab.py",
    "training/trainer/test_resume.py",
    "training/encoding/test_lazy_images.py",
    "steps/test_fine_tune.py",
)

# Ctrl-C is ignored in what a script starts in the background, and processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

with without_iri_grammar():  # many tests import it
    import nbformat  # noqa: F401

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """The user's own cache stays as it is; notebooks and commands started by tests inherit this."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def each_yaml_once():
    """A text of YAML is parsed once: thousands of tests read the built-in prices."""
    from dataengine_lib.core.user_files import yaml_file

    parsed = functools.cache(lambda text, parse=yaml_file.parse_yaml: pickle.dumps(parse(text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_file, "parse_yaml", lambda text: pickle.loads(parsed(text)))
        yield


@pytest.fixture(scope="module")
def ray_here():
    """One Ray cluster for a file's tests; what asks for workers joins a cluster that is already connected."""
    from dataengine_lib.core.machine.ray_cluster import ray_cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_cluster(2, "engine", "engine to local"):
            yield


@pytest.fixture
def forked_kernels():
    """A test's kernels are forked from a process that has imported the library; see `whole_runs`."""
    from whole_runs.forked_kernels import fork_kernels

    with pytest.MonkeyPatch.context() as patch:
        fork_kernels(patch)
        yield


@pytest.fixture
def closed_url():
    """An address that refuses connections: its port is bound, so that no other server gets it, but not listened at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


@pytest.fixture
def page():
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine's PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the long files to the front; all workers see the same order."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG_FILES)}
    assert all(map(Path.is_file, places)), "LONG_FILES names a file that is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end; collections of garbage then pass over it."""
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are not part of a test's name: packed ones hold the time, so workers would see different tests."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch has, as a machine's cores do; set back after the test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
