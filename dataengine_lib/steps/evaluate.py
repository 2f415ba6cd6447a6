"""Step 1: ask the student every question; where it is weak becomes bad cases and weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec
from pydantic import BeforeValidator, Field, field_validator, model_validator

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import ANSWERS_FILE, Answer
from dataengine_lib.core.step_config import StepConfig, changed_parameters
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import answer_records
from dataengine_lib.evaluation.holdout_guard import check_holdout_not_shown
from dataengine_lib.evaluation.judge.agreement import judge_agreement
from dataengine_lib.evaluation.judge.judge import AnswerJudge
from dataengine_lib.evaluation.metrics import FIRST_TOKEN, Metrics, compute_metrics
from dataengine_lib.evaluation.output_files import check_writable, write_evaluation
from dataengine_lib.evaluation.probes.asking import ProbeSettings, ask_probes
from dataengine_lib.evaluation.probes.panel import read_panel
from dataengine_lib.evaluation.progress.history import EarlierRounds
from dataengine_lib.evaluation.progress.learning_progress import (
    TypeProgress,
)
from dataengine_lib.evaluation.questioner import AskOptions, RankRule, Robust
from dataengine_lib.evaluation.student_answers import PROGRESS_FILE, StudentSettings, StudentSource
from dataengine_lib.evaluation.tasks import TaskSelection, select_tasks
from dataengine_lib.evaluation.warnings import check_readable, evaluation_warnings, order_warnings
from dataengine_lib.evaluation.weights import WeightRule
from dataengine_lib.questions.categories import read_categories
from dataengine_lib.questions.question_sets import Panel
from dataengine_lib.questions.reader import QuestionRows, read_question_file
from dataengine_lib.questions.splits import HOLDOUT
from dataengine_lib.resources import CATEGORY_SETS
from dataengine_lib.steps.parts.diagnosis import diagnose
from dataengine_lib.students.on_vllm.parameters import vllm_fault
from dataengine_lib.teachers.spec import check_spec
from dataengine_lib.training.external.checkpoint import ANSWERS, holds_answers

if TYPE_CHECKING:
    import pandas as pd

    from dataengine_lib.students.interface import Student


def _named_robust(given: object) -> object:
    """YAML's `true` and `false`, and a bare `off`, which YAML reads as false, as the names of the orders."""
    return {"true": "reverse", "false": "off"}.get(str(given).lower(), given)


