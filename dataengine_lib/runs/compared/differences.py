"""Which parameters and input files differ between runs (verb `compare`), by their manifests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.runs.manifest import Manifest, read_manifest
from dataengine_lib.runs.opened.round_folders import opened_rounds

RUN = "RUN"
"""What stands for the run's folder in a path that is shown."""

_HASH = 8  # characters of a hash that are shown


class RunDifference(msgspec.Struct, frozen=True):
    """One parameter or input of a step, `construct_queries.topk`, and what each run has, in the order of the runs.

    None where a run has not carried out the step.
    """

    name: str
    values: list[Any]


def manifests_by_step(folder: Path) -> dict[str, Manifest]:
    """The manifest of each step (`evaluate`), of the first round where it has run: later rounds begin elsewhere."""
    places = [folder, *(one.folder for one in opened_rounds(folder) if one.folder is not None)]
    found: dict[str, Manifest] = {}
    for place in places:
        for file in sorted(place.glob("*.manifest.json")):
            if manifest := read_manifest(file):
                found.setdefault(manifest.step.partition("_")[2], manifest)
    return found


def parameter_differences(
    folders: Sequence[Path], steps: Sequence[Mapping[str, Manifest]]
) -> list[RunDifference]:
    """Parameters that are not the same in all runs that carried out their step; paths are seen from the run's folder."""

    def values(number: int, step: str) -> dict[str, Any] | None:
        manifest = steps[number].get(step)
        return None if manifest is None else seen_from(folders[number], manifest.parameters)

    return _differing(len(folders), steps, values)


def data_differences(steps: Sequence[Mapping[str, Manifest]]) -> list[RunDifference]:
    """Inputs whose contents are not the same in all runs: the first characters of their SHA-256."""

    def values(number: int, step: str) -> dict[str, Any] | None:
        manifest = steps[number].get(step)
        if manifest is None:
            return None
        return {
            name: ", ".join(digest.sha256[:_HASH] for digest in digests)
            for name, digests in manifest.inputs.items()
        }

    return _differing(len(steps), steps, values)


def _differing(number: int, steps: Sequence[Mapping[str, Manifest]], values: Any) -> list[RunDifference]:
    found = []
    for step in dict.fromkeys(step for one in steps for step in one):
        by_run = [values(run, step) for run in range(number)]
        there = [one for one in by_run if one is not None]
        for key in dict.fromkeys(key for one in there for key in one):
            given = [one.get(key) for one in there]
            if any(value != given[0] for value in given):
                found.append(
                    RunDifference(f"{step}.{key}", [None if one is None else one.get(key) for one in by_run])
                )
    return found


def seen_from(folder: Path, value: Any) -> Any:
    """The value with RUN for the run's folder in its paths, so that two runs' own files do not count as a difference.

    A manifest has paths as they were where the run was started: `reports/demo/round1`, or from the root.
    """
    parts = folder.resolve().parts
    # /home/ann/reports/demo, home/ann/reports/demo, ann/reports/demo, reports/demo, demo
    names = [str(folder), *(str(Path(*parts[start:])) for start in range(len(parts)))]
    return _with_run(names, value)


def _with_run(names: Sequence[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_run(names, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_run(names, inner) for inner in value]
    if isinstance(value, str):
        for name in names:
            if value == name or value.startswith(f"{name}/"):
                return f"{RUN}{value[len(name) :]}"
    return value
