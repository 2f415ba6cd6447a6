"""A loop of two small notebooks a round, so that the workflow is tested without models."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from whole_runs.forked_kernels import fork_kernels

from dataengine_lib.cli import main
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.report.pages.notebook import without_iri_grammar
from dataengine_lib.runs import run, workflow
from dataengine_lib.runs.parameters import Experiment, read_experiment
from dataengine_lib.runs.run import run_experiment
from dataengine_lib.runs.state import RunState
from dataengine_lib.runs.workflow import Step

with without_iri_grammar():  # for processes of their own
    import nbformat

WRITE = """
import os, time
from pathlib import Path

def write():
    while hold and Path(hold).exists():
        time.sleep(0.05)
    Path(output).write_text(f"{Path(source).read_text()} {text} {seed}")

write()
"""
SHOUT = """
import os, resource
from pathlib import Path
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.tables import conclusion

def shout():
    if wrong == "exit":
        os._exit(3)
    if wrong == "killed":
        os.kill(os.getpid(), 9)
    if wrong == "files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        kept = [open(os.devnull) for _ in range(64)]
    if wrong:
        raise (DataEngineError if wrong == "ours" else ValueError)("in.json: row 3: no image\\nsecond line")
    Path(output).write_text(Path(input).read_text().upper())

shout()
conclusion("Shouted.", warnings=warn.split(";") if warn else [])
"""


class WriteConfig(StepConfig):
    source: Path
    output: Path
    text: str = "words"
    hold: str = ""  # waits until this file is removed
    seed: int = 0


class ShoutConfig(StepConfig):
    input: Path
    output: Path
    wrong: str = ""
    warn: str = ""  # warnings of the step, with ; between them


STEPS = (
    Step(
        0,
        "write",
        WriteConfig,
        when=("round",),
        writes={"output": "{here}/written.txt"},
        defaults={"seed": "{round seed}"},
    ),
    Step(
        1,
        "shout",
        ShoutConfig,
        when=("round",),
        reads={"input": "{here}/written.txt"},
        writes={"output": "{here}/shouted.txt"},
    ),
)


def make_notebooks(folder: Path) -> None:
    """Write `0_write.ipynb` and `1_shout.ipynb`."""
    folder.mkdir(parents=True)
    for name, config, code in (("0_write", WriteConfig, WRITE), ("1_shout", ShoutConfig, SHOUT)):
        parameters = "\n".join(f"{field} = ''" for field in config.model_fields)
        cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        book = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(code)])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, folder / f"{name}.ipynb")


def make_loop(folder: Path, **sections: Any) -> Path:
    """Notebooks, an input and a YAML in `folder`; returns the YAML."""
    make_notebooks(folder / "notebooks")
    (folder / "source.txt").write_text("some")
    return write_yaml(folder, **sections)


def write_yaml(folder: Path, **sections: Any) -> Path:
    content = {"run": "fake", "rounds": 1, "seed": 5, "write": {"source": str(folder / "source.txt")}}
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section if isinstance(section, dict) else section
    file = folder / "fake.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def read_fake(file: Path, *sets: str) -> Experiment:
    return read_experiment(file, [step.name for step in STEPS], list(sets))


@pytest.fixture(autouse=True)
def own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """`workflow.STEPS`, which `run_fake` replaces, is set back after each test; imported by conftest.py."""
    monkeypatch.setattr(workflow, "STEPS", workflow.STEPS)


def run_fake(file: Path, *sets: str, **how: Any) -> RunState:
    """Run the loop of `file` in `runs/fake` beside it, with forked kernels."""
    with pytest.MonkeyPatch.context() as patch:
        fork_kernels(patch)
        return _run(file, *sets, **how)


def _run(file: Path, *sets: str, **how: Any) -> RunState:
    workflow.STEPS = STEPS
    how.setdefault("print_line", lambda line: None)
    return run_experiment(
        read_fake(file, *sets), file.parent / "runs" / "fake", notebooks=file.parent / "notebooks", **how
    )


if __name__ == "__main__":  # run in a process of its own, which a test kills
    if len(sys.argv) == 1:
        _run(Path(os.environ["FAKE_YAML"]))
    else:  # `dataengine run FILE …`, in the loop of FILE
        workflow.STEPS = STEPS
        run.notebooks_folder = lambda: Path(sys.argv[2]).parent / "notebooks"
        main()
