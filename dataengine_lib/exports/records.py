"""After step 4: what every export is made from: checked records, options, and how paths of images are written."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import shown_name
from dataengine_lib.core.records import (
    KINDS,
    NO_ANSWER,
    OPEN,
    Question,
    TrainRecord,
    qa_prompt,
    right_answer,
    shows_options,
)
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.decode import header_fault
from dataengine_lib.images.references import image_ref, locate
from dataengine_lib.training.texts import TextFormat

IMAGE = "<image>"
_MEDIA = (IMAGE, "<video>", "<audio>")  # trainers replace these with the image, video or sound
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")  # also a Python name in MiniGPT-4's builder

_NOT_EXPORTED = "cannot be exported"  # the kind of records that no trainer could use
Paths = Literal["absolute", "relative", "bare"]


@dataclass(frozen=True)
class ExportOptions:
    """How an export is written.

    `name` is the data set's name in a trainer's list; `paths` how images are named (see ExportJob), None for what the
    format's trainer expects; `counts` the post_process.json of the records, for the data card; `source` the records'
    file, for messages; `left_out` collects records that cannot be exported, None makes the first of them an error;
    `copies`, `shuffle_options` and their `seed` are for chats (see `with_copies`); what the text format leaves out is
    added to `warnings`.
    Raises ParameterError for a value that is not one of those allowed.
    """

    name: str = "dataengine"
    text_format: TextFormat = "QM-A"
    paths: Paths | None = None
    counts: Path | None = None
    source: Path | None = None
    left_out: BadRows | None = None
    shuffle_options: bool = False
    copies: int = 1
    seed: int = 0
    checkout: Path | None = None
    warnings: list[str] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        for what, given, known in (
            ("text format", self.text_format, get_args(TextFormat)),
            ("paths", self.paths, (None, *get_args(Paths))),
        ):
            if given not in known:
                choices = ", ".join(filter(None, known))
                raise ParameterError(f"export: unknown {what} {shown(given)}; choose one of {choices}")
        if self.copies < 1:
            raise ParameterError(f"export: copies must be at least 1 (given: {self.copies})")
        if not _NAME.fullmatch(self.name):
            raise ParameterError(
                f"export: name {self.name!r} must be letters, digits and _, not a digit first"
            )


@dataclass(frozen=True)
class ExportRow:
    """A record that can be exported, and the same as a question whose `image_path` starts at the image root."""

    record: TrainRecord
    question: Question


@dataclass(frozen=True)
class ExportJob:
    """What the writer of a format needs. `output` is the file or folder to write, `folder` the one that holds the data.

    `rows` holds every record `copies` times, with other orders of its options if `shuffled`. `paths` is how images are
    named: `absolute`; `relative` to `folder`, so that it can be moved together with the images, or to the `checkout` of
    MiniGPT-4, where its training starts; `bare`, from the image root.
    `source` is the file of the records, for messages. Its writer adds what it had to change to `warnings`.
    """

    rows: list[ExportRow]
    image_root: Path
    output: Path
    folder: Path
    name: str
    text_format: TextFormat
    paths: Paths
    copies: int = 1
    shuffled: bool = False
    checkout: Path | None = None
    source: Path | None = None
    warnings: list[str] = field(default_factory=list, compare=False)

    @property
    def relative_start(self) -> Path:
        """Where relative paths start: `..` in them starts at the real folder, not at a symbolic link to it."""
        return Path(os.path.realpath(self.checkout or self.folder))

    @property
    def questions(self) -> list[Question]:
        """The rows as questions."""
        return [row.question for row in self.rows]

    def written_path(self, path: Path) -> str:
        """A path as the export writes it, absolute or relative to `folder`."""
        whole = os.path.abspath(path)
        if self.paths == "absolute":
            return whole
        return Path(os.path.relpath(whole, self.relative_start)).as_posix()

    def image_path(self, question: Question) -> str:
        """The path of a question's image as the export writes it."""
        if self.paths == "bare":
            return question.image_path
        return self.written_path(self.image_root / question.image_path)

    def resolved(self, written: str) -> Path:
        """The file that a path in the export names. Raises DataEngineError when it is not under the image root."""
        # abspath resolves `..` as text; an image behind a symbolic link below the root counts as inside
        start = self.image_root if self.paths == "bare" else self.relative_start
        root, path = os.path.abspath(self.image_root), os.path.abspath(start / written)
        if Path(written).is_absolute() != (self.paths == "absolute") or not Path(path).is_relative_to(root):
            raise DataEngineError(f"image {shown_name(written)} is not the path of an image in {root}")
        return Path(path)


