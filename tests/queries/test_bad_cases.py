"""Step 2's bad cases: one odd row is left out and counted, too many stop the step, other files are named."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.bad_cases import BadCase, read_bad_cases

DEMO = Path(__file__).parents[2] / "data_demo"
WANTED = "bad_case_aokvqa_classified.json of evaluate"


def case(number: int, **more: Any) -> dict[str, Any]:
    row = {"image_id": number, "question_id": f"q{number}", "question": f"Which {number}?"}
    return row | {"choices": ["a", "b"], "correct_choice_idx": 1, "question_type": "image_scene"} | more


def read(file: Path, content: Any, share: float = 0.05) -> tuple[dict[str, list[BadCase]], BadRows]:
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    bad = BadRows(file, share, wanted=WANTED)
    return read_bad_cases(file, bad), bad


ODD: list[tuple[Any, str]] = [
    (None, "Expected `object`, got `null`"),
    (17, "Expected `object`, got `int`"),
    (case(0, question=None), "needs question, choices and a correct_choice_idx inside them, or prompt"),
    (case(0, choices=None), "needs question, choices"),
    (case(0, correct_choice_idx=None), "needs question, choices"),
    (case(0, correct_choice_idx=2), "needs question, choices"),
    (case(0, choices=["a", {"text": "b"}]), "got `object` - at `$.choices[1]`"),
    ({"prompt": "  ", "image_id": 3, "question_type": "image_scene"}, "needs question, choices"),
]


@pytest.mark.parametrize(("odd", "reason"), ODD)
@pytest.mark.parametrize("form", ["by type", "list", "lines", "gzip"])
def test_one_odd_row_is_left_out_and_counted(tmp_path: Path, odd: Any, reason: str, form: str) -> None:
    rows = [case(n) for n in range(1, 21)]
    rows.insert(3, odd)
    content: Any = {"image_scene": rows} if form == "by type" else rows
    where = "image_scene[3]" if form == "by type" else "row 3"
    if form == "lines":
        content, where = "\n".join(json.dumps(row) for row in rows).encode(), "line 4"
    if form == "gzip":
        content = gzip.compress(json.dumps(rows).encode())
    cases, bad = read(tmp_path / "bad.json", content)
    assert [one.key for one in cases["image_scene"]] == [f"q{n}" for n in range(1, 21)]
    (warning,) = bad.warnings()
    assert (
        re.search(r"1 of 21 rows left out: (malformed row|unusable choices) \(1\)", warning)
        and f"first: {where}: " in warning
    )
    assert reason in warning


def test_a_prompt_is_no_remedy_for_a_yes_no_question(tmp_path: Path) -> None:
    odd = case(0, answer_kind="yes_no", choices=None, prompt="Question: Is it red?")
    _, bad = read(tmp_path / "bad.json", [odd, *(case(n) for n in range(1, 21))])
    assert [row.reason for row in bad.rows] == [
        "needs question, choices and a correct_choice_idx inside them"
    ]


def test_over_the_share_it_stops_with_a_remedy(tmp_path: Path) -> None:
    rows = [*(case(n) for n in range(1, 21)), *(odd for odd, _ in ODD)]
    with pytest.raises(DataEngineError) as caught:
        read(tmp_path / "bad.json", {"image_scene": rows})
    line = str(caught.value)
    assert "image_scene[20]: " in line and "8 of 28 rows cannot be used" in line
    assert line.endswith("correct them or raise max_bad_share (0.05)") and "\n" not in line
    cases, _ = read(tmp_path / "bad.json", {"image_scene": rows}, share=0.5)
    assert len(cases["image_scene"]) == 20


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("weight.json", "weights by question type"),
        ("gptvqa_result.jsonl", "replies (gptvqa_result.jsonl of generate-qa)"),
        ("annotations/captions_demo.json", "COCO annotations (captions)"),
        ("metrics.json", "the figures of evaluate"),
    ],
)
def test_another_file_is_named(tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(DataEngineError) as caught:
        read(tmp_path / "bad.json", (DEMO / name).read_bytes(), share=1)
    assert f"not a format that this step reads: looks like {kind}" in str(caught.value)
    assert f"give {WANTED}" in str(caught.value)


def test_a_key_without_a_list_is_one_bad_row(tmp_path: Path) -> None:
    content = {
        "image_scene": [case(n) for n in range(20)],
        "image_style": [],
        "note": "made by hand",
        "ocr": None,
    }
    cases, bad = read(tmp_path / "bad.json", content, share=0.2)
    assert {kind: len(rows) for kind, rows in cases.items()} == {"image_scene": 20, "image_style": 0}
    assert (bad.n_rows, [row.row for row in bad.rows]) == (22, ["note", "ocr"])


def test_types_are_one_however_they_are_written(tmp_path: Path) -> None:
    cases, bad = read(
        tmp_path / "bad.json", [case(1, question_type="Image scene"), case(2), case(3, choices=[1, 2.5])]
    )
    assert [one.key for one in cases["image_scene"]] == ["q1", "q2", "q3"] and not bad.rows
    assert "(A) 1 (B) 2.5" in cases["image_scene"][2].example


def test_a_file_without_any_case_is_read(tmp_path: Path) -> None:
    assert read(tmp_path / "bad.json", {"image_scene": []})[0] == {"image_scene": []}
    assert read(tmp_path / "bad.json", [])[0] == {}
