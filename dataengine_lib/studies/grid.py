"""Which steps the runs of a study share, known before any has run."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dataengine_lib.runs.parameter_paths import relative_to_here
from dataengine_lib.runs.workflow import Planned


def step_keys(planned: Iterable[Planned], out: Path) -> dict[str, str]:
    """A key for each step of a run in the folder `out`, by label: steps of two runs with the same key are made once.

    As a manifest's identity, but an input that an earlier step makes counts by that step's key, as its content is not
    known yet. Steps whose inputs happen to be equal all the same are shared too when it comes to it.
    """
    out = relative_to_here(out)

    def name(path: Path) -> str:
        # a file of the run that no step makes, such as a review, is another one in each run but most often missing
        return made.get(path) or str(path.relative_to(out) if path.is_relative_to(out) else path)

    keys: dict[str, str] = {}
    made: dict[Path, str] = {}  # the key of the step that makes a file or folder
    for item in planned:
        inputs = {parameter: [name(path) for path in paths] for parameter, paths in item.inputs().items()}
        content = msgspec.json.encode([item.step.name, item.settings(), inputs], order="deterministic")
        keys[item.label] = hashlib.sha256(content).hexdigest()
        for path in item.outputs():
            made[path] = f"{keys[item.label]}/{path.relative_to(item.folder)}"
    return keys
