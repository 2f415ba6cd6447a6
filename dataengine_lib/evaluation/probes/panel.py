"""Step 1: question sets that are measured beside the evaluation and never trained or diagnosed on (`panel`)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.paired.scores import Mean, image_of_answer, mean_by_image
from dataengine_lib.evaluation.tasks import Task, TaskSelection, select_tasks
from dataengine_lib.images.references import coco_number
from dataengine_lib.questions.question_sets import QuestionSet
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.questions.splits import DIAGNOSE


class PanelScore(msgspec.Struct, frozen=True):
    """One set of the panel: its mean score and those of its types, clustered by image; `left_out` rows were not asked."""

    questions: int
    images: int
    overall: Mean
    per_type: dict[str, Mean]
    left_out: int


class PanelTasks(NamedTuple):
    """What a set asks, with the rows that cannot be used."""

    file: Path
    image_root: Path
    tasks: list[Task]
    skipped: BadRows


def read_panel(
    panel: Mapping[str, QuestionSet], main: Sequence[Task], image_root: Path, max_bad_share: float
) -> dict[str, PanelTasks]:
    """The questions of every set; all are asked, whatever their split. `main` are the evaluation's, below `image_root`.

    Raises DataEngineError for a set that cannot be read, without answers, or with a question of `main`'s diagnose split:
    its wrong answers become examples for new data.
    """
    diagnosed = {_content(task, image_root) for task in main if task.split == DIAGNOSE}
    sets = {}
    for name, one in panel.items():
        if not one.image_root.is_dir():
            raise DataEngineError(f"panel.{name}: {one.image_root}: no such image folder; check image_root")
        content = read_question_file(one.questions, one.image_root, unanswered=True)
        if content.unanswered:
            raise DataEngineError(
                f"panel.{name}: {one.questions} has no answers to compare with; give a set with answers"
            )
        wanted = TaskSelection(one.questions, one.image_root, "all", "split", max_bad_share)
        tasks, skipped = select_tasks(content, wanted)
        if shared := next((task for task in tasks if _content(task, one.image_root) in diagnosed), None):
            raise DataEngineError(
                f"panel.{name}: {one.questions}: {shared.row} is a diagnose question of this evaluation too, so it is "
                "not kept away from training; take it out of one of them"
            )
        sets[name] = PanelTasks(one.questions, one.image_root, tasks, skipped)
    return sets


def _content(task: Task, root: Path) -> tuple[object, ...]:
    number = coco_number(task.image)  # the same image below every root
    image = number if number >= 0 else os.path.realpath(root / task.image)
    return image, task.question.question, *task.question.choices


def panel_score(answers: Sequence[Answer], left_out: int) -> PanelScore:
    """The scores of one set's answers, of which there is at least one."""
    by_type: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda one: one.question_type):
        by_type.setdefault(answer.question_type or NO_TYPE, []).append(answer)
    per_type = {kind: mean_by_image(of_type) for kind, of_type in by_type.items()}
    images = len({image_of_answer(answer) for answer in answers})
    return PanelScore(len(answers), images, mean_by_image(answers), per_type, left_out)
