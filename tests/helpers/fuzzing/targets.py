"""All input formats, and the trial of one of them."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzzing.mutations import mutate
from fuzzing.other_files import OTHER_FILES
from fuzzing.pool_targets import POOL_TARGETS
from fuzzing.question_targets import QUESTION_TARGETS
from fuzzing.reply_targets import REPLY_TARGETS
from fuzzing.settings_targets import SETTINGS_TARGETS
from fuzzing.target import Target
from fuzzing.verdict import fault_of, usual_warnings

TARGETS: list[Target] = [*QUESTION_TARGETS, *POOL_TARGETS, *REPLY_TARGETS, *SETTINGS_TARGETS]


_MOST = 0.9  # of the rows, where one value concerns several of them


class Finding(NamedTuple):
    """A changed file that was not read as it should be."""

    target: str
    seed: int
    mutation: str
    fault: str


def findings(target: Target, seeds: Iterable[int], folder: Path) -> Iterator[Finding]:
    """Every fault in reading the target's file with the mutations of `seeds`; `folder` is empty."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    target.make(folder)
    target.fresh(folder)
    valid = target.read(folder)
    usual = usual_warnings(valid)
    file = folder / target.file
    content = file.read_bytes()
    for seed in seeds:
        changed = mutate(content, target.form, seed, OTHER_FILES)
        target.fresh(folder)
        file.write_bytes(changed.content)
        kept = (
            changed.kept if target.loss == "rows" else _MOST * (target.loss == "whole" and changed.kept == 1)
        )
        expected = valid.rows * kept
        name = target.names or file.name
        fault = fault_of(lambda: target.read(folder), name, expected, usual, target.may_be_empty)
        if fault:
            yield Finding(target.name, seed, changed.name, fault)


def all_findings(target: Target, seeds: Iterable[int]) -> list[Finding]:
    """`findings` in a temporary folder, in memory where the machine has one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="fuzz") as name:
        return list(findings(target, seeds, Path(name)))
