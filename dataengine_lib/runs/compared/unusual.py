"""Parameters by which a run differs from most others in a folder of runs (all steps), by their manifests."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.index_pages.runs_table import UnusualParameter
from dataengine_lib.runs.compared.differences import RUN, manifests_by_step, seen_from

Parameters = Mapping[str, Any]


def unusual_parameters(folders: Sequence[Path]) -> dict[Path, list[UnusualParameter]]:
    """Of each run, the parameters that most runs set to something else; the first of `folders` decides between equals.

    Runs that have not carried out a step do not count for it. Parameters that name the run's own files are left out: they
    follow from the others.
    """
    parameters = {folder: _parameters(folder) for folder in folders}
    usual: dict[str, str] = {}
    names = dict.fromkeys(name for one in parameters.values() for name in one)
    for name in names:
        # most_common keeps the order of the first ones among equals
        values = Counter(one[name] for one in parameters.values() if name in one)
        usual[name] = values.most_common(1)[0][0]
    return {
        folder: [
            UnusualParameter(name, value, usual[name]) for name, value in one.items() if value != usual[name]
        ]
        for folder, one in parameters.items()
    }


def _parameters(folder: Path) -> dict[str, str]:
    """Values as text by `step.parameter`, in the order of the steps; none where the folder cannot be read."""
    try:
        steps = manifests_by_step(folder)
    except DataEngineError:  # the index page names the runs that are damaged
        return {}
    found = {}
    for step, manifest in sorted(steps.items(), key=lambda row: row[1].step):
        for name, value in seen_from(folder, manifest.parameters).items():
            if not any(text == RUN or text.startswith(f"{RUN}/") for text in _texts(value)):
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                found[f"{step}.{name}"] = shown
    return found


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
