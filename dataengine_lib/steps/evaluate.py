"""Step 1: ask the student every question; where it is weak becomes bad cases and weights."""

from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from tqdm.auto import tqdm

from dataengine_lib.chat.budget import StudentUsage
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.records import Answer
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answer_progress import fingerprint
from dataengine_lib.evaluation.answers import StudentAnswer, answer_record
from dataengine_lib.evaluation.bad_cases import BadCases, collect_bad_cases
from dataengine_lib.evaluation.holdout_guard import check_holdout_not_shown
from dataengine_lib.evaluation.metrics import Metrics, compute_metrics
from dataengine_lib.evaluation.output_files import check_writable, write_evaluation
from dataengine_lib.evaluation.questioner import AskOptions, Questioner, RankRule
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.evaluation.resumable import (
    ProgressSettings,
    ask_in_batches,
    ask_with_progress,
    batches_by_image,
)
from dataengine_lib.evaluation.tasks import Task, TaskSelection, select_tasks
from dataengine_lib.evaluation.warnings import check_readable, evaluation_warnings
from dataengine_lib.evaluation.weights import WeightRule, type_weights
from dataengine_lib.questions.categories import read_categories
from dataengine_lib.questions.reader import QuestionRows, read_question_file
from dataengine_lib.questions.splits import DIAGNOSE, HOLDOUT
from dataengine_lib.resources import CATEGORY_SETS

if TYPE_CHECKING:
    from dataengine_lib.students.api_student import ApiStudent
    from dataengine_lib.students.interface import Student

_PROGRESS_FILE = "evaluate.progress.jsonl"  # answers so far, until all files are written


class EvaluateConfig(StepConfig):
    """Parameters of `1_evaluate`."""

    questions: Path
    """A-OKVQA list, {type: [question]} of step 0, SEED-Bench JSON, MMBench or VLMEvalKit TSV."""
    image_root: Path
    """Folder that the questions' images are in."""
    student: str
    """Model folder or hub name, api:MODEL, or recorded:FILE of predictions made elsewhere."""
    output_dir: Path
    """Gets aokvqa_eval.json, metrics.json, predictions.json, bad cases and weights."""
    recorded_filter: str = ""
    """Of recorded:FILE: whose responses count where lmms-eval logged those of several filters."""
    adapter: str | None = None
    """Folder or hub name of a PEFT adapter for the student."""
    split: Literal["all", "diagnose", "holdout"] = "all"
    """Questions to score."""
    split_field: str = "split"
    """Key of the questions that holds their split, diagnose or holdout."""
    type_field: str = ""
    """Key that holds a question's type; empty: question_type, or the format's own key."""
    rank: RankRule = "text"
    """How the choice is found. text, letter: lowest mean token loss; generate: read from the written answer."""
    robust: bool = False
    """Also ask with the options in reverse order."""
    direct_answers: bool = True
    """Also ask without the options."""
    weight_rule: WeightRule = "1-acc"
    """How a type's accuracy becomes its weight."""
    near_duplicate: float = Field(0.8, ge=0, le=1)
    """Similarity from which two bad cases count as one (0: keep all)."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3 or a file."""
    teacher_queries: list[Path] = Field(default_factory=list)
    """gptvqa_prompt.json of earlier rounds; their examples may not be scored as holdout."""
    batch_size: int = Field(64, ge=1)
    """Questions in one pass, halved when memory runs out."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, or device_map: spread over all GPUs."""
    dtype: Dtype = "auto"
    """Precision; auto: float32 on CPU, the checkpoint's own on a GPU."""
    workers: int | Literal["ray"] = 1
    """Processes, each with a student; ray: one for each GPU (or CPU) of a Ray cluster."""
    base_url: str | None = None
    """Server of api:MODEL; default OPENAI_BASE_URL, then OpenAI itself."""
    concurrency: int = Field(8, ge=1)
    """Requests to the server at the same time."""
    max_side: int = Field(1024, ge=32)
    """Pixels of the longer side of an image sent to the server."""
    max_output_tokens: int = Field(2000, ge=1)
    """Tokens of one answer of the server, with those of its reasoning."""
    timeout_s: float = Field(60, gt=0)
    """Seconds to wait for one answer of the server."""
    prices: Path | None = None
    """Price table; default: the built-in one."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the rows cannot be used."""
    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Stop when no option can be read from a larger share of the answers."""
    seed: int = 0
    """Draws which of the near-duplicate bad cases stays."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.student.startswith("api:") and self.rank != "generate":
            raise ValueError("api: shows no token losses to rank by; set rank to generate")
        if self.student.startswith("recorded:") and (self.robust or self.rank != "text"):
            raise ValueError(
                "recorded: predictions in a file cannot be asked; leave rank and robust at their defaults"
            )
        if self.student.startswith(("api:", "recorded:")) and (self.workers != 1 or self.adapter is not None):
            raise ValueError("workers and adapter are for a student that is loaded here; leave them out")
        if self.recorded_filter and not self.student.startswith("recorded:"):
            raise ValueError("recorded_filter is for a student recorded:FILE; leave it out")
        if isinstance(self.workers, int) and self.workers < 1:
            raise ValueError("workers must be 1 or more, or ray")
        return self


