"""Step 5, `trainer: command`: the drawn rows are exported, the command is run on them, its checkpoint taken over."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json, sha256, write_json
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import ParameterError
from dataengine_lib.training.external.checkpoint import find_checkpoint
from dataengine_lib.training.external.command import filled_command, filled_config
from dataengine_lib.training.external.drawn_rows import TrainerData
from dataengine_lib.training.logged_process import check_not_held, run_logged

_STATE, _OUTPUT, _LOCK, LOG = "trainer.json", "output", "trainer.lock", "trainer.log"


@dataclass(frozen=True)
class TrainerCommand:
    """The arguments of a command, the template of its trainer's config, and the folder in which it starts.

    `values` are those of the placeholders that do not come from the data, `settings` more of them for the template.
    """

    arguments: list[str]
    config: Path | None
    folder: Path | None
    values: Mapping[str, str]
    settings: Mapping[str, object]


class _State(msgspec.Struct):
    """`trainer.json`: by what data and command the folder was made, and whether the command has ended well."""

    fingerprint: str
    trained: bool = False


def run_trainer(
    command: TrainerCommand,
    work: Path,
    write_data: Callable[[Path], TrainerData],
    show: Callable[[str], None],
) -> Path:
    """Export the data, run the command, and return the folder of the model or adapter that it wrote.

    `show` gets the log line by line; all of it is in `trainer.log`. Everything lies in the folder `work`, which stays
    when something fails: the next run with the same data and command takes a training that was finished
    as it is, and lets a trainer that resumes find its `checkpoint-N`.
    Raises DataEngineError when the command fails or leaves no model.
    """
    if work.exists() and not (work / _STATE).is_file():
        raise ParameterError(f"{work}: is not a folder of this step; move it, or choose another output_dir")
    check_not_held(work / _LOCK)
    earlier = read_json(work / _STATE, _State) if work.exists() else _State("")
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / _STATE, earlier)
    shutil.rmtree(work / "data", ignore_errors=True)
    (work / "data").mkdir()
    data = write_data(work / "data")
    arguments, files = _filled(command, work, data)
    fingerprint = _fingerprint(arguments, files)
    output = work / _OUTPUT
    if earlier == _State(fingerprint, trained=True) and output.is_dir():
        show(f"{work}: this command has been run on this data; its checkpoint is checked once more")
        return find_checkpoint(output)
    if earlier.fingerprint != fingerprint or not any(output.glob("**/checkpoint-*")):
        shutil.rmtree(output, ignore_errors=True)
    output.mkdir(exist_ok=True)
    write_json(work / _STATE, _State(fingerprint))
    run_logged(arguments, (command.folder or Path()).absolute(), work / LOG, show, work / _LOCK)
    found = find_checkpoint(output)
    write_json(work / _STATE, _State(fingerprint, trained=True))
    return found


def _filled(command: TrainerCommand, work: Path, data: TrainerData) -> tuple[list[str], list[Path]]:
    """The command's arguments, and the files that decide what it does."""
    values = {
        **command.values,
        "data": str(data.file),
        "data_folder": str(data.file.parent),
        "data_name": data.name,
        "output": str(work / _OUTPUT),
        "python": sys.executable,
    }
    files = [data.file]
    if data.image_list:
        values["image_list"] = str(data.image_list)
        files.append(data.image_list)
    if command.config:
        config = work / f"config{command.config.suffix}"
        with replacing(config, "w") as stream:
            stream.write(filled_config(command.config, {**command.settings, **values}))
        values["config"] = str(config)
        files.append(config)
    return filled_command(command.arguments, values), files


def _fingerprint(arguments: list[str], files: list[Path]) -> str:
    parts = [*arguments, *map(sha256, files)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
