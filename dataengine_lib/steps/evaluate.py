"""Step 1: ask the student every question; where it is weak becomes bad cases and weights."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from tqdm.auto import tqdm

from dataengine_lib.data.categories import read_categories
from dataengine_lib.data.files import write_json
from dataengine_lib.data.images import read_image
from dataengine_lib.data.metrics import (
    NO_TYPE,
    Metrics,
    SkippedRows,
    SplitScore,
    direct_answer_score,
    first_answer,
    score_split,
)
from dataengine_lib.data.questions import QuestionRows, Skipped, image_of, read_question_file
from dataengine_lib.data.records import Answer, Question, options_text, qa_prompt
from dataengine_lib.data.splits import DIAGNOSE, SPLITS, Split, assign_splits
from dataengine_lib.data.weights import WeightRule, weights_of, write_weights
from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.config import StepConfig

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.models.answerer import Answerer

_DIRECT_TOKENS = 8  # A-OKVQA's direct answers are one to three words
_DECODERS = 4


class EvaluateConfig(StepConfig):
    """Parameters of `1_evaluate`."""

    questions: Path  # A-OKVQA-style list, or {type: [question]} of step 0
    image_root: Path  # folder that the questions' images are in
    student: str  # model folder or hub name
    output_dir: Path
    split: Literal["all", "diagnose", "holdout"] = "all"  # questions to score
    rank: Literal["text"] = "text"  # options by the mean token loss of their text
    weight_rule: WeightRule = "1-acc"
    categories: Path = Path("params/categories/v1.yaml")
    batch_size: int = Field(64, ge=1)  # questions in one pass
    device: str = "auto"
    direct_answers: bool = True  # also let the student answer without the options
    max_bad_share: float = Field(0.05, ge=0, le=1)  # stop when more rows than this cannot be used
    seed: int = 0  # for the record: nothing in this step is drawn


@dataclass
class EvaluateResult:
    """What notebook 1 shows; images are under `image_root`, `paths` are the files written, by name.

    Of a run without diagnose questions, `bad_cases` and `weights` are empty and not written.
    """

    image_root: Path
    metrics: Metrics
    answers: list[Answer]
    bad_cases: dict[str, list[Answer]]
    weights: dict[str, float]
    skipped: list[Skipped]
    paths: dict[str, Path]


@dataclass
class _Task:
    """A question to ask: where it stands, its split and its image relative to the image root."""

    row: str
    place: int
    question: Question
    split: Split
    image: str


class _Skips:
    """Rows left out; too many of them stop the step, naming the first."""

    def __init__(self, config: EvaluateConfig, rows: int, first: list[Skipped]) -> None:
        self.config, self.of = config, rows
        self.rows: list[Skipped] = []
        self.add(first)

    def add(self, rows: list[Skipped]) -> None:
        self.rows += rows
        if len(self.rows) > self.config.max_bad_share * self.of:
            first = self.rows[0]
            raise DataEngineError(
                f"{self.config.questions}: {first.row}: {first.reason}; {len(self.rows)} of {self.of} rows "
                f"cannot be used: mend them, check image_root, or raise max_bad_share "
                f"({self.config.max_bad_share})"
            )

    def summary(self) -> SkippedRows:
        reasons = Counter(row.kind for row in self.rows)
        return SkippedRows(len(self.rows), self.of, dict(sorted(reasons.items())), self.rows)


def evaluate(config: EvaluateConfig, student: "Answerer | None" = None) -> EvaluateResult:
    """Score the questions of `split`; write answers, metrics, predictions, and diagnose's cases and weights.

    `student` is a loaded one to use in place of `config.student`. Rows that cannot be used are left out and
    counted. Raises DataEngineError when they are more than `max_bad_share`, or nothing is left to ask.
    """
    types = read_categories(config.categories).names
    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    tasks, skips = _tasks(config, read_question_file(config.questions))
    _check_writable(config.output_dir)
    if student is None:
        from dataengine_lib.models.student_loading import load_student

        student = load_student(config.student, config.device, batch_size=config.batch_size)
    answers = _ask(config, student, tasks, skips)
    if not answers:
        raise DataEngineError(
            f"{config.questions}: no question is left to score; check image_root and max_bad_share"
        )
    splits: dict[str, SplitScore] = {
        split: score_split(part, types, direct=config.direct_answers)
        for split in SPLITS
        if (part := [answer for answer in answers if answer.split == split])
    }
    metrics = Metrics(splits, config.rank, config.weight_rule, skips.summary())
    bad_cases: dict[str, list[Answer]] = {}
    weights: dict[str, float] = {}
    if DIAGNOSE in splits:
        bad_cases = {name: [] for name in splits[DIAGNOSE].per_type}
        for answer in answers:
            if answer.split == DIAGNOSE and not answer.correct:
                bad_cases[answer.question_type].append(answer)
        accuracies = {
            name: score.correct / score.total if score.total else None
            for name, score in splits[DIAGNOSE].per_type.items()
        }
        weights = weights_of(accuracies, config.weight_rule)
    paths = _write(config.output_dir, answers, metrics, bad_cases, weights)
    return EvaluateResult(config.image_root, metrics, answers, bad_cases, weights, skips.rows, paths)


def _tasks(config: EvaluateConfig, content: QuestionRows) -> tuple[list[_Task], _Skips]:
    """The questions of the wanted split whose image file is there, and the rows that fell out so far."""
    splits = assign_splits(content.questions)
    wanted = [i for i, split in enumerate(splits) if config.split in ("all", split)]
    skips = _Skips(config, len(wanted) + len(content.skipped), content.skipped)
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
            tasks.append(_Task(row, content.places[i], question, splits[i], image))
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


def _ask(config: EvaluateConfig, student: "Answerer", tasks: list[_Task], skips: _Skips) -> list[Answer]:
    """The answers in the questions' order; images are read once and passed on a batch at a time."""
    answers: dict[int, Answer] = {}
    with (
        ThreadPoolExecutor(_DECODERS) as pool,
        tqdm(total=len(tasks), desc="questions", disable=None) as bar,
    ):
        for part in _by_image(tasks, config.batch_size):
            names = list(dict.fromkeys(task.image for task in part))
            read = dict(
                zip(names, pool.map(lambda name: read_image(config.image_root / name), names), strict=True)
            )
            readable, images, lost = [], [], []
            for task in part:
                image = read[task.image]
                if isinstance(image, str):
                    lost.append(Skipped(task.row, image, "image cannot be read"))
                else:
                    readable.append(task)
                    images.append(image)
            skips.add(lost)
            for task, answer in zip(readable, _answer(config, student, readable, images), strict=True):
                answers[task.place] = answer
            bar.update(len(part))
    return [answers[place] for place in sorted(answers)]


