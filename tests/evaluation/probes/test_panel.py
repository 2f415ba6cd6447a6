"""Tests of the panel: further sets, measured with the same student, all rows kept, nothing of them diagnosed."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS, QUESTIONS, ColourStudent, root, run  # noqa: F401

from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.evaluate import EvaluateConfig


def panel(root: Path, rows: list[dict[str, Any]] | None = None) -> dict[str, Any]:  # noqa: F811
    other = [
        {"image_id": n, "image_path": f"{n:012d}.png", "question_id": f"p{n}", "question": "Another one?",
         "choices": list(COLOURS), "correct_choice_idx": 0, "question_type": f"kind{n % 2}"}
        for n in range(1, 5)
    ]  # fmt: skip
    (root / "other.json").write_text(json.dumps(other if rows is None else rows))
    return {"colours": {"questions": root / "other.json", "image_root": root / "images"}}


def test_a_panel_is_scored_beside_the_evaluation(root: Path) -> None:  # noqa: F811
    student = ColourStudent()
    result = run(root, student, panel=panel(root))
    assert isinstance(result.metrics.panel, dict)
    score = result.metrics.panel["colours"]
    assert (score.questions, score.images, score.overall.mean, score.left_out) == (4, 4, 0.25, 0)
    assert set(score.per_type) == {"kind0", "kind1"} and score.per_type["kind1"].mean == 0.5
    rows = json.loads((root / "out/panel/colours/aokvqa_eval.json").read_text())
    assert [row["correct"] for row in rows] == [True, False, False, False]
    # nothing of the panel becomes a bad case or a weight
    assert not any("Another one?" in case.question for cases in result.bad_cases.values() for case in cases)
    assert not {"kind0", "kind1"} & set(result.weights)


def test_a_panel_that_is_switched_off_leaves_no_folder(root: Path) -> None:  # noqa: F811
    run(root, panel=panel(root))
    note = root / "out/panel/notes/mine.txt"
    note.parent.mkdir()
    note.write_text("kept")
    run(root)
    assert [file.name for file in (root / "out/panel").iterdir()] == ["notes"] and note.exists()
    note.unlink()
    note.parent.rmdir()
    run(root)
    assert not (root / "out/panel").exists()


def test_a_diagnose_question_is_no_panel_question(root: Path) -> None:  # noqa: F811
    rows = [{**QUESTIONS[0], "image_path": "000000000001.png"}]
    student = ColourStudent()
    with pytest.raises(DataEngineError, match=r"panel\.colours: .*row 0 is a diagnose question"):
        run(root, student, panel=panel(root, rows))
    assert not student.asked


def test_a_panel_of_lost_images_stops_the_step(root: Path) -> None:  # noqa: F811
    given = panel(root)
    given["colours"]["image_root"] = root / "nowhere"
    with pytest.raises(DataEngineError, match=r"panel\.colours: .*nowhere: no such image folder"):
        run(root, panel=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a/b": {"questions": "q", "image_root": "."}}, "no name of a set"),
        ({"a": {"questions": "q"}}, "image_root"),
        ({"a": {"questions": "q", "image_root": ".", "image_rot": 1}}, "image_root"),
        (
            {"A": {"questions": "q", "image_root": "."}, "a": {"questions": "q", "image_root": "."}},
            "same name",
        ),
    ],
)
def test_a_wrong_panel_is_one_line(given: dict[str, Any], message: str) -> None:
    values = {"questions": "q", "image_root": ".", "student": "s", "output_dir": "o", "panel": given}
    with pytest.raises(ParameterError, match=message) as error:
        EvaluateConfig.read(values, "test.yaml: evaluate")
    assert len(str(error.value).splitlines()) == 1
