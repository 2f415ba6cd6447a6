"""Step 1 on a test split, whose answers are not public: predictions for the leaderboard, and nothing that looks scored."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import edit, run
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.report import evaluate as measuring
from dataengine_lib.report.charts import score_chart
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate

ANSWERS = ("correct_choice_idx", "direct_answers", "rationales")


def without_answers(rows: list[dict[str, Any]], as_null: bool = False) -> list[dict[str, Any]]:
    if as_null:
        return [{**row, **dict.fromkeys(ANSWERS)} for row in rows]
    return [{key: value for key, value in row.items() if key not in ANSWERS} for row in rows]


@pytest.mark.parametrize("as_null", [False, True])
def test_predictions_are_written_and_nothing_is_scored(root: Path, as_null: bool) -> None:
    edit(root, lambda rows: without_answers(rows, as_null))
    result = run(root)
    assert sorted(path.name for path in (root / "out").iterdir()) == ["metrics.json", "predictions.json"]
    predictions = read_json(root / "out/predictions.json")
    colours = ["red", "green", "green", "blue", "white", "red", "blue"]
    assert predictions == {
        f"q{n}": {"multiple_choice": colour, "direct_answer": "Red"} for n, colour in enumerate(colours)
    }
    metrics: Metrics = read_json(root / "out/metrics.json", Metrics)
    assert (metrics.splits, metrics.weights, metrics.unscored, metrics.skipped.total) == ({}, {}, 7, 0)
    assert (result.bad_cases, result.weights) == ({}, {})
    (warning,) = result.warnings
    assert (
        "no question has an answer" in warning and "7 questions" in warning and "nothing is scored" in warning
    )


def test_the_report_of_a_test_split_says_so(root: Path) -> None:
    edit(root, without_answers)
    metrics = run(root).metrics
    name, scores = metrics.shown()
    assert (name, scores.overall.total, scores.overall.accuracy) == ("unscored", 0, None)
    assert measuring.score_sentence(metrics) == (
        "Nothing is scored: none of the 7 questions has an answer to compare with."
    )
    assert measuring.weakest_sentence(scores.per_type) == ""
    # every display of the notebook, with nothing to show
    notebook = json.loads((PROJECT_ROOT / "notebooks/1_evaluate.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if "scores." in "".join(cell["source"])]
    assert len(cells) >= 7
    known = {"measuring": measuring, "scores": scores, "score_chart": score_chart}
    for cell in cells[2:-1]:
        assert eval(cell, known) is not None
    score_chart(scores.per_type, "Accuracy", scores.chance)


def test_recorded_predictions_of_a_test_split_are_written_in_the_leaderboards_form(root: Path) -> None:
    edit(root, without_answers)
    rows = json.loads((root / "questions.json").read_text())
    made = [
        {
            "question_id": row["question_id"],
            "question": row["question"],
            "choices": row["choices"],
            "model_answer": "blue",
        }
        for row in rows
    ]
    # another person's file may know the answers: they are not compared
    made[0]["correct_choice_idx"] = 2
    (root / "made.json").write_text(json.dumps(made))
    result = evaluate(
        EvaluateConfig(
            questions=root / "questions.json",
            image_root=root,
            student=f"recorded:{root / 'made.json'}",
            output_dir=root / "out",
        )
    )
    assert (result.metrics.unscored, result.skipped) == (7, [])
    assert read_json(root / "out/predictions.json") == {
        f"q{n}": {"multiple_choice": "blue"} for n in range(7)
    }


def test_a_table_without_answers_is_a_test_split_too(root: Path) -> None:
    lines = ["index\tquestion\tA\tB\timage_path"]
    lines += [f"{n}\tWhich colour?\tred\tgreen\timages/00000000000{n}.png" for n in (1, 2)]
    (root / "test.tsv").write_text("\n".join(lines))
    run(root, questions=root / "test.tsv")
    assert {key: row["multiple_choice"] for key, row in read_json(root / "out/predictions.json").items()} == {
        "1": "red",
        "2": "green",
    }


def test_some_rows_without_answers_are_rows_left_out(root: Path) -> None:
    edit(root, lambda rows: [*without_answers(rows[:1]), *rows[1:]])
    result = run(root, max_bad_share=0.2)
    assert [(row.row, row.kind) for row in result.skipped] == [("row 0", "no correct choice")]
    assert (result.metrics.unscored, len(result.answers)) == (0, 6)
    edit(root, lambda rows: [*without_answers(rows[:3]), *rows[3:]])
    with pytest.raises(DataEngineError, match="3 of 7 rows cannot be used"):
        run(root, max_bad_share=0.2)


def test_step_0_counts_odd_rows_and_stops_above_its_share(root: Path) -> None:
    edit(root, lambda rows: [*rows[:6], {**rows[6], "choices": []}])
    values: dict[str, Any] = {"questions": root / "questions.json", "output": root / "classified.json"}
    result = classify_questions(ClassifyQuestionsConfig(**values, max_bad_share=0.2))
    assert [row.row for row in result.skipped] == ["row 6"] and sum(result.counts.values()) == 6
    edit(root, lambda rows: [*rows[:5], {**rows[5], "choices": None}, rows[6]])
    message = (
        r"questions\.json: row 5: .*; row 6: .*; 2 of 7 rows cannot be used: .* raise max_bad_share \(0\.2\)"
    )
    with pytest.raises(DataEngineError, match=message):
        classify_questions(ClassifyQuestionsConfig(**values, max_bad_share=0.2))
    edit(root, without_answers)
    with pytest.raises(DataEngineError, match="no question has an answer, as in a test split"):
        classify_questions(ClassifyQuestionsConfig(**values, max_bad_share=1))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([{"messages": [{"role": "user", "content": "?"}], "images": ["a.jpg"]}] * 3, "LLaMA-Factory"),
        ([{"image": "a.jpg", "conversations": [{"from": "human", "value": "?"}]}], "LLaVA's conversations"),
        ({"questions": [{"question": "?", "image_id": 1, "question_id": 2}], "info": {}}, "looks like"),
    ],
)
def test_another_tools_file_is_named(root: Path, content: Any, kind: str) -> None:
    (root / "questions.json").write_text(json.dumps(content))
    message = rf"questions\.json: .*none of its [13] rows is a question that can be used; it looks like .*{kind}|{kind}"
    with pytest.raises(DataEngineError, match=message):
        run(root, max_bad_share=1)
    with pytest.raises(DataEngineError, match=message):
        classify_questions(
            ClassifyQuestionsConfig(
                questions=root / "questions.json", output=root / "out.json", max_bad_share=1
            )
        )
