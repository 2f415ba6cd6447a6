"""Tests of step 1: what is asked, what is counted, which files are written, and what stops it."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from colour_student import ColourStudent, edit, question, run  # noqa: F401
from tiny_models import save_tiny_llava

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.direct_answers import direct_answer_score, extract_direct_answer
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.queries.bad_cases import read_bad_cases
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate


def test_every_question_is_scored_and_every_file_written(root: Path) -> None:
    result = run(root)
    answers: list[Answer] = read_json(root / "out/aokvqa_eval.json", list[Answer])
    assert answers == result.answers
    assert [answer.question_id for answer in answers] == [f"q{n}" for n in range(7)]
    assert [answer.correct for answer in answers] == [True, False, True, True, False, True, True]
    wrong = answers[1]
    assert (wrong.model_answer, wrong.predicted_choice_idx, wrong.scores) == (
        "green",
        1,
        [-2.0, -0.5, -2.0, -2.0],
    )
    assert (wrong.image_path, wrong.idx, wrong.split) == ("images/000000000002.png", 1, "diagnose")
    assert wrong.prompt.endswith("Answer: The answer is (A): red.\nQuestion type: image scene")
    assert set(result.paths) == {path.name for path in (root / "out").iterdir()}
    assert len(result.paths) == 6


def test_metrics_per_split_and_type(root: Path) -> None:
    result = run(root)
    metrics: Metrics = read_json(root / "out/metrics.json", Metrics)
    assert metrics == result.metrics
    diagnose, holdout = metrics.splits["diagnose"], metrics.splits["holdout"]
    assert (diagnose.overall.total, diagnose.overall.correct, diagnose.overall.accuracy) == (4, 3, 0.75)
    # Wilson, 3 of 4 about two images: as many as a quarter of a question, (t of 3 / t of 1 degrees of freedom)^2 * 4
    assert (diagnose.overall.low, diagnose.overall.high) == (0.0346, 0.996)
    by_type = diagnose.per_type["image_scene"]  # Wilson, 1 of 2, about an image each
    assert (by_type.accuracy, by_type.low, by_type.high) == (0.5, 0.0945, 0.9055)
    assert holdout.per_type["image_style"].correct == 1
    assert len(diagnose.per_type) == 18
    nothing = diagnose.per_type["image_topic"]
    assert (nothing.total, nothing.accuracy, nothing.low, nothing.high, nothing.direct_answer) == (
        0,
        None,
        0,
        1,
        None,
    )
    assert metrics.skipped.total == 0 and metrics.skipped.of == 7


def test_direct_answers_follow_the_official_score(root: Path) -> None:
    result = run(root)
    assert {answer.direct_answer for answer in result.answers} == {"Red"}
    assert [a.direct_answer_score for a in result.answers] == [0.6667, 0.6667, 0.0, 0.0, 0.6667, 1.0, 0.0]
    style = result.metrics.splits["holdout"].per_type["image_style"]
    assert (style.direct_total, style.direct_answer) == (1, 0.6667)  # the difficult one is left out
    predictions = json.loads((root / "out/predictions.json").read_text())
    assert predictions["q1"] == {"multiple_choice": "green", "direct_answer": "Red"}
    assert len(predictions) == 7


def test_an_empty_direct_answer_counts_as_wrong(root: Path) -> None:
    student = ColourStudent()
    student.generate = lambda images, prompts, max_new_tokens=8: ["" for _ in prompts]  # type: ignore[method-assign]
    overall = run(root, student).metrics.splits["diagnose"].overall
    assert (overall.direct_total, overall.direct_answer) == (4, 0.0)


def test_direct_answers_can_be_left_out(root: Path) -> None:
    student = ColourStudent()
    result = run(root, student, direct_answers=False)
    assert all("(A) red (B) green" in prompt for prompt in student.asked) and len(student.asked) == 7
    assert result.metrics.splits["diagnose"].overall.direct_answer is None


def test_bad_cases_and_weights_come_from_diagnose_alone(root: Path) -> None:
    result = run(root)
    bad = json.loads((root / "out/bad_case_aokvqa_classified.json").read_text())
    assert len(bad) == 18
    assert {kind: len(rows) for kind, rows in bad.items() if rows} == {"image_scene": 1}
    assert bad["image_scene"][0]["question_id"] == "q1"
    cases = read_bad_cases(
        root / "out/bad_case_aokvqa_classified.json", BadRows("", 0)
    )  # step 2 can read them
    assert [case.key for case in cases["image_scene"]] == ["q1"]
    weights = json.loads((root / "out/weight.json").read_text())
    shrunk = {kind: row["shrunk"].weight for kind, row in result.metrics.weights.items()}
    assert weights["image_scene"] == pytest.approx(shrunk["image_scene"] ** 2, abs=1e-3)  # the default rule
    assert weights["image_scene"] >= weights["image_style"] > 0
    assert json.loads((root / "out/weight.txt").read_text()) == weights == result.weights
    assert read_weights(root / "out/weight.json", list(bad)) == weights
    published = run(root, weight_rule="1-acc").weights
    assert published["image_scene"] == 0.5 and published["image_style"] == 0.0
    assert run(root, weight_rule="sqrt(1-acc)").weights["image_scene"] == 0.707


@pytest.mark.parametrize(("split", "ids"), [("holdout", [3, 4, 6]), ("diagnose", [0, 1, 2, 5])])
def test_one_split_alone(root: Path, split: str, ids: list[int]) -> None:
    result = run(root, split=split)
    assert [answer.question_id for answer in result.answers] == [f"q{n}" for n in ids]
    assert set(result.metrics.splits) == {split}
    assert ("weight.json" in result.paths) == (root / "out/weight.json").exists() == (split == "diagnose")
    assert (root / "out/bad_case_aokvqa_classified.json").exists() == (split == "diagnose")


def test_images_come_once_and_in_batches(root: Path) -> None:
    student = ColourStudent()
    run(root, student, batch_size=3)
    assert student.looked_at == [3, 1]  # four images for seven questions


def test_a_classified_file_is_the_same(root: Path) -> None:
    plain = run(root).answers
    grouped: dict[str, list[Any]] = {"image_scene": [], "image_style": []}
    for row in json.loads((root / "questions.json").read_text()):
        grouped[row.pop("question_type")].append(row)
    (root / "questions.json").write_text(json.dumps(grouped))
    found = {answer.question_id: answer for answer in run(root).answers}
    for answer in plain:
        other = found[answer.question_id]
        assert msgspec.structs.replace(other, idx=answer.idx) == answer


def test_questions_without_type_or_split_are_counted(root: Path) -> None:
    edit(root, lambda rows: [{**row, "question_type": "", "split": "val"} for row in rows])
    metrics = run(root).metrics
    assert sum(split.overall.total for split in metrics.splits.values()) == 7
    assert sum(split.per_type["unclassified"].total for split in metrics.splits.values()) == 7


def spoil_image(root: Path) -> None:
    file = root / "images/000000000004.png"
    file.write_bytes(file.read_bytes()[:60])


def lose_image(root: Path) -> None:
    edit(root, lambda rows: rows[4].update(image_id=99, image_path="images/none.png"))


def spoil_row(root: Path) -> None:
    edit(root, lambda rows: rows[4].update(choices=None))


def leave_root(root: Path) -> None:
    edit(root, lambda rows: rows[4].update(image_path="../../etc/passwd"))


@pytest.mark.parametrize(
    ("damage", "kind", "reason"),
    [
        (spoil_image, "image cannot be read", "000000000004.png cannot be read"),
        (lose_image, "image not found", "images/none.png: image not found under"),
        (spoil_row, "malformed row", "choices"),
        (leave_root, "image not found", "leads outside"),
    ],
)
def test_a_bad_row_is_skipped_or_stops_the_step(root: Path, damage: Any, kind: str, reason: str) -> None:
    damage(root)
    with pytest.raises(DataEngineError, match=r"1 of 7 rows cannot be used.*max_bad_share") as caught:
        run(root, max_bad_share=0)
    line = str(caught.value)
    assert str(root / "questions.json") in line and "row 4" in line and reason in line and "\n" not in line
    assert not list((root / "out").glob("*.json")) if (root / "out").exists() else True
    result = run(root)  # a single row never refuses a file
    assert [row.kind for row in result.skipped] == [kind]
    assert result.metrics.skipped.by_reason == {kind: 1}
    assert [answer.question_id for answer in result.answers] == ["q0", "q1", "q2", "q3", "q5", "q6"]
    assert [answer.idx for answer in result.answers] == [0, 1, 2, 3, 5, 6]


def test_earlier_files_stay_when_a_run_stops(root: Path) -> None:
    run(root)
    before = {path.name: path.read_bytes() for path in (root / "out").iterdir()}
    spoil_image(root)
    with pytest.raises(DataEngineError):
        run(root, max_bad_share=0)
    assert before == {path.name: path.read_bytes() for path in (root / "out").iterdir()}


def test_nothing_left_to_ask_is_an_error(root: Path) -> None:
    shutil.rmtree(root / "images")
    for file in root.glob("*.png"):
        file.unlink()
    with pytest.raises(DataEngineError, match="7 of 7 rows cannot be used"):
        run(root)
    with pytest.raises(DataEngineError, match="no question is left to score"):
        run(root, max_bad_share=1)
    edit(root, lambda rows: rows[:3])
    with pytest.raises(DataEngineError, match="no usable question in split holdout"):
        run(root, split="holdout")


def test_wrong_paths_are_named_before_the_student_is_loaded(root: Path) -> None:
    with pytest.raises(DataEngineError, match="no such image folder; check image_root"):
        run(root, image_root=root / "none")
    (root / "file").touch()
    with pytest.raises(DataEngineError, match="cannot be written"):
        run(root, output_dir=root / "file" / "out")
    with pytest.raises(ParameterError, match="unknown key 'splits'; nearest valid key: 'split'"):
        EvaluateConfig.read({"splits": "all"}, "here")


def test_a_student_without_finite_scores_is_an_error(root: Path) -> None:
    student = ColourStudent()
    student.rank = lambda images, prompts, choices, scored: [[float("nan")] * 4 for _ in prompts]  # type: ignore[method-assign]
    with pytest.raises(DataEngineError, match="weights are broken or overflow"):
        run(root, student)


def test_a_real_student_gives_the_same_bytes_whatever_the_batch(root: Path) -> None:
    folder = save_tiny_llava(root / "model")
    values = {
        "questions": root / "questions.json",
        "image_root": root,
        "student": str(folder),
        "device": "cpu",
        "categories": "v1",
    }
    files = []
    for batch_size in (1, 3, 64, 64):
        out = root / f"batch{batch_size}"
        evaluate(EvaluateConfig(**values, output_dir=out, batch_size=batch_size))
        files.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert files[0] == files[1] == files[2] == files[3]
    answers: list[Answer] = read_json(root / "batch64/aokvqa_eval.json", list[Answer])
    assert len({tuple(answer.scores) for answer in answers}) == 7
    assert all(answer.direct_answer for answer in answers)


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        (" dog.", "dog"),
        ("(B) dog.", "dog"),
        ("a red car. It is", "a red car"),
        ("3.5 metres", "3.5 metres"),
        ("\n\nyes\nno", "yes"),
        ("", ""),
        ("B) cat", "cat"),
        ("U.S. flag", "U.S. flag"),
        ("St. Louis. It has an arch.", "St. Louis"),
        ("Mr. Bean", "Mr. Bean"),
        ("dr. pepper.", "dr. pepper"),
        ("no. 5", "no. 5"),
        ("no. It is a dog", "no"),
        ("e.g. cat", "e.g. cat"),
        ("the first. Or the last", "the first"),
        ("3.5", "3.5"),
    ],
)
def test_direct_answers_are_extracted_from_what_was_written(written: str, answer: str) -> None:
    assert extract_direct_answer(written) == answer


@pytest.mark.parametrize(
    ("given", "answers", "score"),
    [
        ("dog", ["dog"] * 10, 1.0),
        ("Dog!", ["dog", "cat", "dog "], 2 / 3),
        ("dog", ["dogs", "cat"], 0.0),
        ("", ["dog"], 0.0),
        ("", ["", "?", "!"], 0.0),
        ("?", ["?", "?", "?"], 0.0),
        ("5", ["$5", "-5", "5%"], 0.0),
        ("$5", ["$5", "5", "$5."], 2 / 3),
        ("-3", ["3", "3", "-3"], 1 / 3),
        ("c", ["c++", "c#", "c"], 1 / 3),
        ("+", ["-", "+", "×"], 1 / 3),
        ("“Rock 'n' Roll!”", ["rock 'n' roll"] * 3, 1.0),
        (".5", ["5", ".5", "0.5"], 1 / 3),
    ],
)
def test_direct_answer_score(given: str, answers: list[str], score: float) -> None:
    assert direct_answer_score(given, answers) == pytest.approx(score)
