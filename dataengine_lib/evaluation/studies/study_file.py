"""`study.json`: which arms and seeds a study has, and which of its runs are there."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError


class Arm(msgspec.Struct, frozen=True):
    """One way of running the experiment: what it changes in the base experiment, as {step: {key: value}}."""

    name: str
    changes: dict[str, dict[str, Any]] = {}


class ArmRun(msgspec.Struct):
    """One arm with one seed; `folder` is relative to study.json, `seconds` is the time it took so far."""

    arm: str
    seed: int
    folder: str
    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    error: str = ""
    seconds: float = 0.0


class StudyFile(msgspec.Struct):
    """`study.json`: each of `runs` is one experiment's folder, with round1/ to roundN/ and final/ inside."""

    study: str
    arms: list[Arm]
    seeds: list[int]
    rounds: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    runs: list[ArmRun]


def read_study_file(file: Path) -> StudyFile:
    """Read `study.json`. Raises DataEngineError when it cannot be read or names an arm, a seed or a run twice."""
    found: StudyFile = read_json(file, StudyFile)
    named: dict[str, list[Any]] = {
        "arm": [arm.name for arm in found.arms],
        "seed": found.seeds,
        "run": [(run.arm, run.seed) for run in found.runs],
    }
    for what, names in named.items():
        for place, name in enumerate(names):
            if name in names[:place]:
                raise DataEngineError(f"{file}: {what} {shown(name)} is there twice; remove one")
    return found
