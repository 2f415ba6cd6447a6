"""After step 4: training records written in the formats that trainers read, each checked after it is written."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import msgspec

from dataengine_lib.core.bad_rows import BadRows, usable_rows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import OPEN, YES_NO, Question, TrainRecord
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.chats import write_llamafactory, write_llava, write_swift, write_trl
from dataengine_lib.exports.check import check_export
from dataengine_lib.exports.copies import with_copies
from dataengine_lib.exports.data_card import CARD, write_card
from dataengine_lib.exports.minigpt4.data_set import write_minigpt4
from dataengine_lib.exports.minigpt4.loader import loader_fault
from dataengine_lib.exports.records import (
    ExportJob,
    ExportOptions,
    ExportRow,
    ImageFaults,
    Paths,
    export_rows,
    rows_with_rationale,
)
from dataengine_lib.questions.dataengine_v2 import v2_record
from dataengine_lib.replies.other_datasets import others_format
from dataengine_lib.training.texts import TextFormat

_DEFAULTS = ExportOptions()
WANTED = "gptvqa_train_data.json of post-process"  # what export reads, for its errors


@dataclass(frozen=True)
class Format:
    """How a format is written: as one file with this suffix, or as a folder when the suffix is empty.

    `paths` is how its trainer expects images to be named, None where the export contains the images. `text_formats` are
    those in which it can hold training texts, none where it holds none; QM-AE leaves out records without a rationale.
    With `chats` it can hold copies of a record. `fault` says why its trainer cannot read a question in a text format.
    """

    write: Callable[[ExportJob], list[Path]]
    suffix: str
    paths: Paths | None
    text_formats: tuple[str, ...] = ()
    chats: bool = False
    fault: Callable[[Question, str], str] | None = None


@dataclass(frozen=True)
class Exported:
    """The result of one format: its path, number of rows and files, data first; `problem` says why there are none."""

    format: str
    path: Path
    rows: int
    files: list[Path]
    problem: str = ""


def _write_aokvqa(job: ExportJob) -> list[Path]:
    rows = (msgspec.structs.replace(one, image_path=job.image_path(one)) for one in job.questions)
    return [write_json(job.output, list(rows))]


def _open_fault(question: Question, text_format: str) -> str:
    return "open-ended questions, which have no choices" if question.answer_kind == OPEN else ""


def _write_v2(job: ExportJob) -> list[Path]:
    for question in job.questions:
        if len(question.choices) != 4 and question.answer_kind != YES_NO:
            raise DataEngineError(
                f"{job.source or job.output}: record {question.question_id} has {len(question.choices)} choices, "
                "and v2 records have four; drop the record"
            )
    return [
        write_json(job.output, [v2_record(question, job.image_path(question)) for question in job.questions])
    ]


def _write_hf(job: ExportJob) -> list[Path]:
    from dataengine_lib.exports.hugging_face import write_hf  # imports pyarrow, which only this format needs

    return write_hf(job)


_ALL = get_args(TextFormat)
_V1 = ("Q-A", "QM-A", "QM-AE", "mmbench")  # those that AOKVQADataset of MLLM-DataEngine v1 can write
# by the name that `dataengine export` takes
FORMATS = {
    "aokvqa": Format(_write_aokvqa, ".json", "bare", fault=_open_fault),
    "llava": Format(write_llava, ".json", "bare", _ALL, chats=True),
    "minigpt4": Format(write_minigpt4, "", "absolute", _V1, fault=loader_fault),
    "llamafactory": Format(write_llamafactory, ".json", "absolute", _ALL, chats=True),
    "swift": Format(write_swift, ".jsonl", "absolute", _ALL, chats=True),
    "trl": Format(write_trl, ".jsonl", "absolute", _ALL, chats=True),
    "dataengine-v2": Format(_write_v2, ".json", "bare", fault=_open_fault),
    "hf": Format(_write_hf, "", None),
}


def read_train_records(file: Path, bad: BadRows) -> list[TrainRecord]:
    """The rows of a `gptvqa_train_data.json`; those that are no records are added to `bad`.

    Raises DataEngineError when it cannot be read or is another kind of file, or too many rows cannot be used.
    """
    if kind := others_format(file):
        raise DataEngineError(
            f"{file}: holds {kind} rows, not training data; run post-process on it and export its output"
        )
    records = [record for _, record in usable_rows(json_rows(file), TrainRecord, bad)]
    bad.check()
    return records


def export(
    format: str,
    records: Sequence[TrainRecord],
    image_root: Path,
    output: Path,
    options: ExportOptions = _DEFAULTS,
) -> list[Path]:
    """Write the records as `format` (a key of FORMATS) with a data card, and return the files, the data first.

    `output` is a file, for minigpt4 and hf a folder; `image_root` is the folder that the records' image paths start
    from. The card is the last file; it is left out when a README.md that this library did not write is in its place.
    Raises ParameterError for an unknown format or options that do not fit it, DataEngineError for a record that cannot
    be exported or a file that fails the check.
    """
    if format not in FORMATS:
        raise ParameterError(
            f"export: unknown format {shown(format)}; choose one of {', '.join(FORMATS)} or all"
        )
    if options.paths and FORMATS[format].paths is None:
        raise ParameterError(f"export: {format} contains the images; leave paths out")
    if (options.shuffle_options or options.copies > 1) and not FORMATS[format].chats:
        raise ParameterError(
            f"export: {format} holds records, not chats; leave shuffle_options and copies out"
        )
    output, suffix = Path(output), FORMATS[format].suffix
    if suffix and output.is_dir():
        raise ParameterError(f"{output}: is a folder; give a file, such as {output / options.name}{suffix}")
    faults = ImageFaults()
    rows = export_rows(records, Path(image_root), faults, options.source, options.left_out)
    return _write_format(format, rows, Path(image_root), output, options, faults).files


def export_all(
    records: Sequence[TrainRecord],
    image_root: Path,
    folder: Path,
    options: ExportOptions = _DEFAULTS,
) -> Iterator[Exported]:
    """Write every format into a folder of its own below `folder`, one at a time; a format that fails says why.

    Raises DataEngineError for records that no format can hold, before anything is written.
    """
    # shared by all formats, so that each image is checked once
    faults = ImageFaults()
    rows = export_rows(records, Path(image_root), faults, options.source, options.left_out)
    return (
        _try_format(format, rows, Path(image_root), Path(folder) / format, options, faults)
        for format in FORMATS
    )


def _try_format(
    format: str,
    rows: list[ExportRow],
    image_root: Path,
    folder: Path,
    options: ExportOptions,
    faults: ImageFaults,
) -> Exported:
    suffix = FORMATS[format].suffix
    output = folder / f"{options.name}{suffix}" if suffix else folder
    try:
        return _write_format(format, rows, image_root, output, options, faults)
    except DataEngineError as error:
        return Exported(format, output, 0, [], str(error))


def _write_format(
    format: str,
    rows: list[ExportRow],
    image_root: Path,
    output: Path,
    options: ExportOptions,
    faults: ImageFaults,
) -> Exported:
    """Write data and card, then read the data back and check it."""
    kind, all_rows = FORMATS[format], rows
    if kind.text_formats and options.text_format not in kind.text_formats:
        known = ", ".join(kind.text_formats)
        raise ParameterError(
            f"{output}: {format} has no text format {options.text_format}; choose one of {known}"
        )
    if kind.text_formats and options.text_format == "QM-AE":
        rows = rows_with_rationale(rows)
        without = f"{len(all_rows) - len(rows):,} of {len(all_rows):,} records"
        warning = f"{without} have no rationale, which QM-AE needs, and are left out"
        if len(rows) < len(all_rows) and warning not in options.warnings:
            options.warnings.append(warning)
    # why rows may be empty: there were none, or all of them are left out here
    why = "no record has a rationale, which QM-AE needs"
    if not all_rows:
        why = f"{options.source or 'the training data'} has no records"
    elif kind.fault and rows:
        rows, why = _readable(format, kind.fault, rows, options)
    if not rows:
        raise DataEngineError(f"{output}: nothing to export; {why}")
    copies = options if kind.chats else replace(options, copies=1, shuffle_options=False)
    job = ExportJob(
        with_copies(rows, copies),
        image_root,
        output,
        folder=output.parent if kind.suffix else output,
        name=options.name,
        source=options.source,
        text_format=options.text_format,
        # a format that contains its images (paths None) reads them from the image root
        paths=(kind.paths and options.paths) or kind.paths or "bare",
        copies=copies.copies,
        shuffled=copies.shuffle_options,
        checkout=options.checkout,
        warnings=options.warnings,
    )
    files = kind.write(job)  # the data first; the card is written from it, then both are checked
    card = write_card(format, files[0], job, options.counts)
    check_export(format, files, job, faults)
    return Exported(format, output, len(job.rows), [*files, *card])


def _readable(
    format: str, fault: Callable[[Question, str], str], rows: list[ExportRow], options: ExportOptions
) -> tuple[list[ExportRow], str]:
    """(the rows that the format's trainer can read, why others cannot); the others are counted in warnings."""
    faults = [fault(row.question, options.text_format) for row in rows]
    lines = [
        f"{format}: {number:,} of {len(rows):,} records are left out: {kind}"
        for kind, number in Counter(filter(None, faults)).items()
    ]
    options.warnings.extend(lines)
    return [row for row, reason in zip(rows, faults, strict=True) if not reason], "; ".join(lines)


def export_lines(
    format: str, input: Path, output: Path, image_root: Path, options: ExportOptions
) -> Iterator[str]:
    """Write the training data in the file `input` as `format` or `all`; yields a line about each file as it is written.

    The counts for the data card come from the post_process.json beside the input.
    Raises DataEngineError as `export` does; with `all` at the end, when a format could not be written.
    """
    if output.resolve() == input.resolve():
        raise ParameterError(f"{output}: is the training data itself; give the export another name")
    records = read_train_records(input, options.left_out or BadRows(input, 0, wanted=WANTED))
    options = replace(options, counts=input.parent / "post_process.json", source=input)
    if format != "all":
        files = export(format, records, image_root, output, options)
        yield from map(str, files)
        yield from _missing_card(format, output, files)
        return
    failed = []
    for done in export_all(records, image_root, output, options):
        if done.problem:
            failed.append(done.format)
            yield f"{done.format}: not written: {done.problem}"
        else:
            yield f"{done.format}: {done.rows} records, {done.path}"
            yield from _missing_card(done.format, done.path, done.files)
    if failed:
        raise DataEngineError(f"{output}: without {', '.join(failed)}; the lines above say why")


def _missing_card(format: str, output: Path, files: list[Path]) -> list[str]:
    card = (output.parent if FORMATS[format].suffix else output) / CARD
    if card in files:
        return []
    return [f"  {card} was not written by dataengine and stays; no data card was written"]
