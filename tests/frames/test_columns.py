"""Columns of the frames: one name, dtype and meaning each, the same in an empty frame and in the documentation."""

import re

import pandas as pd
import pytest
from project import PROJECT_ROOT

from dataengine_lib.frames.columns import FRAME_COLUMNS, FRAMES, frame_dtypes, make_frame

GUIDE = (PROJECT_ROOT / "docs" / "explore.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("frame", FRAMES)
def test_an_empty_frame_has_the_columns_and_dtypes_of_a_full_one(frame: str) -> None:
    for rows in ([], [{}], [{"question": "Which?"}]):
        found = make_frame(frame, rows)
        assert {name: str(dtype) for name, dtype in found.dtypes.items()} == frame_dtypes(frame)
        assert len(found) == len(rows)


def test_every_column_is_of_a_frame_and_every_frame_has_known_ones() -> None:
    assert {name for names in FRAMES.values() for name in names} == FRAME_COLUMNS.keys()
    assert all(len(set(names)) == len(names) for names in FRAMES.values())


def test_what_is_missing_is_no_value_of_its_own() -> None:
    row = make_frame("records", [{"blind_score": None, "second_answer": None}]).iloc[0]
    assert (row["question"], row["kept"], row["correct_choice_idx"], row["marks"]) == ("", False, 0, [])
    assert pd.isna(row["blind_score"]) and row["second_answer"] is pd.NA


def test_a_number_of_any_size_has_a_place() -> None:
    row = make_frame("records", [{"correct_choice_idx": 10**30, "blind_answer": -(10**30)}]).iloc[0]
    assert row["correct_choice_idx"] == 2**63 - 1 and row["blind_answer"] == 1 - 2**63


def test_the_guide_lists_every_frame_and_column() -> None:
    frames, columns = GUIDE.split("\n## Frames\n")[1].split("\n## Columns\n")
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", frames, re.M)
    assert {name: tuple(re.findall(r"`(\w+)`", names)) for name, names in listed} == FRAMES
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", columns, re.M)
    assert [(name, column.dtype, column.meaning) for name, column in FRAME_COLUMNS.items()] == rows


def test_the_code_of_the_guide_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.M | re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["case"].question_type == "identity_reasoning"  # type: ignore[attr-defined]
