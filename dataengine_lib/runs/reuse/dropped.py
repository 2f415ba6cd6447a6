"""Checkpoints that are removed once their run is done (step 5), so that a study of many runs fits on a disk.

Their manifest keeps the hash. A step that was made from one stays unchanged; one that has to read it has it made anew.
"""

import os
import shutil
from pathlib import Path

from dataengine_lib.core.files import write_json
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.runs.manifest import is_dropped, read_manifest
from dataengine_lib.runs.workflow import Planned

_REMOVED = ".dropped.tmp"  # ends the name of a folder that is being removed
_LOGS = ("train_log.json", "train_time.json")


def dropped_outputs(planned: list[Planned], out: Path) -> dict[Path, str]:
    """The hashes of outputs of the run in `out` that were removed on purpose."""
    found: dict[Path, str] = {}
    for item in planned:
        if manifest := read_manifest(item.manifest):
            found |= {
                out / output.path: output.sha256
                for output in manifest.outputs
                if is_dropped(manifest, output, out)
            }
    return found


def drop_checkpoints(planned: list[Planned], out: Path, *, keep_last: bool) -> list[Planned]:
    """Remove the checkpoints of a finished run in `out`, with `keep_last` all but the last round's.

    Their logs stay, beside the place where the checkpoint was, since a study's report counts steps and QAs from them.
    Returns the steps that have lost one now.
    """
    trained = [item for item in planned if item.step.name == "fine_tune"]
    changed = []
    for item in trained[:-1] if keep_last else trained:
        folder: Path = item.config.output_dir  # type: ignore[attr-defined]
        _remove(folder.with_name(folder.name + _REMOVED))  # a kill has left it
        manifest = read_manifest(item.manifest)
        if manifest is None or not folder.is_dir():
            continue
        _keep_logs(folder)
        # first, so that a run that is killed here does not train once more
        manifest.dropped = [os.path.relpath(folder, out)]
        write_json(item.manifest, manifest)
        # renamed, so that no half of a checkpoint is ever found in its place
        removed = folder.rename(folder.with_name(folder.name + _REMOVED))
        _remove(removed)
        changed.append(item)
    return changed


def _keep_logs(folder: Path) -> None:
    for name in _LOGS:
        if (folder / name).is_file():
            with replacing(folder.with_name(name)) as stream:
                stream.write((folder / name).read_bytes())


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
