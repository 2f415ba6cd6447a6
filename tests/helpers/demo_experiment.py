"""The experiment of `params/demo.yaml`, with changes by `--set`."""

from project import PROJECT_ROOT

from dataengine_lib.runs.parameters import Experiment, read_experiment
from dataengine_lib.runs.workflow import STEPS


def demo_experiment(*sets: str, rounds: int | None = None) -> Experiment:
    """Read it; `sets` are `STEP.KEY=VALUE` texts."""
    names = [step.name for step in STEPS]
    return read_experiment(PROJECT_ROOT / "params" / "demo.yaml", names, list(sets), rounds)
