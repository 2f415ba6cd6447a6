"""Checks before a run: what asks a student, where another trainer returns its answers in place of a model."""

from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.runs.workflow import Planned
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.training.external.checkpoint import ANSWERS


def check_can_be_asked(file: Path, item: Planned, planned: Sequence[Planned]) -> None:
    """Raise ParameterError for a step that would ask a student that an earlier step 5 leaves no model of.

    `file` is the YAML that the message names. To the step such a student is one whose predictions are in a file, so its own
    rules for those find what cannot be done: probes, another rank rule, a difficulty check.
    """
    trained = [one.config for one in planned if isinstance(one.config, FineTuneConfig)]
    folders = {str(one.output_dir) for one in trained if one.returns_answers}
    if isinstance(item.config, FineTuneConfig) or str(getattr(item.config, "student", "")) not in folders:
        return
    values = item.config.model_dump() | {"student": f"recorded:{ANSWERS}"}
    item.config.read(
        values,
        f"{file}: {item.step.name}: fine_tune's trainer returns the answers of its own evaluation ({ANSWERS}) in place "
        "of a model, which nothing more can be asked",
    )