@dataclass
class EvaluateResult:
    """What notebook 1 shows; images are under `image_root`, `paths` are the files written, by name.

    Without diagnose questions `bad_cases` and `weights` are empty and not written. `alike` counts, by type, the bad
    cases that were left out because another of their type asks nearly the same.
    """

    image_root: Path
    metrics: Metrics
    answers: list[Answer]
    bad_cases: dict[str, list[Answer]]
    alike: dict[str, int]
    weights: dict[str, float]
    skipped: list[BadRow]
    paths: dict[str, Path]
    warnings: list[str] = field(default_factory=list)


def evaluate(config: EvaluateConfig, student: "Student | None" = None) -> EvaluateResult:
    """Score the questions of `split`; write answers, metrics, predictions, and the diagnose split's bad cases and weights.

    `student` is a loaded one to use instead of `config.student`. Rows that cannot be used are skipped and counted.
    Answers are kept as they come: a run that was killed continues where it was.
    Raises DataEngineError when too many rows cannot be used (`max_bad_share`), when no question is left to ask, or
    when a holdout question was shown to the teacher.
    """
    categories = read_categories(config.categories)
    content = _read_questions(config)
    wanted = TaskSelection(
        config.questions, config.image_root, config.split, config.split_field, config.max_bad_share
    )
    tasks, skipped = select_tasks(content, wanted)
    holdout = [task.question for task in tasks if task.split == HOLDOUT]
    # everything that can be checked is checked before the student is loaded or paid for
    check_holdout_not_shown(holdout, config.teacher_queries)
    check_writable(config.output_dir)
    given = _student_answers(config, student, content, tasks, skipped)
    answers = [
        answer_record(task.question, task.place, task.split, task.image, given.answers[task.place])
        for task in tasks
        if task.place in given.answers
    ]
    if not answers:
        raise DataEngineError(
            f"{config.questions}: no question is left to score; check image_root and max_bad_share"
        )
    check_readable(answers, config.student, config.max_failed_share)
    # in metrics.json a file of predictions counts as a rule of its own
    rank = "recorded" if config.student.startswith("recorded:") else config.rank
    scored = [] if content.unanswered else answers
    metrics = compute_metrics(scored, categories.names, rank, config.weight_rule, skipped.summary())
    metrics.source, metrics.usage, metrics.unscored = given.source, given.usage, len(answers) - len(scored)
    # bad cases and weights come from the diagnose split only: the holdout split is never used to improve
    cases, weights = BadCases({}, {}), dict[str, float]()
    if DIAGNOSE in metrics.splits:
        diagnose = [answer for answer in answers if answer.split == DIAGNOSE]
        types = metrics.splits[DIAGNOSE].per_type
        cases = collect_bad_cases(diagnose, types, config.near_duplicate, config.seed)
        weights = type_weights(metrics.counts(), config.weight_rule)
    paths = write_evaluation(config.output_dir, answers, metrics, cases.kept, weights)
    # only now: until all files are written, a killed run continues from it
    (config.output_dir / _PROGRESS_FILE).unlink(missing_ok=True)
    warnings = evaluation_warnings(metrics, answers, cases.kept, weights, config.split)
    return EvaluateResult(
        config.image_root, metrics, answers, cases.kept, cases.alike, weights, skipped.rows, paths, warnings
    )


