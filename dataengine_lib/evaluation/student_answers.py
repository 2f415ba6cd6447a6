"""Step 1: where the student's answers come from: a file of predictions, a server, or a model that is loaded here."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tqdm.auto import tqdm

from dataengine_lib.chat.budget import StudentUsage
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import fingerprint
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.questioner import AskOptions, Questioner
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.evaluation.resumable import (
    ProgressSettings,
    ask_in_batches,
    ask_with_progress,
    batches_by_image,
)
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.questions.reader import QuestionRows

if TYPE_CHECKING:
    from dataengine_lib.students.api_student import ApiStudent
    from dataengine_lib.students.interface import Student

PROGRESS_FILE = "evaluate.progress.jsonl"  # answers so far, until all files are written


@dataclass(frozen=True)
class StudentSettings:
    """Which student is asked, and how; `chat`, `max_side` and `prices` are for one on a server.

    The names are those of step 1's parameters.
    """

    student: str
    adapter: str | None
    recorded_filter: str
    questions: Path
    image_root: Path
    output_dir: Path
    ask: AskOptions
    batch_size: int
    device: str
    dtype: Dtype
    workers: int | Literal["ray"]
    chat: ChatSettings
    max_side: int
    prices: Path | None


class GivenAnswers(NamedTuple):
    """The answers by the tasks' places in the question file; the rest is for `metrics.json`."""

    answers: dict[int, StudentAnswer]
    source: str = ""  # how recorded predictions were read and joined
    usage: StudentUsage | None = None  # of a student on a server


def student_answers(
    settings: StudentSettings,
    student: "Student | None",
    content: QuestionRows,
    tasks: list[Task],
    skipped: BadRows,
) -> GivenAnswers:
    """From the given `student`, a file of predictions, a server, or a student loaded here."""
    if student is not None:
        return GivenAnswers(_ask(settings, student, tasks, skipped))
    if settings.student.startswith("recorded:"):
        return _recorded_answers(settings, content, tasks, skipped)
    if settings.student.startswith("api:"):
        server = _api_student(settings)
        answers = _ask(settings, server, tasks, skipped)
        return GivenAnswers(answers, usage=server.usage())
    return GivenAnswers(_ask(settings, None, tasks, skipped))


def _recorded_answers(
    settings: StudentSettings, content: QuestionRows, tasks: list[Task], skipped: BadRows
) -> GivenAnswers:
    """The predictions in a file; its rows without a question, and tasks without a row, are skipped."""
    file = Path(settings.student.partition(":")[2])
    found = read_recorded(file, content, settings.recorded_filter)
    # rows of the predictions file, which the number of questions does not include
    skipped.n_rows += len(found.unmatched)
    skipped.add(*(BadRow(f"{file.name}: {row.row}", row.reason, row.kind) for row in found.unmatched))
    skipped.check()
    by_place = {content.places[i]: answer for i, answer in found.answers.items()}
    missing = [task for task in tasks if task.place not in by_place]
    skipped.add(*(BadRow(task.row, f"no prediction in {file.name}", "no prediction") for task in missing))
    skipped.check()
    return GivenAnswers(by_place, source=found.format)


def _ask(
    settings: StudentSettings,
    student: "Student | ApiStudent | None",
    tasks: list[Task],
    skipped: BadRows,
) -> dict[int, StudentAnswer]:
    """The student's answers by the tasks' places, a batch at a time; without `student` it is loaded."""
    batches = batches_by_image(tasks, settings.batch_size)
    make_questioner = partial(_make_questioner, settings, student)
    if student is not None:
        # no progress file: a server's answers are kept in its ledger, those of a given student not at all
        asked = ask_in_batches(batches, make_questioner)
    else:
        file = settings.output_dir / PROGRESS_FILE
        key = student_key(
            settings.student,
            settings.adapter,
            settings.ask.rank,
            settings.ask.robust,
            settings.ask.direct,
            settings.dtype,
        )
        progress = ProgressSettings(file, key, settings.image_root)
        asked = ask_with_progress(batches, make_questioner, settings.workers, progress)
    answers: dict[int, StudentAnswer] = {}
    # closed also on an error: a notebook's traceback would keep the student and its workers alive
    with closing(asked), tqdm(total=len(tasks), desc="questions", disable=None) as bar:
        for number, outcomes in asked:
            skipped.add(*(outcome for outcome in outcomes if isinstance(outcome, BadRow)))
            skipped.check()
            for task, outcome in zip(batches[number], outcomes, strict=True):
                if isinstance(outcome, StudentAnswer):
                    answers[task.place] = outcome
            bar.update(len(outcomes))
    return answers


def student_key(student: str, adapter: str | None, *asked: object) -> str:
    """A key of what a local student's answers depend on beside questions and images; `asked` is how it is asked."""
    names = (student, adapter or "")
    folders = [Path(name) for name in names if name and Path(name).exists()]
    # folders as paths: the fingerprint sees that a checkpoint was trained anew under the same name
    return fingerprint(*names, *folders, *asked)


def _make_questioner(settings: StudentSettings, given: "Student | ApiStudent | None" = None) -> Questioner:
    from dataengine_lib.students.loading import load_student

    student = given or load_student(
        settings.student, settings.device, settings.adapter, settings.batch_size, settings.dtype
    )
    return Questioner(student, settings.student, settings.ask, settings.image_root, settings.questions)


def _api_student(settings: StudentSettings) -> "ApiStudent":
    from dataengine_lib.students.api_student import ApiStudent

    return ApiStudent(
        settings.student.partition(":")[2],
        settings.chat,
        ledger=settings.output_dir / "student_ledger.jsonl",
        max_side=settings.max_side,
        price=read_prices(settings.prices).of(settings.student),
    )
