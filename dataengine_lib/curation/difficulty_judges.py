"""Step 4: what follows from the student's answers: QAs that it knows, that are too hard, or that readers miss as well."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.check_results import CheckResult
from dataengine_lib.curation.difficulty.band import DifficultyFigures, StudentView, both_wrong
from dataengine_lib.curation.difficulty.student_check import StudentCheck
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import ParameterError

STUDENT_ANSWERS = (
    "student_answers.jsonl"  # beside the output; kept, so that other thresholds ask nothing again
)


def student_check(settings: CheckSettings, progress: Path) -> StudentCheck:
    """What asks the student of `settings`; `progress` keeps its answers. Raises ParameterError without image_root."""
    if settings.image_root is None:
        raise ParameterError("difficulty: the student needs the images; give image_root")
    return StudentCheck(
        student=settings.student,
        adapter=settings.adapter,
        blind=settings.student_blind,
        rank=settings.rank,
        robust=settings.robust,
        batch_size=settings.batch_size,
        device=settings.device,
        dtype=settings.dtype,
        workers=settings.workers,
        image_root=settings.image_root,
        progress=progress,
        seed=settings.seed,
    )


def judge_known(
    records: Iterator[TrainRecord], views: Sequence[StudentView | None], figures: DifficultyFigures
) -> Iterator[CheckResult]:
    """Fails what the student knows; `figures` counts every question that it answered."""
    for record, view in zip(records, views, strict=True):
        if view is None:
            yield CheckResult(judged=False)
            continue
        columns = {"student_answer": view.choice, "student_probability": view.probability}
        known = figures.add(record.question_type, record.correct_choice_idx, view) == "known"
        yield CheckResult(columns, fails=known, why=f"with probability {view.probability:.2f}")


def judge_too_hard(records: Iterator[TrainRecord], low: float) -> Iterator[CheckResult]:
    """Fails what the student gives less than `low` to the right option of."""
    for record in records:
        found = record.student_probability
        if found is None:
            yield CheckResult(judged=False)
        else:
            yield CheckResult(fails=found < low, why=f"the right option has probability {found:.2f}")


def judge_both(records: Iterator[TrainRecord]) -> Iterator[CheckResult]:
    """Fails what neither the student nor the second readers answer like the teacher."""
    for record in records:
        wrong = both_wrong(record)
        yield CheckResult(judged=wrong is not None, fails=bool(wrong))
