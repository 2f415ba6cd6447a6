"""Step 6: the evaluations question by question, as a frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.evaluation.rounds.pairs import pair_answers
from dataengine_lib.frames.answers import EvaluatedAnswers, confidence_of, outcome_of, question_columns
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.frames.read_files import read_evaluation

if TYPE_CHECKING:
    import pandas as pd


def step_comparison_frame(figures: Figures) -> "pd.DataFrame":
    """The questions of one run of step 6, read from the evaluations that its figures name.

    Raises DataEngineError when one of them cannot be read any more.
    """
    files = [Path(one.evaluation) for one in figures.rounds]
    evaluations = [
        EvaluatedAnswers(number, one.name, read_evaluation(file, []))
        for number, (one, file) in enumerate(zip(figures.rounds, files, strict=True), 1)
    ]
    return comparison_frame(evaluations, files, figures.split)


def comparison_frame(
    evaluations: Sequence[EvaluatedAnswers], files: Sequence[Path], split: str = "all"
) -> "pd.DataFrame":
    """Each question that all evaluations share, with its outcome: first against last, then each against the next.

    As in step 6, a question is the same where its text, choices and right answer are. `files` are the evaluations', for
    messages. Empty with fewer than two evaluations. Raises DataEngineError when they share no question of `split`.
    """
    if len(evaluations) < 2:
        return make_frame("comparison", [])
    pairs = pair_answers([one.answers for one in evaluations], files, split)
    last = len(evaluations) - 1
    rows = []
    # with two evaluations, first against last is each against the next
    for before, after in [(0, last), *((n, n + 1) for n in range(last) if last > 1)]:
        for one, other in zip(pairs.rounds[before], pairs.rounds[after], strict=True):
            rows.append(
                question_columns(one)
                | {
                    "before": evaluations[before].name,
                    "after": evaluations[after].name,
                    "answer_before": one.model_answer,
                    "answer_after": other.model_answer,
                    "confidence_before": confidence_of(one),
                    "confidence_after": confidence_of(other),
                    "outcome": outcome_of(one.correct, other.correct),
                }
            )
    return make_frame("comparison", rows)
