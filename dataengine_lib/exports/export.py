"""After step 4: the training records in the shapes that trainers read, each checked after it is written."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import msgspec

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.chats import write_llamafactory, write_llava, write_swift, write_trl
from dataengine_lib.exports.check import check_export
from dataengine_lib.exports.data_card import CARD, write_card
from dataengine_lib.exports.minigpt4 import write_minigpt4
from dataengine_lib.exports.records import Exportable, Job, Opened, Paths, explained, exportable
from dataengine_lib.questions.dataengine_v2 import v2_record
from dataengine_lib.replies.other_datasets import others_format
from dataengine_lib.training.texts import TextFormat


@dataclass(frozen=True)
class Format:
    """How a format is written: as one file with this suffix, or as a folder where it has none.

    `paths` is how it names images unless asked otherwise, None where it holds the images themselves. `texts`: it
    holds the training texts, so that QM-AE leaves out records without a rationale.
    """

    write: Callable[[Job], list[Path]]
    suffix: str
    paths: Paths | None
    texts: bool = True


@dataclass(frozen=True)
class Exported:
    """What became of one format of `export_all`: its path, rows and files, the data first, or why there are none."""

    format: str
    path: Path
    rows: int
    files: list[Path]
    problem: str = ""


def _write_aokvqa(job: Job) -> list[Path]:
    rows = (msgspec.structs.replace(one, image_path=job.image(one)) for one in job.questions)
    return [write_json(job.output, list(rows))]


def _write_v2(job: Job) -> list[Path]:
    for question in job.questions:
        if len(question.choices) != 4:
            raise DataEngineError(
                f"{job.output}: question {question.question_id} has {len(question.choices)} choices, "
                "and v2 records have four; drop the record"
            )
    return [write_json(job.output, [v2_record(question, job.image(question)) for question in job.questions])]


def _write_hf(job: Job) -> list[Path]:
    from dataengine_lib.exports.hugging_face import write_hf

    return write_hf(job)


FORMATS = {
    "aokvqa": Format(_write_aokvqa, ".json", "bare", texts=False),
    "llava": Format(write_llava, ".json", "bare"),
    "minigpt4": Format(write_minigpt4, "", "absolute"),
    "llamafactory": Format(write_llamafactory, ".json", "absolute"),
    "swift": Format(write_swift, ".jsonl", "absolute"),
    "trl": Format(write_trl, ".jsonl", "absolute"),
    "dataengine-v2": Format(_write_v2, ".json", "bare", texts=False),
    "hf": Format(_write_hf, "", None, texts=False),
}


def read_train_records(file: Path) -> list[TrainRecord]:
    """The rows of a `gptvqa_train_data.json`. Raises DataEngineError when it is another file or cannot be read."""
    if kind := others_format(file):
        raise DataEngineError(
            f"{file}: holds {kind} rows, no training data; run post-process on it and export what that writes"
        )
    records: list[TrainRecord] = read_json(file, list[TrainRecord])
    return records


def export(
    format: str,
    records: Sequence[TrainRecord],
    image_root: Path,
    output: Path,
    *,
    name: str = "dataengine",
    text_format: TextFormat = "QM-A",
    paths: Paths | None = None,
    counts: Path | None = None,
    source: Path | None = None,
) -> list[Path]:
    """Write the records as `format` (a key of FORMATS) with a data card, and return the files, the data first.

    `output` is a file, for minigpt4 and hf a folder. `image_root` is the folder that the records' image paths start
    from; `paths` is how the export names images (see Job), by default as FORMATS says. `name` is the data set's name
    in a trainer's list, `counts` the post_process.json of the records, for the card, `source` their file, for messages.
    The card is the last file; it is left out where a README.md lies that is not ours.
    Raises ParameterError for an unknown name, DataEngineError for a record that cannot be exported or a file that
    does not pass the check.
    """
    if format not in FORMATS:
        raise ParameterError(f"export: unknown format {format!r}; choose one of {', '.join(FORMATS)} or all")
    if paths and FORMATS[format].paths is None:
        raise ParameterError(f"export: {format} holds the images themselves; leave paths out")
    output, image_root = Path(output), Path(image_root)
    _check_names(name, text_format, paths)
    if FORMATS[format].suffix and output.is_dir():
        raise ParameterError(
            f"{output}: is a folder; give a file, such as {output / name}{FORMATS[format].suffix}"
        )
    opened = Opened()
    rows = exportable(records, image_root, opened, source)
    job = Job(rows, image_root, output, output, name, text_format, paths or "bare")
    return _export(format, job, paths, counts, opened).files


def export_all(
    records: Sequence[TrainRecord],
    image_root: Path,
    folder: Path,
    *,
    name: str = "dataengine",
    text_format: TextFormat = "QM-A",
    paths: Paths | None = None,
    counts: Path | None = None,
    source: Path | None = None,
) -> Iterator[Exported]:
    """Write every format into a folder of its own below `folder`, one at a time; one that fails says why.

    Raises as `export` does for wrong names and for records that no format can hold, before anything is written.
    """
    folder, image_root = Path(folder), Path(image_root)
    _check_names(name, text_format, paths)
    opened = Opened()
    rows = exportable(records, image_root, opened, source)
    return _each(
        Job(rows, image_root, folder, folder, name, text_format, paths or "bare"), paths, counts, opened
    )


def _each(job: Job, paths: Paths | None, counts: Path | None, opened: Opened) -> Iterator[Exported]:
    for format, kind in FORMATS.items():
        place = job.output / format
        output = place / f"{job.name}{kind.suffix}" if kind.suffix else place
        try:
            yield _export(format, replace(job, output=output), paths, counts, opened)
        except DataEngineError as error:
            yield Exported(format, output, 0, [], str(error))


def _check_names(name: str, text_format: str, paths: str | None) -> None:
    for what, given, known in (
        ("text format", text_format, get_args(TextFormat)),
        ("paths", paths, (None, *get_args(Paths))),
    ):
        if given not in known:
            choices = ", ".join(filter(None, known))
            raise ParameterError(f"export: unknown {what} {given!r}; choose one of {choices}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", name):
        raise ParameterError(f"export: name {name!r} must be letters, digits and _, not a digit first")


def _export(format: str, job: Job, paths: Paths | None, counts: Path | None, opened: Opened) -> Exported:
    kind = FORMATS[format]
    rows: list[Exportable] = job.rows
    if kind.texts and job.text_format == "QM-AE":
        rows = explained(rows)
    if not rows:
        why = (
            "no record has a rationale, which QM-AE needs"
            if job.rows
            else "the training data holds no record"
        )
        raise DataEngineError(f"{job.output}: nothing to export; {why}")
    job = replace(
        job,
        rows=rows,
        folder=job.output.parent if kind.suffix else job.output,
        paths=(kind.paths and paths) or kind.paths or "bare",
    )
    files = kind.write(job)
    card = write_card(format, files[0], job, counts)
    check_export(format, files, job, opened)
    return Exported(format, job.output, len(rows), [*files, *card])


def export_lines(format: str, input: Path, output: Path, image_root: Path, **options: Any) -> Iterator[str]:
    """Write training data as `format` or `all`, with the options of `export`; what is written, as it is written.

    The counts for the data card are those of the post_process.json beside the input.
    Raises DataEngineError as `export` does, for `all` when it is through and a format could not be written.
    """
    if output.resolve() == input.resolve():
        raise ParameterError(f"{output}: is the training data itself; give the export another name")
    records = read_train_records(input)
    options |= {"counts": input.parent / "post_process.json", "source": input}
    if format != "all":
        files = export(format, records, image_root, output, **options)
        yield from map(str, files)
        yield from _no_card(format, output, files)
        return
    failed = []
    for done in export_all(records, image_root, output, **options):
        if done.problem:
            failed.append(done.format)
            yield f"{done.format}: not written: {done.problem}"
        else:
            yield f"{done.format}: {done.rows} records, {done.path}"
            yield from _no_card(done.format, done.path, done.files)
    if failed:
        raise DataEngineError(f"{output}: without {', '.join(failed)}; the lines above say why")


def _no_card(format: str, output: Path, files: list[Path]) -> list[str]:
    card = (output.parent if FORMATS[format].suffix else output) / CARD
    return [] if card in files else [f"  {card} is not ours and stays; no data card was written"]
