"""Step 1: ask the student every question; where it is weak becomes bad cases and weights."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from tqdm.auto import tqdm

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import Said, answer_of
from dataengine_lib.evaluation.holdout_guard import check_not_examples
from dataengine_lib.evaluation.metrics import Metrics, measure
from dataengine_lib.evaluation.questioner import Manner, Questioner, RankRule, Task
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.evaluation.resumable import answered, answered_with_progress, by_image, fingerprint
from dataengine_lib.evaluation.skipped_rows import Skips
from dataengine_lib.evaluation.weights import WeightRule, weights_of, write_weights
from dataengine_lib.questions.categories import read_categories
from dataengine_lib.questions.reader import QuestionRows, Skipped, image_of, read_question_file
from dataengine_lib.questions.similarity import reduce_pool
from dataengine_lib.questions.splits import DIAGNOSE, HOLDOUT, assign_splits, check_own_splits
from dataengine_lib.resources import CATEGORY_SETS

if TYPE_CHECKING:
    from dataengine_lib.students.api_student import ApiStudent
    from dataengine_lib.students.interface import Answerer

PROGRESS = "evaluate.progress.jsonl"  # what was answered so far, until all is written


class EvaluateConfig(StepConfig):
    """Parameters of `1_evaluate`."""

    questions: Path
    """A-OKVQA list, {type: [question]} of step 0, SEED-Bench JSON, MMBench or VLMEvalKit TSV."""
    image_root: Path
    """Folder that the questions' images are in."""
    student: str
    """Model folder or hub name, api:MODEL, or recorded:FILE of predictions made elsewhere."""
    output_dir: Path
    adapter: str | None = None
    """Folder or hub name of a PEFT adapter for the student."""
    split: Literal["all", "diagnose", "holdout"] = "all"
    """Questions to score."""
    split_field: str = "split"
    """Key of the questions that says diagnose or holdout."""
    type_field: str = ""
    """Key that holds a question's type; empty: question_type, or what the format says."""
    rank: RankRule = "text"
    """Text and letter: by mean token loss; generate: read what the student writes."""
    robust: bool = False
    """Ask once more with the options in reverse."""
    direct_answers: bool = True
    """Also let the student answer without the options."""
    weight_rule: WeightRule = "1-acc"
    near_duplicate: float = Field(0.8, ge=0, le=1)
    """Bad cases this alike are one (0: keep all)."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3 or a file."""
    teacher_queries: list[Path] = Field(default_factory=list)
    """Earlier rounds': their examples are no holdout."""
    batch_size: int = Field(64, ge=1)
    """Questions in one pass, halved when memory runs out."""
    device: str = "auto"
    """Cpu, cuda, cuda:1, mps, or device_map: spread over all GPUs."""
    dtype: Dtype = "auto"
    """auto: float32 on CPU."""
    workers: int | Literal["ray"] = 1
    """Processes with a student each; ray: all of a Ray cluster."""
    base_url: str | None = None
    """Server of api:MODEL; default OPENAI_BASE_URL, then OpenAI itself."""
    concurrency: int = Field(8, ge=1)
    """Requests to it at the same time."""
    max_side: int = Field(1024, ge=32)
    """Pixels of the longer side of an image sent to it."""
    max_output_tokens: int = Field(2000, ge=1)
    """Of one of its answers; models that reason need room."""
    timeout_s: float = Field(60, gt=0)
    """For one of its answers."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when more rows than this cannot be used."""
    seed: int = 0
    """Draws which of the near-duplicate bad cases stays."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.student.startswith("api:") and self.rank != "generate":
            raise ValueError("api: shows no token losses to rank by; set rank to generate")
        if self.student.startswith("recorded:") and (self.robust or self.rank != "text"):
            raise ValueError("recorded: cannot be asked again; leave rank and robust as they are")
        if self.student.startswith(("api:", "recorded:")) and (self.workers != 1 or self.adapter is not None):
            raise ValueError("workers and adapter are for a student that is loaded here; leave them out")
        if isinstance(self.workers, int) and self.workers < 1:
            raise ValueError("workers must be 1 or more, or ray")
        return self


@dataclass
class EvaluateResult:
    """What notebook 1 shows; images are under `image_root`, `paths` are the files written, by name.

    Of a run without diagnose questions, `bad_cases` and `weights` are empty and not written. `alike` counts the
    bad cases that were left out of the pool because another of their type asks nearly the same.
    """

    image_root: Path
    metrics: Metrics
    answers: list[Answer]
    bad_cases: dict[str, list[Answer]]
    alike: dict[str, int]
    weights: dict[str, float]
    skipped: list[Skipped]
    paths: dict[str, Path]


def evaluate(config: EvaluateConfig, student: "Answerer | None" = None) -> EvaluateResult:
    """Score the questions of `split`; write answers, metrics, predictions, and diagnose's cases and weights.

    `student` is a loaded one to use in place of `config.student`. Rows that cannot be used are left out and
    counted. What is answered is kept as it comes: a run that was killed goes on from there.
    Raises DataEngineError when too many rows cannot be used (`max_bad_share`), when nothing is left to ask, or
    when a holdout question was an example for the teacher.
    """
    categories = read_categories(config.categories)
    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    content = read_question_file(
        config.questions, config.image_root, type_field=config.type_field, split_field=config.split_field
    )
    tasks, skips = _tasks(config, content)
    holdout = [task.question for task in tasks if task.split == HOLDOUT]
    check_not_examples(holdout, config.teacher_queries)
    _check_writable(config.output_dir)
    source, served = "", None
    if student is None and config.student.startswith("recorded:"):
        said, source = _recorded(config, content, tasks, skips)
    else:
        if student is None and config.student.startswith("api:"):
            served = _served(config)
        said = _asked(config, served or student, tasks, skips)
    answers = [
        answer_of(task.question, task.place, task.split, task.image, said[task.place])
        for task in tasks
        if task.place in said
    ]
    if not answers:
        raise DataEngineError(
            f"{config.questions}: no question is left to score; check image_root and max_bad_share"
        )
    metrics = measure(answers, categories.names, _rule(config), config.weight_rule, skips.summary())
    metrics.source = source
    if served is not None:
        metrics.usage = served.usage()
    bad_cases: dict[str, list[Answer]] = {}
    alike: dict[str, int] = {}
    weights: dict[str, float] = {}
    if DIAGNOSE in metrics.splits:
        scores = metrics.splits[DIAGNOSE].per_type
        wrong = [answer for answer in answers if answer.split == DIAGNOSE and not answer.correct]
        for kind in scores:
            mine = [answer for answer in wrong if answer.question_type == kind]
            bad_cases[kind] = reduce_pool(mine, config.near_duplicate, config.seed).kept
            alike[kind] = len(mine) - len(bad_cases[kind])
        weights = weights_of(metrics.counts(), config.weight_rule)
    paths = _write(config.output_dir, answers, metrics, bad_cases, weights)
    (config.output_dir / PROGRESS).unlink(missing_ok=True)
    return EvaluateResult(config.image_root, metrics, answers, bad_cases, alike, weights, skips.rows, paths)


def _tasks(config: EvaluateConfig, content: QuestionRows) -> tuple[list[Task], Skips]:
    """The questions of the wanted split whose image file is there, and the rows that fell out so far."""
    check_own_splits(config.questions, content.questions, content.rows, config.split_field)
    splits = assign_splits(content.questions)
    wanted = [i for i, split in enumerate(splits) if config.split in ("all", split)]
    skips = Skips(config.questions, config.max_bad_share, len(wanted) + len(content.skipped))
    skips.add(content.skipped)
    if not wanted:
        raise DataEngineError(f"{config.questions}: no usable question in split {config.split}; check split")
    tasks, lost = [], []
    for i in wanted:
        question, row = content.questions[i], content.rows[i]
        try:
            image = image_of(question, config.image_root)
        except DataEngineError as error:
            lost.append(Skipped(row, f"image {error}", "image not found"))
        else:
            tasks.append(Task(row, content.places[i], question, splits[i], image))
    skips.add(lost)
    return tasks, skips


def _check_writable(folder: Path) -> None:
    """An hour of scoring must not end at a folder that cannot be written."""
    probe = folder / ".evaluate.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose an output_dir you may write to"
        ) from error


def _recorded(
    config: EvaluateConfig, content: QuestionRows, tasks: list[Task], skips: Skips
) -> tuple[dict[int, Said], str]:
    """What a file says of the tasks, by their places, and how it was read.

    Rows of either side without a partner are left out.
    """
    found = read_recorded(Path(config.student.partition(":")[2]), content)
    skips.add(found.unmatched, more=len(found.unmatched))
    by_place = {content.places[i]: said for i, said in found.said.items()}
    missing = [task for task in tasks if task.place not in by_place]
    skips.add([Skipped(task.row, "no prediction for this question", "no prediction") for task in missing])
    return by_place, found.format


def _asked(
    config: EvaluateConfig, student: "Answerer | ApiStudent | None", tasks: list[Task], skips: Skips
) -> dict[int, Said]:
    """What the student says of the tasks, by their places, a part at a time."""
    parts = by_image(tasks, config.batch_size)
    make = partial(_questioner, config, student)
    if student is not None:
        # a server's answers are kept in its ledger, those of a student that was handed over not at all
        coming = answered(parts, make)
    else:
        file = config.output_dir / PROGRESS
        coming = answered_with_progress(
            parts, make, config.workers, file, _opinion(config), config.image_root
        )
    said: dict[int, Said] = {}
    with closing(coming), tqdm(total=len(tasks), desc="questions", disable=None) as bar:
        for number, outcomes in coming:
            skips.add([outcome for outcome in outcomes if isinstance(outcome, Skipped)])
            for task, outcome in zip(parts[number], outcomes, strict=True):
                if isinstance(outcome, Said):
                    said[task.place] = outcome
            bar.update(len(outcomes))
    return said


def _opinion(config: EvaluateConfig) -> str:
    """What a local student's answers depend on beside the questions."""
    names = (config.student, config.adapter or "")
    folders = [Path(name) for name in names if name and Path(name).exists()]
    manner = (config.rank, config.robust, config.direct_answers, config.dtype)
    return fingerprint(*names, *folders, *manner)