def _by_image(tasks: list[_Task], batch_size: int) -> Iterator[list[_Task]]:
    """Parts of at most `batch_size` images, with all questions about them, in file order."""
    groups: dict[str, list[_Task]] = {}
    for task in tasks:
        groups.setdefault(task.image, []).append(task)
    together = list(groups.values())
    for at in range(0, len(together), batch_size):
        yield [task for group in together[at : at + batch_size] for task in group]


def _answer(
    config: EvaluateConfig, student: "Answerer", tasks: list[_Task], images: "list[Image]"
) -> Iterator[Answer]:
    questions = [task.question for task in tasks]
    prompts = [f"{question.question}\n{options_text(question.choices)}" for question in questions]
    scores = student.rank(images, prompts, [question.choices for question in questions])
    if config.direct_answers:
        said = student.generate(
            images, [question.question for question in questions], max_new_tokens=_DIRECT_TOKENS
        )
    else:
        said = [""] * len(questions)
    for task, given, text in zip(tasks, scores, said, strict=True):
        yield _record(config, task, given, first_answer(text))


def _record(config: EvaluateConfig, task: _Task, scores: list[float], direct_answer: str) -> Answer:
    question = task.question
    if not all(map(isfinite, scores)):
        raise DataEngineError(
            f"{config.questions}: {task.row}: student {config.student} scores {scores}; "
            "its weights are broken or overflow in half precision, set device to cpu to tell"
        )
    # four decimals: what is left does not depend on the batch that a question came in
    scores = [round(score, 4) for score in scores]
    best = scores.index(max(scores))
    kind = question.question_type or NO_TYPE
    return Answer(
        image_id=question.image_id,
        image_path=task.image,
        idx=task.place,
        question=question.question,
        choices=question.choices,
        correct_choice_idx=question.correct_choice_idx,
        direct_answers=question.direct_answers,
        difficult_direct_answer=question.difficult_direct_answer,
        model_answer=question.choices[best],
        question_type=kind,
        prompt=qa_prompt(question.question, question.choices, question.correct_choice_idx, kind),
        question_id=question.question_id,
        split=task.split,
        rationales=question.rationales,
        predicted_choice_idx=best,
        correct=best == question.correct_choice_idx,
        scores=scores,
        direct_answer=direct_answer,
        direct_answer_score=round(direct_answer_score(direct_answer, question.direct_answers), 4),
    )


def _write(
    folder: Path,
    answers: list[Answer],
    metrics: Metrics,
    bad_cases: dict[str, list[Answer]],
    weights: dict[str, float],
) -> dict[str, Path]:
    predictions = {
        answer.question_id: {"multiple_choice": answer.model_answer, "direct_answer": answer.direct_answer}
        for answer in answers
    }
    paths = [
        write_json(folder / "aokvqa_eval.json", answers),
        write_json(folder / "metrics.json", metrics),
        write_json(folder / "predictions.json", predictions),
    ]
    if bad_cases:
        paths.append(write_json(folder / "bad_case_aokvqa_classified.json", bad_cases))
        paths += write_weights(folder, weights)
    return {path.name: path for path in paths}
