"""Kernels forked from a process of the run: children of the run as Jupyter's own, each with its own state."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from dataengine_lib.runs.execute_notebook import NotebookFailed, execute
from dataengine_lib.runs.kernels.forked_kernels import KernelForks
from dataengine_lib.runs.lock import is_kernel_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")

SHOWS = """import json, os, random, sys
print(json.dumps({"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "folder": os.getcwd(),
                  "imported": "torch" in sys.modules, "drawn": random.random(), "bar": os.environ["DATAENGINE_BAR"],
                  "server": os.environ.get("SET_LATER"), "path": sys.path, "given": number}))"""

DIES = """import os, pathlib, signal
from dataengine_lib.core.machine.forks import Fork
pathlib.Path("copy").write_text(str(Fork(int)._process.pid))
os.kill(os.getpid(), signal.SIGKILL)"""


@pytest.fixture(scope="module")
def kernels() -> Iterator[KernelForks]:
    forks = KernelForks()
    forks.start()
    until = time.monotonic() + 240
    while not forks._ready():
        assert time.monotonic() < until, "the process does not say that it is ready"
        time.sleep(0.05)
    yield forks
    forks.close()


def notebook(folder: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook()
    parameters = nbformat.v4.new_code_cell("number = 1", metadata={"tags": ["parameters"]})
    made.cells = [parameters, *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(made, folder / "source.ipynb")
    return folder / "source.ipynb"


def shown(executed: Path) -> dict[str, Any]:
    cells = nbformat.read(executed, as_version=4).cells
    texts = [out.text for cell in cells if cell.cell_type == "code" for out in cell.outputs if "text" in out]
    found: dict[str, Any] = json.loads(texts[0])
    return found


def test_it_is_a_kernel_as_jupyter_starts_one(
    kernels: KernelForks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET_LATER", "after the process began")
    with pytest.raises(NotebookFailed, match="its kernel died"):
        source = notebook(tmp_path, DIES)
        execute(source, tmp_path / "dead.ipynb", {}, "print", tmp_path, None, kernels)
    copy = int((tmp_path / "copy").read_text())
    source, found = notebook(tmp_path, SHOWS), []
    for number in (3, 4):
        out = tmp_path / f"{number}.ipynb"
        done = execute(source, out, {"number": number}, "print", tmp_path, tmp_path / "bar", kernels)
        assert done.warnings == []
        found.append(shown(out))
    for number, kernel in zip((3, 4), found, strict=True):
        assert kernel["imported"] and kernel["given"] == number
        assert kernel["parent"] == os.getpid() and kernel["group"] == kernel["pid"]
        assert (kernel["folder"], kernel["bar"]) == (str(tmp_path), str(tmp_path / "bar"))
        assert kernel["server"] == "after the process began"
        assert not psutil.pid_exists(kernel["pid"])
    assert found[0]["drawn"] != found[1]["drawn"]
    # killed with the kernel that it was a copy of, and no zombie since the next kernel
    assert not psutil.pid_exists(copy)
    execute(source, tmp_path / "own.ipynb", {"number": 5}, "print", tmp_path, tmp_path / "bar")
    own = shown(tmp_path / "own.ipynb")
    assert not own["imported"] and own["path"] == found[0]["path"]


def test_without_the_process_jupyter_starts_the_kernel(tmp_path: Path, kernels: KernelForks) -> None:
    command = ["python", "-m", "ipykernel_launcher", "-f", str(tmp_path / "none.json")]
    with (tmp_path / "printed").open("w+b") as printed:
        assert KernelForks().kernel(command, None, os.environ, printed.fileno()) is None
        kernel = kernels.kernel(command, str(tmp_path), os.environ, printed.fileno())
        assert kernel is not None
        assert is_kernel_of(os.getpid(), psutil.Process(kernel.pid))
        kernel.kill()
        assert kernel.wait() == -9 == kernel.poll()
        # the process that it was forked from is not there any more
        assert kernels._server is not None
        kernels._server.kill()
        kernels._server.wait()
        assert kernels.kernel(command, None, os.environ, printed.fileno()) is None
