"""The files of step 1: answers, metrics, predictions for A-OKVQA's leaderboard, bad cases and weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import leaderboard_prediction
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.evaluation.weights import write_weights


def check_writable(folder: Path) -> None:
    """Make the folder and try to write to it, so that hours of scoring do not end at a folder that is read-only.

    Raises DataEngineError when it cannot be written.
    """
    probe = folder / ".evaluate.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose an output_dir you may write to"
        ) from error


def write_evaluation(
    folder: Path,
    answers: Sequence[Answer],
    metrics: Metrics,
    bad_cases: Mapping[str, Sequence[Answer]],
    weights: Mapping[str, float],
) -> dict[str, Path]:
    """Write the files to `folder`; paths by file name.

    Bad cases and weights are written only when there are bad-case types, answers only when they are scored: no other
    step may take those to a test split for wrong ones.
    """
    predictions = {answer.question_id: leaderboard_prediction(answer) for answer in answers}
    paths = [
        write_json(folder / "metrics.json", metrics),
        write_json(folder / "predictions.json", predictions),
    ]
    if not metrics.unscored:
        paths.append(write_json(folder / "aokvqa_eval.json", answers))
    # files of an earlier run stay otherwise: an evaluation of the holdout split alone has no weights
    if bad_cases:
        paths.append(write_json(folder / "bad_case_aokvqa_classified.json", bad_cases))
        paths += write_weights(folder, weights)
    return {path.name: path for path in paths}