class EvaluateConfig(StepConfig):
    """Parameters of `1_evaluate`."""

    questions: Path
    """A-OKVQA list, {type: [question]} of step 0, SEED-Bench, MMBench, VLMEvalKit, MME, POPE, VQAv2, VizWiz, GQA."""
    image_root: Path
    """Folder that the questions' images are in."""
    student: str
    """Model folder or hub name, vllm:NAME, api:MODEL, or recorded:FILE of predictions made elsewhere."""
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
    """How the choice is found. text, letter: lowest mean token loss (vllm: letter); generate: read from the answer."""
    robust: Annotated[Robust, BeforeValidator(_named_robust)] = "off"
    """Also ask with the options in reverse order (also true), or in every rotation: right is what is right in each."""
    direct_answers: bool = True
    """Also ask without the options."""
    blind: bool = False
    """Also ask without the image: what is right there too is not answered by seeing."""
    contamination: bool = False
    """Also ask in other words and with the options in another order, as a sign of questions seen in training."""
    panel: Panel = Field(default_factory=dict)
    """Further sets, {NAME: {questions, image_root}}, measured beside and never trained or diagnosed on."""
    weight_rule: WeightRule = "shrunk^2"
    """How a type's accuracy becomes its weight; uniform: the same for all; progress: less for types that do not respond."""
    earlier_evaluations: list[Path] = Field(default_factory=list)
    """aokvqa_eval.json of earlier rounds, from which progress is measured."""
    earlier_training: list[Path] = Field(default_factory=list)
    """gptvqa_train_data.json of the same rounds."""
    near_duplicate: float = Field(0.8, ge=0, le=1)
    """Similarity from which two bad cases count as one (0: keep all)."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3, mme or a file."""
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
    budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Stop asking api:MODEL before more than this is spent in output_dir."""
    judge: str = ""
    """Model (openai:MODEL) that grades open-ended answers beside the rule, at a cost; empty: none."""
    judge_base_url: str | None = None
    """Its server; default OPENAI_BASE_URL, then OpenAI itself."""
    judge_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Stop asking it before more than this is spent."""
    prices: Path | None = None
    """Price table; default: the built-in one."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the rows cannot be used."""
    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Stop when no option can be read from a larger share of the answers."""
    seed: int = 0
    """Draws which of the near-duplicate bad cases stays."""

    @field_validator("judge")
    @classmethod
    def _is_chat_model(cls, spec: str) -> str:
        if spec and check_spec(spec).partition(":")[0] != "openai":
            raise ValueError("this teacher cannot grade answers; choose openai:MODEL")
        return spec

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if fault := vllm_fault(self.student, self.rank, self.workers, self.device):
            raise ValueError(fault)
        asked = changed_parameters(self, ("rank", "robust", "blind", "contamination", "panel"))
        if self.student.startswith("recorded:") and asked:
            raise ValueError(
                f"recorded: predictions in a file cannot be asked; leave out {' and '.join(asked)}"
            )
        if self.student.startswith(("api:", "recorded:")) and (self.workers != 1 or self.adapter is not None):
            raise ValueError("workers and adapter are for a student that is loaded here; leave them out")
        if self.recorded_filter and not self.student.startswith("recorded:"):
            raise ValueError("recorded_filter is for a student recorded:FILE; leave it out")
        if len(self.earlier_evaluations) != len(self.earlier_training):
            raise ValueError(
                "earlier_evaluations and earlier_training are one file each of every earlier round; give as many"
            )
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
    progress: dict[str, TypeProgress] = field(default_factory=dict)  # empty without earlier rounds

    @property
    def answers_frame(self) -> "pd.DataFrame":
        """The answers as a frame, as in `load_run(…).answers`."""
        from dataengine_lib.frames.answers import EvaluatedAnswers, answers_frame

        return answers_frame([EvaluatedAnswers(0, "", self.answers)])

    @property
    def probe_answers_frame(self) -> "pd.DataFrame":
        """The answers of the probes as a frame, as in `load_run(…).probe_answers`."""
        from dataengine_lib.frames.answers import EvaluatedAnswers
        from dataengine_lib.frames.probes import ProbedEvaluation, probe_answers_frame

        folder = self.paths[ANSWERS_FILE].parent
        return probe_answers_frame([ProbedEvaluation(EvaluatedAnswers(0, "", self.answers), folder)], [])

    @property
    def bad_cases_frame(self) -> "pd.DataFrame":
        """The bad cases as a frame, as in `load_run(…).bad_cases`."""
        from dataengine_lib.frames.answers import EvaluatedAnswers, bad_cases_frame

        cases = [case for of_type in self.bad_cases.values() for case in of_type]
        return bad_cases_frame([EvaluatedAnswers(0, "", cases)], {})


def evaluate(config: EvaluateConfig, student: "Student | None" = None) -> EvaluateResult:
    """Score the questions of `split`; write answers, metrics, predictions, and the diagnose split's bad cases and weights.

    `student` is a loaded one to use instead of `config.student`. Rows that cannot be used are skipped and counted.
    Answers are kept as they come: a run that was killed continues where it was.
    Raises DataEngineError when too many rows cannot be used (`max_bad_share`), when no question is left to ask, or
    when a holdout question was shown to the teacher.
    """
    config = _with_recorded_answers(config)
    categories = read_categories(config.categories)
    content = _read_questions(config)
    wanted = TaskSelection(
        config.questions, config.image_root, config.split, config.split_field, config.max_bad_share
    )
    tasks, skipped = select_tasks(content, wanted)
    holdout = [task.question for task in tasks if task.split == HOLDOUT]
    # everything that can be checked is checked before the student is loaded or paid for
    not_compared = check_holdout_not_shown(holdout, config.teacher_queries, config.max_bad_share)
    left_out: list[str] = []
    earlier = EarlierRounds.read(
        config.earlier_evaluations, config.earlier_training, config.max_bad_share, left_out.append
    )
    check_writable(config.output_dir)
    judge = _judge(config)
    panel = read_panel(config.panel, tasks, config.image_root, config.max_bad_share)
    with StudentSource(_student_settings(config), student) as source:
        given = source.main_answers(content, tasks, skipped)
        ranked = source.ranked()  # before the probes, which are requests too
        answers = answer_records(tasks, given.answers)
        if not answers:
            raise DataEngineError(
                f"{config.questions}: no question is left to score; check image_root and max_bad_share"
            )
        check_readable(answers, config.student, config.max_failed_share)
        scored = [] if content.unanswered else answers
        wanted_probes = ProbeSettings(config.blind, config.contamination, panel, config.seed)
        probes = ask_probes(source, wanted_probes, tasks, scored)
        usage = source.usage()
    # in metrics.json a file of predictions, and a server's list of tokens, count as rules of their own
    rank = (
        FIRST_TOKEN
        if ranked is not None and config.rank == "letter"
        else "recorded"
        if config.student.startswith("recorded:")
        else config.rank
    )
    metrics = compute_metrics(scored, categories.names, rank, config.weight_rule, skipped.summary())
    metrics.source, metrics.usage, metrics.unscored = given.source, usage, len(answers) - len(scored)
    metrics.ranked = ranked or msgspec.UNSET
    metrics.blind, metrics.panel = probes.blind or msgspec.UNSET, probes.panel or msgspec.UNSET
    metrics.contamination = probes.contamination or msgspec.UNSET
    diagnosis = diagnose(
        answers, metrics, config.weight_rule, config.near_duplicate, config.seed, earlier, config.questions
    )
    cases, weights = diagnosis.cases, diagnosis.weights
    verdicts = judge.verdicts(scored) if judge else []
    if judge and verdicts:
        metrics.judge = judge_agreement(verdicts, config.judge, judge.usage())
    paths = write_evaluation(config.output_dir, answers, metrics, cases.kept, weights)
    paths |= probes.write(config.output_dir)
    if verdicts:
        paths["judge.json"] = write_json(config.output_dir / "judge.json", verdicts)
    if config.weight_rule == "progress" and weights:
        paths["learning_progress.json"] = write_json(
            config.output_dir / "learning_progress.json", diagnosis.progress
        )
    # only now: until all files are written, a killed run continues from it
    (config.output_dir / PROGRESS_FILE).unlink(missing_ok=True)
    warnings = (
        not_compared + left_out + evaluation_warnings(metrics, answers, cases.kept, weights, config.split)
    )
    warnings += order_warnings(answers, config.robust, config.contamination) + probes.warnings
    return EvaluateResult(
        config.image_root,
        metrics,
        answers,
        cases.kept,
        cases.alike,
        weights,
        skipped.rows,
        paths,
        warnings,
        diagnosis.progress,
    )


def _judge(config: EvaluateConfig) -> AnswerJudge | None:
    if not config.judge:
        return None
    settings = _chat_settings(config, config.judge_base_url)
    ledger = config.output_dir / "judge_ledger.jsonl"
    return AnswerJudge(config.judge, settings, ledger, config.judge_budget_usd, config.prices)


def _with_recorded_answers(config: EvaluateConfig) -> EvaluateConfig:
    """The config with `recorded:FILE` as student where that is a checkpoint of step 5 with answers in place of a model."""
    folder = Path(config.student)
    if not holds_answers(folder):
        return config
    values = config.model_dump() | {"student": f"recorded:{folder / ANSWERS}"}
    return config.read(values, f"{folder} holds the answers of another trainer's evaluation")


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


def _student_settings(config: EvaluateConfig) -> StudentSettings:
    return StudentSettings(
        student=config.student,
        adapter=config.adapter,
        recorded_filter=config.recorded_filter,
        questions=config.questions,
        image_root=config.image_root,
        output_dir=config.output_dir,
        ask=AskOptions(config.rank, config.robust, config.direct_answers),
        batch_size=config.batch_size,
        device=config.device,
        dtype=config.dtype,
        workers=config.workers,
        chat=_chat_settings(config, config.base_url),
        max_side=config.max_side,
        budget_usd=config.budget_usd,
        prices=config.prices,
        max_bad_share=config.max_bad_share,
    )


def _chat_settings(config: EvaluateConfig, base_url: str | None) -> ChatSettings:
    return ChatSettings(
        base_url=base_url,
        concurrency=config.concurrency,
        max_output_tokens=config.max_output_tokens,
        timeout_s=config.timeout_s,
    )
