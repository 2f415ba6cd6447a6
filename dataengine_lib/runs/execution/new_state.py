"""The state of a run that begins (all steps): what is known of it before its first step."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.runs.manifest import versions
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.planning.placeholders import trains_on_new_data
from dataengine_lib.runs.reuse.current import now
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.workflow import NO_NEW_DATA, Planned

_PLAYGROUND_NOTE = (
    "the teacher is the playground's script, not a model: figures show that the loop works, no more"
)


def new_state(experiment: Experiment, planned: list[Planned], out: Path) -> RunState:
    """Of an experiment in the folder `out`: all steps are waiting, and notes say what its figures do not show."""
    teachers = {getattr(item.config, "teacher", "") for item in planned}
    notes = [_PLAYGROUND_NOTE] if "playground" in teachers else []
    if not trains_on_new_data(experiment):
        notes.append(NO_NEW_DATA)
    command = experiment.command
    if command and out != Path("reports") / experiment.head.run:
        command += f" --out {shlex.quote(str(out))}"
    return RunState(
        run=experiment.head.run,
        command=command,
        student=_first_setting(planned, "student"),
        teacher=_first_setting(planned, "teacher"),
        started=now(),
        rounds=experiment.head.rounds,
        seed=experiment.head.seed,
        notes=notes,
        steps=waiting_steps(planned),
        versions=versions(),
    )


def _first_setting(planned: Sequence[Planned], name: str) -> str:
    """The setting `name` of the first step that has it; empty where none has."""
    return next((str(value) for item in planned if (value := getattr(item.config, name, None))), "")


def waiting_steps(planned: Sequence[Planned]) -> list[StepState]:
    """The planned steps, none of which has begun."""
    return [StepState(step=item.step.notebook, round=item.round, label=item.label) for item in planned]
