"""What a step would be made from now (all steps), and whether a whole run is done and unchanged."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dataengine_lib.runs.manifest import (
    Digest,
    FileHashes,
    Manifest,
    code_hash,
    identity,
    is_up_to_date,
    notebook_hash,
    read_manifest,
    versions,
)
from dataengine_lib.runs.reuse.dropped import dropped_outputs
from dataengine_lib.runs.workflow import Planned


def current_manifest(
    item: Planned, notebook: Path, hashes: FileHashes, dropped: Mapping[Path, str]
) -> Manifest:
    """What the step would be made from now; `dropped` are the hashes of inputs that were removed on purpose."""
    inputs = {
        name: [Digest(str(path), dropped.get(path) or hashes.of(path)) for path in paths]
        for name, paths in item.inputs().items()
    }
    parameters = item.config.model_dump(mode="json")
    cells = notebook_hash(notebook)
    # with `teacher: playground`, the code of the playground makes data as well
    code = code_hash(*(["playground"] if "playground" in parameters.values() else []))
    return Manifest(
        step=item.step.notebook,
        identity=identity(item.step.name, cells, code, item.settings(), inputs),
        started=now(),
        seed=parameters.get("seed"),
        parameters=parameters,
        inputs=inputs,
        notebook_sha256=cells,
        code_sha256=code,
        versions=versions(),
    )


def is_run_done(planned: list[Planned], out: Path, notebooks: Path, hashes: FileHashes) -> bool:
    """Whether a run of the `planned` steps in the folder `out` would skip all of them as unchanged."""
    dropped = dropped_outputs(planned, out)
    for item in planned:
        before = read_manifest(item.manifest)
        if before is None:
            return False
        current = current_manifest(item, notebooks / f"{item.step.notebook}.ipynb", hashes, dropped)
        if not is_up_to_date(before, current.identity, out, hashes):
            return False
    return True


def now() -> str:
    """The time as it stands in manifests and `run.json`, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
