"""Files of steps 3 and 6 and of exports: odd rows are left out, counted and shown; other files are named."""

import json
from pathlib import Path
from typing import Any

import pytest
from export_records import RECORDS, photos, record
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.rounds.evaluation_file import read_answers
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, compare_rounds
from dataengine_lib.teachers.request import read_queries

DEMO = Path(__file__).parents[2] / "data_demo"


def query(number: int, **more: Any) -> dict[str, Any]:
    return {
        "image_id": number,
        "prompt": f"Ask {number}.",
        "question_type": "ocr",
        "query_id": f"r-{number}",
    } | more


def answer(number: int, **more: Any) -> dict[str, Any]:
    row = {"image_id": number, "question_id": f"q{number}", "question": "Which?", "choices": ["dog", "cat"]}
    judged = {"correct_choice_idx": 1, "model_answer": "cat", "predicted_choice_idx": 1, "correct": True}
    return row | judged | {"split": "holdout", "question_type": "ocr"} | more


@pytest.mark.parametrize(
    ("odd", "kind", "reason"),
    [
        (None, "malformed row", "got `null`"),
        (query(0, prompt=None), "malformed row", "missing required field `prompt`"),
        (query(0, prompt=" "), "malformed row", "prompt is empty"),
        (query(0, question_type=""), "malformed row", "question_type is empty"),
        (query(0, prompt=["a"]), "malformed row", "got `array`"),
        (query(0, query_id="r-5"), "repeated query_id", "the same query_id as row 4 (r-5)"),
    ],
)
def test_an_odd_query_is_left_out(tmp_path: Path, odd: Any, kind: str, reason: str) -> None:
    file = write_json(tmp_path / "q.json", [*(query(n) for n in range(1, 21)), odd])
    bad = BadRows(file, 0.05, wanted="gptvqa_prompt.json of construct-queries")
    assert [one.query_id for one in read_queries(file, bad)] == [f"r-{n}" for n in range(1, 21)]
    (row,) = bad.rows
    assert (row.row, row.kind) == ("row 20", kind) and reason in row.reason
    with pytest.raises(DataEngineError, match=r"1 of 21 rows cannot be used: .* raise max_bad_share \(0\)"):
        read_queries(file, BadRows(file, 0))


def test_nulls_in_optional_fields_are_no_fault_and_a_type_may_be_new(tmp_path: Path) -> None:
    rows = [query(1, image_path=None, example_ids=None, round=None), query(2, question_type="my own type")]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    first, second = read_queries(tmp_path / "q.jsonl", bad := BadRows("q.jsonl", 0))
    assert (first.image_path, first.round, second.question_type) == ("", 0, "my own type") and not bad.rows


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gptvqa_result.jsonl", "replies"),
        ("gptvqa_train_data.json", "training data"),
        ("aokvqa_eval.json", "an eval"),
    ],
)
def test_other_files_are_no_queries(name: str, kind: str) -> None:
    with pytest.raises(DataEngineError, match=f"not a format that this step reads: looks like {kind}"):
        read_queries(DEMO / name, BadRows(DEMO / name, 1, wanted="gptvqa_prompt.json of construct-queries"))


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (17, "malformed row"),
        (answer(0, question=None), "malformed row"),
        (answer(0, correct_choice_idx=9), "unusable choices"),
        (answer(0, model_answer="", predicted_choice_idx=None, correct=None), "malformed row"),
    ],
)
def test_an_odd_answer_is_left_out_of_the_comparison(tmp_path: Path, odd: Any, kind: str) -> None:
    files = [
        write_json(tmp_path / "before.json", [*(answer(n) for n in range(1, 31)), odd]),
        write_json(tmp_path / "after.json", [answer(n) for n in range(1, 31)]),
    ]
    result = compare_rounds(CompareRoundsConfig(evaluations=files, output=tmp_path / "out.json"))
    assert result.figures.questions == 30
    warning = result.warnings[0]
    assert warning.startswith(f"{files[0]}: 1 of 31 rows left out: {kind} (1); first: row 30: ")
    many = write_json(tmp_path / "before.json", [*(answer(n) for n in range(1, 31)), *[odd] * 3])
    with pytest.raises(
        DataEngineError, match=r"3 of 33 rows cannot be used: correct them or raise max_bad_share"
    ):
        compare_rounds(CompareRoundsConfig(evaluations=[many, files[1]], output=tmp_path / "out.json"))


def test_answers_of_v1_are_judged_by_their_text(tmp_path: Path) -> None:
    rows = [answer(n) for n in range(4)]
    for row, text in zip(rows, ["cat", "The cat.", "dog", "a horse"], strict=True):
        del row["correct"], row["predicted_choice_idx"]
        row["model_answer"] = text
    read = read_answers(write_json(tmp_path / "v1.json", rows), BadRows("v1.json", 0))
    assert [(one.correct, one.predicted_choice_idx) for one in read] == [
        (True, 1),
        (True, 1),
        (False, 0),
        (False, -1),
    ]
    assert read_answers(DEMO / "aokvqa_eval.json", BadRows("", 0)) == read_json(
        DEMO / "aokvqa_eval.json", list[type(read[0])]
    )


def test_questions_are_no_evaluation(tmp_path: Path) -> None:
    files = [DEMO / "aokvqa_v1p0_val.json", DEMO / "aokvqa_eval.json"]
    with pytest.raises(DataEngineError) as caught:
        compare_rounds(CompareRoundsConfig(evaluations=files, output=tmp_path / "out.json"))
    assert "looks like questions like A-OKVQA's" in str(caught.value)
    assert "give aokvqa_eval.json of evaluate" in str(caught.value)


def export_verb(folder: Path, rows: list[Any], *more: str) -> Any:
    root, file = photos(folder), write_json(folder / "train.json", rows)
    out = folder / "out" / "llava.json"
    return CliRunner().invoke(
        app, ["export", "llava", "--input", str(file), "--output", str(out), "--image-root", str(root), *more]
    )


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (None, "malformed row (1); first: row 30: "),
        (record(9), "cannot be exported (1); first: record 30 (query 'r-9', image 9): "),
        (record(1, choices=["a", ""]), "cannot be exported (1); first: record 30 "),
        (record(1, question="An <image>?"), "cannot be exported (1); first: record 30 "),
    ],
)
def test_an_odd_record_is_left_out_of_an_export(tmp_path: Path, odd: Any, reason: str) -> None:
    done = export_verb(tmp_path, [*RECORDS * 10, odd])
    assert done.exit_code == 0, done.output
    assert len(read_json(tmp_path / "out" / "llava.json")) == 30
    assert f"warning: {tmp_path / 'train.json'}: 1 of 31 rows left out: {reason}" in done.stderr


def test_too_many_odd_records_stop_an_export(tmp_path: Path) -> None:
    done = export_verb(tmp_path, [*RECORDS, record(8), record(9)])
    assert done.exit_code and "2 of 5 rows cannot be used" in str(done.exception)
    assert "check image_root, or raise max_bad_share (0.05)" in str(done.exception)
    assert not (tmp_path / "out").exists()
