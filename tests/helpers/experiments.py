"""Experiments as a user starts them: `dataengine` in a process of its own, and `params/demo.yaml` with changes."""

import subprocess
import sys
from pathlib import Path

from project import PROJECT_ROOT

from dataengine_lib.runs.parameters import Experiment, read_experiment
from dataengine_lib.runs.workflow import STEPS


def call(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`dataengine` in a process of its own."""
    code = "from dataengine_lib.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def demo_experiment(*sets: str, rounds: int | None = None) -> Experiment:
    """The experiment of `params/demo.yaml`; `sets` are `STEP.KEY=VALUE` texts, as `--set` takes them."""
    names = [step.name for step in STEPS]
    return read_experiment(PROJECT_ROOT / "params" / "demo.yaml", names, list(sets), rounds)
