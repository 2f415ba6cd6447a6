"""Exports of yes/no and open-ended records: each format holds those that its trainer can read, and counts the others."""

from pathlib import Path

import pytest
from export_records import photos, record

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.export import export, export_all
from dataengine_lib.exports.hugging_face import read_hf
from dataengine_lib.exports.records import ExportOptions

YES_NO = record(2, question="Is it a dog?", choices=["yes", "no"], answer_kind="yes_no")
OPEN = record(
    3, question="What is it?", choices=[], correct_choice_idx=-1, answer_kind="open", short_answer="cat"
)  # fmt: skip
RECORDS = [record(1), YES_NO, OPEN]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = photos(tmp_path)
    (root / "train2017" / "000000000003.jpg").rename(root / "train2017" / "3.jpg")
    return root


def test_every_format_holds_the_kinds_that_it_can_and_counts_the_others(root: Path, tmp_path: Path) -> None:
    options = ExportOptions()
    done = {one.format: one for one in export_all(RECORDS, root, tmp_path / "all", options)}
    assert {name: one.problem for name, one in done.items() if one.problem} == {}
    without_options = {"aokvqa", "minigpt4", "dataengine-v2"}
    assert {name: one.rows for name, one in done.items()} == {
        name: 2 if name in without_options else 3 for name in done
    }
    assert sorted(options.warnings) == [
        "aokvqa: 1 of 3 records are left out: open-ended questions, which have no choices",
        "dataengine-v2: 1 of 3 records are left out: open-ended questions, which have no choices",
        "minigpt4: 1 of 3 records are left out: open-ended questions, which have no choices",
    ]
    texts = [("<image>Is it a dog?", "The answer is No."), ("<image>What is it?", "The answer is cat.")]
    for name, read in (("llamafactory", read_json), ("swift", read_jsonl)):
        rows = read(done[name].files[0])
        assert [tuple(turn["content"] for turn in row["messages"]) for row in rows[1:]] == texts
    assert [row["completion"][0]["content"] for row in read_jsonl(done["trl"].files[0])][2] == texts[1][1]
    v2 = read_json(done["dataengine-v2"].files[0])[1]
    assert (v2["options"], v2["choice_answer"], v2["answer"]) == (["yes", "no"], "B", "no")
    aokvqa = read_json(done["aokvqa"].files[0])[1]
    assert (aokvqa["choices"], aokvqa["correct_choice_idx"]) == (["yes", "no"], 1)
    rows = list(read_hf([file for file in done["hf"].files if file.suffix == ".parquet"]))
    assert [(row["answer"], row["answer_kind"]) for row in rows] == [
        ("cat", ""), ("no", "yes_no"), ("cat", "open"),
    ]  # fmt: skip
    card = (done["llava"].path.parent / "README.md").read_text()
    assert "3 questions (1 multiple-choice, 1 yes/no, 1 open-ended) on 3 images" in card


def test_questions_without_options_need_no_rationale_and_keep_their_order(root: Path, tmp_path: Path) -> None:
    bare = [record(2, choices=["yes", "no"], rationales=[], answer_kind="yes_no")]
    options = ExportOptions(text_format="QM-AE", copies=2, shuffle_options=True)
    rows = read_json(export("llava", bare, root, tmp_path / "o.json", options)[0])
    assert [row["conversations"][1]["value"] for row in rows] == ["The answer is No."] * 2
    assert options.warnings == []


def test_records_that_are_not_of_their_kind_and_files_without_options_are_errors(
    root: Path, tmp_path: Path
) -> None:
    odd = record(2, choices=[], correct_choice_idx=-1, answer_kind="open")
    with pytest.raises(DataEngineError, match="an open-ended question needs a short answer alone"):
        export("llava", [odd], root, tmp_path / "o.json")
    with pytest.raises(
        DataEngineError, match="answer_kind 'essay' is none of choice, yes_no, open; run post-"
    ):
        export("llava", [record(2, answer_kind="essay")], root, tmp_path / "o.json")
    with pytest.raises(DataEngineError, match="nothing to export; aokvqa: 1 of 1 records are left out"):
        export("aokvqa", [OPEN], root, tmp_path / "o.json")
