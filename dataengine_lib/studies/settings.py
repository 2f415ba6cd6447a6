"""The keys of a study's YAML beside those of its base experiment."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.text import shown

Checkpoints = Literal["none", "last", "all"]
# No dot, so that no arm's folder has the name of a file beside it or of .shared.
_ARM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_RANGE = re.compile(r"(\d{1,6})\.\.(\d{1,6})")  # matches "0..7"
_MOST_SEEDS = 1000


def _all_seeds(value: Any) -> Any:
    """8 and "0..7" and [0..3, 6] as a list; anything else is left to the type's own check."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= _MOST_SEEDS:
            raise ValueError(f"give 1 to {_MOST_SEEDS} seeds")
        return list(range(value))
    seeds: list[Any] = []
    for item in value if isinstance(value, list) else [value]:
        found = _RANGE.fullmatch(item) if isinstance(item, str) else None
        if found is None:
            seeds.append(item)
            continue
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < _MOST_SEEDS:
            raise ValueError(f"{item} is no range of 1 to {_MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    return seeds


class StudySettings(StepConfig):
    """A study's arms and seeds, and how its runs are carried out."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The folder's name below reports."""
    base: Path | None = None
    """YAML of the base experiment; its steps' keys may be given in the study's file as well, which then count."""
    arms: dict[str, Any] = Field(min_length=1)
    """Name -> what the arm changes in the base experiment: {step: {key: value}} or {step.key: value}."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_all_seeds)] = Field(min_length=1)
    """The seeds of each arm's runs: a list, a range 0..7, or how many."""
    parallel: int | Literal["ray"] = 1
    """Runs at the same time on this machine; ray: one for each GPU (or CPU) of a Ray cluster with a shared file system."""
    threads: int = Field(1, ge=1)
    """Threads of each run, at most. With another number, students of 50 million parameters or more may give other bytes."""
    keep_checkpoints: Checkpoints = "none"
    """Which students stay once their run's last evaluation is done: none, the last round's, or all."""
    report: dict[str, Any] = Field(default_factory=dict)
    """Parameters of notebook 7_study: split, reference, weak_types, max_bad_share."""

    @field_validator("arms")
    @classmethod
    def _names(cls, arms: dict[str, Any]) -> dict[str, Any]:
        for name in arms:
            if not _ARM.fullmatch(name):
                raise ValueError(
                    f"{shown(name)} is no name of an arm; use letters, digits, - and _, as it names a folder"
                )
        folded = [name.lower() for name in arms]
        for name in arms:
            # some file systems do not tell Uniform from uniform
            if folded.count(name.lower()) > 1:
                raise ValueError(
                    f"two arms are called {shown(name)} but for upper and lower case; rename one"
                )
        return arms

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: list[int]) -> list[int]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"seed {seed} is there twice; give each once")
        return seeds

    @field_validator("parallel")
    @classmethod
    def _some(cls, parallel: int | str) -> int | str:
        if isinstance(parallel, int) and parallel < 1:
            raise ValueError("must be 1 or more, or ray")
        return parallel
