"""Step 1 with `weight_rule: progress`: earlier rounds are read first, and the holdout split decides nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import ColourStudent, run

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.learning_progress import TypeProgress


@pytest.fixture
def earlier(root: Path) -> dict[str, Any]:
    """A first round in which the image scene's second question was right, and QAs of that type alone."""
    result = run(root, output_dir=root / "first")
    answers = [*result.answers]
    answers[0].correct, answers[0].score = False, 0.0
    return {
        "earlier_evaluations": [write_json(root / "first/aokvqa_eval.json", answers)],
        "earlier_training": [write_json(root / "first/train.json", [{"question_type": "image_scene"}] * 40)],
    }


def test_weights_are_error_rates_times_the_factors(root: Path, earlier: dict[str, Any]) -> None:
    result = run(root, weight_rule="progress", **earlier)
    file = root / "out/learning_progress.json"
    progress: dict[str, TypeProgress] = read_json(file, dict[str, TypeProgress])
    assert progress == result.progress and result.paths["learning_progress.json"] == file
    scene = progress["image_scene"]
    assert (scene.questions, scene.trained, scene.gain) == (2, 40, 0.5)
    assert result.weights["image_scene"] == pytest.approx(0.5 * scene.factor, abs=1e-3)
    plain = run(root, weight_rule="1-acc", **earlier)
    assert plain.weights["image_scene"] == 0.5 and plain.progress == progress, "shown by every rule"
    written = file.read_bytes()
    run(root, weight_rule="progress", **earlier)
    assert file.read_bytes() == written


def test_the_holdout_split_changes_no_weight(root: Path, earlier: dict[str, Any]) -> None:
    before = run(root, weight_rule="progress", **earlier)
    answers: list[Answer] = read_json(earlier["earlier_evaluations"][0], list[Answer])
    for answer in answers:
        if answer.split == "holdout":
            answer.correct, answer.score = not answer.correct, 1 - answer.score
    write_json(earlier["earlier_evaluations"][0], answers)
    after = run(root, weight_rule="progress", **earlier)
    assert after.weights == before.weights and after.progress == before.progress


def test_in_round_1_the_error_rate_decides(root: Path) -> None:
    result = run(root, weight_rule="progress")
    assert result.weights == run(root, weight_rule="1-acc").weights and result.progress == {}
    assert json.loads((root / "out/learning_progress.json").read_text()) == {}


def test_faults_of_earlier_rounds_are_found_before_the_student_is_asked(
    root: Path, earlier: dict[str, Any]
) -> None:
    student = ColourStudent()
    earlier["earlier_training"][0].write_text("[{")
    with pytest.raises(DataEngineError, match=r"train\.json"):
        run(root, student, weight_rule="progress", **earlier)
    assert not student.asked
    with pytest.raises(ValueError, match="one file each of every earlier round; give as many"):
        run(root, earlier_training=earlier["earlier_training"])