def _questioner(config: EvaluateConfig, given: "Answerer | ApiStudent | None" = None) -> Questioner:
    from dataengine_lib.students.loading import load_student

    student = given or load_student(
        config.student, config.device, config.adapter, config.batch_size, config.dtype
    )
    manner = Manner(config.rank, config.robust, config.direct_answers)
    return Questioner(student, config.student, manner, config.image_root, config.questions)


def _served(config: EvaluateConfig) -> "ApiStudent":
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
        price=read_prices().of(config.student),
    )


def _rule(config: EvaluateConfig) -> str:
    return "recorded" if config.student.startswith("recorded:") else config.rank


def _write(
    folder: Path,
    answers: list[Answer],
    metrics: Metrics,
    bad_cases: dict[str, list[Answer]],
    weights: dict[str, float],
) -> dict[str, Path]:
    predictions = {answer.question_id: _prediction(answer) for answer in answers}
    paths = [
        write_json(folder / "aokvqa_eval.json", answers),
        write_json(folder / "metrics.json", metrics),
        write_json(folder / "predictions.json", predictions),
    ]
    if bad_cases:
        paths.append(write_json(folder / "bad_case_aokvqa_classified.json", bad_cases))
        paths += write_weights(folder, weights)
    return {path.name: path for path in paths}


def _prediction(answer: Answer) -> dict[str, str]:
    """A value of A-OKVQA's leaderboard file, where what was not told or not asked has no key.

    Source: A-OKVQA's eval_predictions.py, which refuses a multiple_choice that is none of the choices.
    """
    said: dict[str, str] = {}
    if answer.predicted_choice_idx >= 0:
        said["multiple_choice"] = answer.model_answer
    if answer.direct_answer is not None:
        said["direct_answer"] = answer.direct_answer
    return said