def _read_questions(config: EvaluateConfig) -> QuestionRows:
    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    return read_question_file(
        config.questions,
        config.image_root,
        type_field=config.type_field,
        split_field=config.split_field,
        unanswered=True,
    )


class _GivenAnswers(NamedTuple):
    """The answers by the tasks' places in the question file; the rest is for `metrics.json`."""

    answers: dict[int, StudentAnswer]
    source: str = ""  # how recorded predictions were read and joined
    usage: StudentUsage | None = None  # of a student on a server


def _student_answers(
    config: EvaluateConfig,
    student: "Student | None",
    content: QuestionRows,
    tasks: list[Task],
    skipped: BadRows,
) -> _GivenAnswers:
    """From the given `student`, a file of predictions, a server, or a student loaded here."""
    if student is not None:
        return _GivenAnswers(_ask(config, student, tasks, skipped))
    if config.student.startswith("recorded:"):
        return _recorded_answers(config, content, tasks, skipped)
    if config.student.startswith("api:"):
        server = _api_student(config)
        answers = _ask(config, server, tasks, skipped)
        return _GivenAnswers(answers, usage=server.usage())
    return _GivenAnswers(_ask(config, None, tasks, skipped))


def _recorded_answers(
    config: EvaluateConfig, content: QuestionRows, tasks: list[Task], skipped: BadRows
) -> _GivenAnswers:
    """The predictions in a file; its rows without a question, and tasks without a row, are skipped."""
    found = read_recorded(Path(config.student.partition(":")[2]), content, config.recorded_filter)
    # rows of the predictions file, which the number of questions does not include
    skipped.n_rows += len(found.unmatched)
    skipped.add(*found.unmatched)
    skipped.check()
    by_place = {content.places[i]: answer for i, answer in found.answers.items()}
    missing = [task for task in tasks if task.place not in by_place]
    skipped.add(*(BadRow(task.row, "no prediction for this question", "no prediction") for task in missing))
    skipped.check()
    return _GivenAnswers(by_place, source=found.format)


def _ask(
    config: EvaluateConfig,
    student: "Student | ApiStudent | None",
    tasks: list[Task],
    skipped: BadRows,
) -> dict[int, StudentAnswer]:
    """The student's answers by the tasks' places, a batch at a time; without `student` it is loaded."""
    batches = batches_by_image(tasks, config.batch_size)
    make_questioner = partial(_make_questioner, config, student)
    if student is not None:
        # no progress file: a server's answers are kept in its ledger, those of a given student not at all
        asked = ask_in_batches(batches, make_questioner)
    else:
        file = config.output_dir / _PROGRESS_FILE
        progress = ProgressSettings(file, _student_key(config), config.image_root)
        asked = ask_with_progress(batches, make_questioner, config.workers, progress)
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


def _student_key(config: EvaluateConfig) -> str:
    """A key of what a local student's answers depend on beside questions and images."""
    names = (config.student, config.adapter or "")
    folders = [Path(name) for name in names if name and Path(name).exists()]
    # folders as paths: the fingerprint sees that a checkpoint was trained anew under the same name
    return fingerprint(*names, *folders, config.rank, config.robust, config.direct_answers, config.dtype)


def _make_questioner(config: EvaluateConfig, given: "Student | ApiStudent | None" = None) -> Questioner:
    from dataengine_lib.students.loading import load_student

    student = given or load_student(
        config.student, config.device, config.adapter, config.batch_size, config.dtype
    )
    options = AskOptions(config.rank, config.robust, config.direct_answers)
    return Questioner(student, config.student, options, config.image_root, config.questions)


def _api_student(config: EvaluateConfig) -> "ApiStudent":
    from dataengine_lib.students.api_student import ApiStudent

    return ApiStudent(
        config.student.partition(":")[2],
        ChatSettings(
            base_url=config.base_url,
            concurrency=config.concurrency,
            max_output_tokens=config.max_output_tokens,
            timeout_s=config.timeout_s,
        ),
        ledger=config.output_dir / "student_ledger.jsonl",
        max_side=config.max_side,
        price=read_prices(config.prices).of(config.student),
    )
