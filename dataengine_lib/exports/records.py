"""After step 4: what every export is made from: records that were checked, and how their images' paths are written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dataengine_lib.core.files import shown_name
from dataengine_lib.core.records import Question, TrainRecord, qa_prompt
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import header_fault
from dataengine_lib.images.references import image_ref, locate
from dataengine_lib.training.texts import TextFormat

IMAGE = "<image>"
_MEDIA = (IMAGE, "<video>", "<audio>")  # trainers put a picture, a film or a sound in their place

Paths = Literal["absolute", "relative", "bare"]


@dataclass(frozen=True)
class Exportable:
    """A record that can be exported, and the same as a question whose `image_path` is under the image root."""

    record: TrainRecord
    question: Question


@dataclass(frozen=True)
class Job:
    """What a writer needs. `output` is the file or the folder to make, `folder` the one that holds the data.

    `paths`: `absolute`; `relative` to `folder`, so that it can be moved together with the images; `bare`, under
    the image root.
    """

    rows: list[Exportable]
    image_root: Path
    output: Path
    folder: Path
    name: str
    text_format: TextFormat
    paths: Paths

    @property
    def questions(self) -> list[Question]:
        """The rows as questions."""
        return [row.question for row in self.rows]

    def written(self, path: Path) -> str:
        """A path as the export holds it, other than an image's own under the image root."""
        whole = os.path.abspath(path)
        if self.paths == "absolute":
            return whole
        # `..` leaves the folder where it really is, whatever links lead to it
        return Path(os.path.relpath(whole, os.path.realpath(self.folder))).as_posix()

    def image(self, question: Question) -> str:
        """A question's image as the export holds it."""
        if self.paths == "bare":
            return question.image_path
        return self.written(self.image_root / question.image_path)

    def resolved(self, written: str) -> Path:
        """The file that a path in the export means. Raises DataEngineError when it is not under the image root."""
        start = self.image_root if self.paths == "bare" else Path(os.path.realpath(self.folder))
        root, path = os.path.abspath(self.image_root), os.path.abspath(start / written)
        if Path(written).is_absolute() != (self.paths == "absolute") or not Path(path).is_relative_to(root):
            raise DataEngineError(f"image {shown_name(written)} is no path of an image in {root}")
        return Path(path)


@dataclass
class Opened:
    """Images that were looked at, so that none is opened twice: why each is no image, empty where it is one."""

    faults: dict[str, str] = field(default_factory=dict)

    def fault(self, path: Path) -> str:
        """Why the file is no image."""
        key = str(path)
        if key not in self.faults:
            self.faults[key] = header_fault(path)
        return self.faults[key]


def exportable(
    records: Sequence[TrainRecord], image_root: Path, opened: Opened, source: Path | None = None
) -> list[Exportable]:
    """The records with their images found under `image_root`; `source` is their file, for messages.

    Raises DataEngineError naming the first record that no trainer could use: without question, choice, right
    answer or readable image, or with the text of an image token.
    """
    return [
        Exportable(record, _question(f"{source or 'export'}: record {row}", row, record, image_root, opened))
        for row, record in enumerate(records)
    ]


def explained(rows: Sequence[Exportable]) -> list[Exportable]:
    """The rows that have a rationale, which QM-AE needs."""
    return [row for row in rows if any(text.strip() for text in row.question.rationales)]


def _question(where: str, row: int, record: TrainRecord, image_root: Path, opened: Opened) -> Question:
    name = f"id {record.record_id!r}" if record.record_id else f"query {record.query_id!r}"
    where = f"{where} ({name}, image {record.image_id})"
    right = record.correct_choice_idx
    if not 0 <= right < len(record.choices) or not all(choice.strip() for choice in record.choices):
        raise DataEngineError(
            f"{where}: a choice is empty or the right one is missing; run post-process again"
        )
    if not record.question.strip():
        raise DataEngineError(f"{where}: the question is empty; run post-process again")
    texts = (record.question, record.short_answer, *record.choices, *record.rationales)
    if mark := next((mark for mark in _MEDIA for text in texts if mark in text), None):
        raise DataEngineError(
            f"{where}: the text holds {mark}, which trainers take for {mark[1:-1]} data; reject the record in "
            "review.json and run post-process again"
        )
    try:
        path = locate(image_ref(record.image_id, record.image_path), image_root)
    except DataEngineError as error:  # without the remedy, which names another step's parameter
        raise DataEngineError(f"{where}: {str(error).partition(';')[0]}; check the image root") from error
    if fault := opened.fault(image_root / path):
        raise DataEngineError(f"{where}: {fault}; mend the image or drop the record")
    return Question(
        split="train",
        image_id=record.image_id,
        question_id=f"{record.query_id or record.image_id}-{row}",
        question=record.question,
        choices=record.choices,
        correct_choice_idx=right,
        direct_answers=[record.short_answer or record.choices[right]] * 10,
        rationales=record.rationales,
        question_type=record.question_type,
        image_path=path,
        prompt=qa_prompt(record.question, record.choices, right, record.question_type),
    )
