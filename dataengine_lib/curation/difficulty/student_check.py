"""Step 4: the current student answers the new questions as in step 1, sighted or blind; a killed run continues."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.records import Question, TrainRecord, shows_options
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.curation.difficulty.band import StudentView, view_of
from dataengine_lib.curation.readers.reader_prompt import reader_order
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.questioner import AskOptions, Questioner
from dataengine_lib.evaluation.resumable import ProgressSettings, ask_with_progress, batches_by_image
from dataengine_lib.evaluation.student_answers import student_key
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.images.references import ImageRef, locate
from dataengine_lib.questions.splits import DIAGNOSE
from dataengine_lib.students.blind import BlindStudent
from dataengine_lib.students.interface import ScoredText

if TYPE_CHECKING:
    from dataengine_lib.students.interface import Student


@dataclass(frozen=True)
class StudentCheck:
    """Which student is asked about records, and how; the names are those of the step's parameters.

    `progress` is the file that keeps its answers.
    """

    student: str
    adapter: str | None
    blind: bool
    rank: ScoredText
    robust: bool
    batch_size: int
    device: str
    dtype: Dtype
    workers: int | Literal["ray"]
    image_root: Path
    progress: Path
    seed: int

    def views(self, records: Iterable[TrainRecord]) -> tuple[list[StudentView | None], list[str]]:
        """What the student makes of each record, None where it could not be asked, and why in some cases.

        The options of a multiple-choice record are shown in an order in which none has its own letter, so that a
        student that prefers a letter does not agree with a teacher that prefers the same. An open question has no
        options, so it is not asked. Raises DataEngineError for a student that cannot be loaded or is broken.
        """
        faults: dict[int, str] = {}
        tasks: list[Task] = []
        shown: dict[int, _Shown] = {}  # by place, only of what is asked: records are not kept in memory
        views: list[StudentView | None] = []
        for place, record in enumerate(records):
            views.append(None)
            if not record.choices:
                continue
            try:
                image = locate(ImageRef(record.image_id, record.image_path), self.image_root)
            except DataEngineError as error:
                faults[place] = str(error).partition(";")[
                    0
                ]  # the advice behind it names another step's parameter
                continue
            shown[place] = _Shown(_order(record, self.seed), record.correct_choice_idx)
            tasks.append(_task(record, place, image, shown[place].order))
        batches = batches_by_image(tasks, self.batch_size)
        settings = ProgressSettings(self.progress, self._key(), self.image_root)
        asked = ask_with_progress(batches, partial(make_questioner, self), self.workers, settings)
        # closed also on an error: a notebook's traceback would keep the student and its workers alive
        with closing(asked), progress_bar(total=len(tasks), desc="asking the student") as bar:
            for number, outcomes in asked:
                for task, found in zip(batches[number], outcomes, strict=True):
                    if isinstance(found, BadRow):
                        faults[task.place] = found.reason
                    else:
                        views[task.place] = shown[task.place].view(found)
                bar.update(len(outcomes))
        return views, [faults[place] for place in sorted(faults)]

    def _key(self) -> str:
        """What the answers depend on beside questions and images."""
        return student_key(
            self.student, self.adapter, "new questions", self.rank, self.robust, self.blind, self.dtype
        )


def make_questioner(check: StudentCheck) -> Questioner:
    """The student of a check, loaded, with what asks it."""
    from dataengine_lib.students.loading import load_student

    student = load_student(check.student, check.device, check.adapter, check.batch_size, check.dtype)
    options = AskOptions(check.rank, "reverse" if check.robust else "off", direct=False)
    shown: Student = BlindStudent(student) if check.blind else student
    return Questioner(shown, check.student, options, check.image_root, check.progress)


def _order(record: TrainRecord, seed: int) -> list[int]:
    """The indices of the record's options in the order in which they are shown."""
    shown = shows_options(record.answer_kind)
    return reader_order(record, seed) if shown else list(range(len(record.choices)))


def _task(record: TrainRecord, place: int, image: str, order: Sequence[int]) -> Task:
    question = Question(
        image_id=record.image_id,
        image_path=record.image_path,
        question_id=record.record_id,
        question=record.question,
        choices=[record.choices[index] for index in order],
        correct_choice_idx=order.index(record.correct_choice_idx),
        question_type=record.question_type,
        answer_kind=record.answer_kind,
    )
    return Task(record.record_id, place, question, DIAGNOSE, image)


class _Shown(NamedTuple):
    """The order in which a record's options are shown, and the index of the right one in the record."""

    order: list[int]
    right: int

    def view(self, answer: StudentAnswer) -> StudentView:
        """The view in the record's own order of options."""
        times = [answer.scores] + ([answer.reversed.scores] if answer.reversed else [])
        # places[i]: where the record's option i was shown
        places = [self.order.index(index) for index in range(len(self.order))]
        return view_of([[scores[place] for place in places] for scores in times], self.right)
