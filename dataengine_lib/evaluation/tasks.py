"""Step 1: the questions to ask, each with its split and its image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import QuestionRows, check_any_question, image_of
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK
from dataengine_lib.questions.splits import Split, assign_splits, check_own_splits


@dataclass(frozen=True)
class Task:
    """A question to ask.

    `row` is where a person finds it in its file (`row 7`), `place` its number in the file; `image` is relative to
    the image root.
    """

    row: str
    place: int
    question: Question
    split: Split
    image: str


@dataclass(frozen=True)
class TaskSelection:
    """Which questions of a file are asked: those of `split`, with an image below `image_root`.

    `split_field` is the key of the questions that names their split; at most a share of `max_bad_share` of the rows
    may be unusable.
    """

    file: Path
    image_root: Path
    split: Literal["all", "diagnose", "holdout"]
    split_field: str
    max_bad_share: float


def select_tasks(content: QuestionRows, selection: TaskSelection) -> tuple[list[Task], BadRows]:
    """The tasks in file order, and the rows that were skipped.

    Raises DataEngineError when the split has no question, a question names an unknown split, or too many rows
    cannot be used.
    """
    check_any_question(selection.file, content)
    check_own_splits(selection.file, content.questions, content.rows, selection.split_field)
    splits = assign_splits(content.questions)
    wanted = [i for i, split in enumerate(splits) if selection.split in ("all", split)]
    # a row that cannot be read has no known split, so all of these count
    skipped = BadRows(
        selection.file,
        selection.max_bad_share,
        len(wanted) + len(content.skipped),
        remedy="check image_root",
        harmless=[NO_IMAGE_TASK],
    )
    skipped.add(*content.skipped)
    skipped.check()
    # counted before this check, so that a file of bad rows is reported as such
    if not wanted:
        raise DataEngineError(f"{selection.file}: no usable question in split {selection.split}; check split")
    tasks, without_image = [], []
    for i in wanted:
        question, row = content.questions[i], content.rows[i]
        try:
            image = image_of(question, selection.image_root)
        except DataEngineError as error:
            without_image.append(BadRow(row, f"image {error}", "image not found"))
        else:
            tasks.append(Task(row, content.places[i], question, splits[i], image))
    skipped.add(*without_image)
    skipped.check()
    return tasks, skipped
