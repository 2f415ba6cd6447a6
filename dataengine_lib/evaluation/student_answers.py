"""Step 1: where the student's answers come from: a file of predictions, a server, or a model that is loaded here."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from dataengine_lib.chat.budget import check_priced
from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import fingerprint
from dataengine_lib.core.progress.bar import progress_bar
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
from dataengine_lib.students.on_server.rank_counts import RankCounts

if TYPE_CHECKING:
    from dataengine_lib.students.interface import Student
    from dataengine_lib.students.on_server.api_student import ApiStudent
    from dataengine_lib.students.on_vllm.vllm_student import VllmStudent

PROGRESS_FILE = "evaluate.progress.jsonl"  # answers so far, until all files are written


@dataclass(frozen=True)
class StudentSettings:
    """Which student is asked, and how; `chat`, `max_side`, `budget_usd` and `prices` are for one on a server.

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
    budget_usd: float | None
    prices: Path | None
    max_bad_share: float


class GivenAnswers(NamedTuple):
    """The answers by the tasks' places in the question file; `source` is for `metrics.json`."""

    answers: dict[int, StudentAnswer]
    source: str = ""  # how recorded predictions were read and joined


@dataclass(frozen=True)
class Asked:
    """One thing that the student of an evaluation is asked: which file's questions, how, and whether without images.

    `label` is shown beside the progress.
    """

    questions: Path
    image_root: Path
    ask: AskOptions
    blind: bool = False
    label: str = "questions"


class StudentSource:
    """The student of one evaluation, loaded once for all that it is asked, when it is first needed.

    With several workers, each thing that is asked starts workers that load a student of their own. Leaving the context
    drops the student: a notebook's traceback would keep it in memory.
    """

    def __init__(self, settings: StudentSettings, given: "Student | None") -> None:
        self.settings = settings
        self._student: Student | None = given
        self._server = (
            _api_student(settings) if given is None and settings.student.startswith("api:") else None
        )
        self._is_given = given is not None or self._server is not None
        self._in_vllm = given is None and settings.student.startswith("vllm:")
        self._vllm: VllmStudent | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._student = self._vllm = None

    def main_answers(self, content: QuestionRows, tasks: list[Task], skipped: BadRows) -> GivenAnswers:
        """The answers of the evaluation itself: of the student, or of a file of predictions."""
        settings = self.settings
        if not self._is_given and settings.student.startswith("recorded:"):
            return _recorded_answers(settings, content, tasks, skipped)
        asked = Asked(settings.questions, settings.image_root, settings.ask)
        return GivenAnswers(self.answers(asked, tasks, skipped))

    def usage(self) -> StudentUsage | None:
        """What a student on a server has used so far, for everything that it was asked."""
        return self._server.usage() if self._server else None

    def ranked(self) -> RankCounts | None:
        """Counts of the requests that ranked options so far; None for a student that is loaded here, or not ranked.

        Of one in vLLM those of this process: answers kept from a killed run are not counted.
        """
        if self.settings.ask.rank == "generate":
            return None
        if self._in_vllm:
            return self._vllm.ranked if self._vllm else RankCounts()
        return self._server.ranked if self._server else None

    @property
    def ranks_texts(self) -> bool:
        """Whether the student can score whole texts; one on a server does so with `rank: text` alone, one in vLLM never."""
        return self._server.whole_texts if self._server else not self._in_vllm

    def answers(self, asked: Asked, tasks: list[Task], skipped: BadRows) -> dict[int, StudentAnswer]:
        """The student's answers by the tasks' places, a batch at a time; questions without one are added to `skipped`."""
        settings = self.settings
        batches = batches_by_image(tasks, settings.batch_size)
        make_questioner = partial(self._questioner, asked)
        if self._is_given:
            # no progress file: a server's answers are kept in its ledger, those of a given student not at all
            found = ask_in_batches(batches, make_questioner)
        else:
            ask = asked.ask
            how = (ask.rank, ask.robust, ask.direct, settings.dtype, *(["blind"] if asked.blind else []))
            key = student_key(settings.student, settings.adapter, *how)
            progress = ProgressSettings(settings.output_dir / PROGRESS_FILE, key, asked.image_root)
            found = ask_with_progress(batches, make_questioner, settings.workers, progress)
        answers: dict[int, StudentAnswer] = {}
        # closed also on an error: a notebook's traceback would keep the student and its workers alive
        with closing(found), progress_bar(total=len(tasks), desc=asked.label) as bar:
            for number, outcomes in found:
                skipped.add(*(outcome for outcome in outcomes if isinstance(outcome, BadRow)))
                skipped.check()
                for task, outcome in zip(batches[number], outcomes, strict=True):
                    if isinstance(outcome, StudentAnswer):
                        answers[task.place] = outcome
                bar.update(len(outcomes))
        return answers

    def _questioner(self, asked: Asked) -> Questioner:
        """In this process the student is kept; a worker gets a copy of this object without one, and loads its own."""
        from dataengine_lib.students.blind import BlindApiStudent, BlindStudent

        settings = self.settings
        if self._in_vllm:
            self._vllm = self._vllm or _loaded_in_vllm(settings)
        if in_chats := self._server or self._vllm:
            shown: Any = BlindApiStudent(in_chats) if asked.blind else in_chats
        else:
            self._student = self._student or _loaded(settings)
            shown = BlindStudent(self._student) if asked.blind else self._student
        return Questioner(shown, settings.student, asked.ask, asked.image_root, asked.questions)


def _loaded(settings: StudentSettings) -> "Student":
    from dataengine_lib.students.loading import load_student

    return load_student(
        settings.student, settings.device, settings.adapter, settings.batch_size, settings.dtype
    )


def _loaded_in_vllm(settings: StudentSettings) -> "VllmStudent":
    from dataengine_lib.students.on_vllm.vllm_student import VllmStudent

    gpus = 1
    if settings.device == "device_map":
        import torch

        gpus = max(1, torch.cuda.device_count())
    return VllmStudent(
        settings.student.partition(":")[2],
        settings.adapter,
        dtype=settings.dtype,
        gpus=gpus,
        max_output_tokens=settings.chat.max_output_tokens,
    )


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


def student_key(student: str, adapter: str | None, *asked: object) -> str:
    """A key of what a local student's answers depend on beside questions and images; `asked` is how it is asked."""
    names = (student, adapter or "")
    folders = [
        Path(name) for name in (student.removeprefix("vllm:"), adapter or "") if name and Path(name).exists()
    ]
    # folders as paths: the fingerprint sees that a checkpoint was trained anew under the same name
    return fingerprint(*names, *folders, *asked)


def _api_student(settings: StudentSettings) -> "ApiStudent":
    from dataengine_lib.students.on_server.api_student import ApiStudent

    table = read_prices(settings.prices)
    if settings.budget_usd is not None:
        check_priced(table.of(settings.student), settings.student, table.near(settings.student))
    return ApiStudent(
        settings.student.partition(":")[2],
        settings.chat,
        ledger=settings.output_dir / "student_ledger.jsonl",
        max_side=settings.max_side,
        whole_texts=settings.ask.rank == "text",
        price=table.of(settings.student),
        price_of=lambda model: table.of(f"api:{model.removeprefix('openai:')}"),
        budget_usd=settings.budget_usd,
    )
