"""`study.json`: which arms and seeds a study has, and which of its runs are there."""

from typing import Any, Literal

import msgspec


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
    rounds: int
    runs: list[ArmRun]