@dataclass
class ImageFaults:
    """Why files cannot be read as images; each file is opened once."""

    _known: dict[str, str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """Why the file cannot be read as an image; empty when it can."""
        key = str(path)
        if key not in self._known:
            self._known[key] = header_fault(path)
        return self._known[key]


def export_rows(
    records: Sequence[TrainRecord],
    image_root: Path,
    faults: ImageFaults,
    source: Path | None = None,
    left_out: BadRows | None = None,
) -> list[ExportRow]:
    """The records with their images found under `image_root`; `source` is the records' file, for messages.

    Records that no trainer could use are added to `left_out`: those without question, choice, right answer or readable
    image, or with an image token in their text. Raises DataEngineError when too many are, without `left_out` for the
    first.
    """
    rows = []
    for number, record in enumerate(records):
        name = f"id {record.record_id!r}" if record.record_id else f"query {record.query_id!r}"
        where = f"record {number} ({name}, image {record.image_id})"
        try:
            rows.append(ExportRow(record, _question(number, record, image_root, faults)))
        except DataEngineError as error:
            if left_out is None:
                raise DataEngineError(f"{source or 'export'}: {where}: {error}") from error
            left_out.add(BadRow(where, str(error), _NOT_EXPORTED))
    if left_out is not None:
        left_out.check()
    return rows


def rows_with_rationale(rows: Sequence[ExportRow]) -> list[ExportRow]:
    """The rows that have a rationale, which the text format QM-AE needs of multiple-choice questions."""
    return [
        row
        for row in rows
        if not shows_options(row.question.answer_kind)
        or any(text.strip() for text in row.question.rationales)
    ]


def _question(row: int, record: TrainRecord, image_root: Path, faults: ImageFaults) -> Question:
    """The record as a question. Raises DataEngineError with the reason why no trainer could use it."""
    right = record.correct_choice_idx
    if record.answer_kind not in ("", *KINDS):
        raise DataEngineError(
            f"answer_kind {shown(record.answer_kind)} is none of {', '.join(KINDS)}; run post-process again"
        )
    if record.answer_kind == OPEN:
        if record.choices or right != NO_ANSWER or not record.short_answer.strip():
            raise DataEngineError("an open-ended question needs a short answer alone; run post-process again")
    elif not 0 <= right < len(record.choices) or not all(choice.strip() for choice in record.choices):
        raise DataEngineError("a choice is empty or the right one is missing; run post-process again")
    if not record.question.strip():
        raise DataEngineError("the question is empty; run post-process again")
    texts = (record.question, record.short_answer, *record.choices, *record.rationales)
    if mark := next((mark for mark in _MEDIA for text in texts if mark in text), None):
        raise DataEngineError(
            f"the text holds {mark}, which trainers replace with {mark[1:-1]} data; reject the record in "
            "review.json and run post-process again"
        )
    try:
        path = locate(image_ref(record.image_id, record.image_path), image_root)
    except DataEngineError as error:  # its remedy, behind the semicolon, names another step's parameter
        raise DataEngineError(f"{str(error).partition(';')[0]}; check the image root") from error
    if fault := faults.of(image_root / path):
        raise DataEngineError(f"{fault}; replace the image or drop the record")
    # A-OKVQA has ten direct answers, by ten people; its score compares with each of them
    accepted = [record.short_answer or right_answer(record)] * 10
    return Question(
        split="train",
        image_id=record.image_id,
        # with the row, because one reply to a query may hold several QAs
        question_id=f"{record.query_id or record.image_id}-{row}",
        question=record.question,
        choices=record.choices,
        correct_choice_idx=right,
        direct_answers=accepted,
        rationales=record.rationales,
        question_type=record.question_type,
        image_path=path,
        prompt=qa_prompt(
            record.question, record.choices, right, record.question_type, record.answer_kind, accepted
        ),
        answer_kind=record.answer_kind,
    )
