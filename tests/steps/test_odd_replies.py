"""Step 4's input: a file of another format is refused and named, a few odd rows are left out and shown."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from export_records import RECORDS, photos

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.export import export
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process

DEMO = Path(__file__).parents[2] / "data_demo"
QA = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
GOOD = {"image_id": 7, "raw_instructions": QA, "question_type": "image_topic"}


def run(file: Path, **more: Any) -> PostProcessResult:
    off = dict.fromkeys(("box_check", "leaks", "near_duplicates", "blind_classifier"), "off")
    return post_process(
        PostProcessConfig(
            input=file, output=file.parent / "out" / "train.json", shuffle_choices=False, **off, **more
        )
    )


def refusal(file: Path, **more: Any) -> str:
    """The one line of a file that is refused; nothing is written."""
    with pytest.raises(DataEngineError) as caught:
        run(file, **more)
    assert not list((file.parent / "out").glob("*.json*"))
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("llamafactory", "chat messages with images, as LLaMA-Factory and ms-swift train on"),
        ("swift", "chat messages with images, as LLaMA-Factory and ms-swift train on"),
        ("trl", "TRL's prompts and completions"),
        ("aokvqa", "questions like A-OKVQA's, which classify-questions, evaluate and fine-tune read"),
    ],
)
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_our_own_exports_are_no_replies(tmp_path: Path, format: str, kind: str, share: float) -> None:
    file = export(format, RECORDS, photos(tmp_path), tmp_path / "data" / "data.json")[0]
    line = refusal(file, max_bad_share=share)
    assert f"not a format that this step reads: looks like {kind}" in line
    assert "give gptvqa_result.jsonl of generate-qa" in line and "none of 3 rows can be read" in line


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gptvqa_prompt.json", "queries (gptvqa_prompt.json of construct-queries), which generate-qa reads"),
        ("bad_case_aokvqa_classified.json", "bad cases by question type"),
        ("metrics.json", "the figures of evaluate (metrics.json)"),
        ("weight.json", "weights by question type"),
        ("annotations/captions_demo.json", "COCO annotations (captions)"),
        ("images/000000100000.jpg", "a JPEG image"),
    ],
)
def test_other_files_of_the_loop_are_named(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "given.json"
    file.write_bytes((DEMO / name).read_bytes())
    assert f"looks like {kind}" in refusal(file)


ODD = [
    b"null",
    b"17",
    b'{"image_id": 1}',
    b"{torn",
    b'{"image_id": 1, "raw_instructions": 3, "question_type": "t"}',
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 20])
def test_one_odd_row_is_left_out_and_shown(tmp_path: Path, odd: bytes, place: int) -> None:
    file, lines = tmp_path / "result.jsonl", [json.dumps(GOOD | {"image_id": n}).encode() for n in range(30)]
    lines.insert(place, odd)
    file.write_bytes(b"\n".join(lines) + b"\n")
    result = run(file)
    assert (result.counts.kept, result.counts.by_reason) == (30, {"malformed row": 1})
    (warning,) = result.warnings
    assert warning.startswith(f"{file}: 1 of 31 rows left out: malformed row (1); first: row {place + 1}: ")


def test_too_many_odd_rows_stop_it_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "result.jsonl"
    lines = [json.dumps(GOOD | {"image_id": n}).encode() for n in range(30)]
    file.write_bytes(b"\n".join([*lines, *ODD]))
    line = refusal(file)
    assert (
        "5 of 35 rows cannot be used: correct them or raise max_bad_share (0.05)" in line
        and "row 31: " in line
    )
    assert run(file, max_bad_share=0.2).counts.kept == 30


def test_dropped_replies_do_not_count_as_odd(tmp_path: Path) -> None:
    file = tmp_path / "result.jsonl"
    skips = [GOOD | {"image_id": n, "raw_instructions": "Question: Skip"} for n in range(9)]
    file.write_text("\n".join(json.dumps(row) for row in [GOOD, *skips]))
    result = run(file, max_bad_share=0)
    assert (result.counts.kept, result.counts.dropped) == (1, 9)
    assert not any("rows left out" in warning for warning in result.warnings)


@pytest.mark.parametrize("form", ["list", "pretty", "gzip", "bom", "crlf", "utf-16"])
def test_rows_are_read_in_every_form(tmp_path: Path, form: str) -> None:
    rows = [GOOD | {"image_id": n} for n in range(3)]
    lines = ("\r\n" if form == "crlf" else "\n").join(json.dumps(row) for row in rows)
    text = json.dumps(rows, indent=1 if form == "pretty" else None) if form in ("list", "pretty") else lines
    content = text.encode({"bom": "utf-8-sig", "utf-16": "utf-16"}.get(form, "utf-8"))
    (tmp_path / "result.jsonl").write_bytes(gzip.compress(content) if form == "gzip" else content)
    result = run(tmp_path / "result.jsonl")
    assert [row["image_id"] for row in read_json(result.output)] == [0, 1, 2]
    assert result.warnings == ["only 3 training records: too few to learn from"]


def test_conversations_behind_an_odd_first_row_are_known(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "Which?\nA. dog\nB. cat\nC. cow\nD. pig"},
        {"from": "gpt", "value": "B"},
    ]
    rows: list[Any] = [{"id": str(n), "image": f"{n}.jpg", "conversations": turns} for n in range(20)]
    (tmp_path / "llava.json").write_text(json.dumps([None, *rows]))
    result = run(tmp_path / "llava.json")
    assert (result.counts.kept, result.counts.by_reason) == (20, {"malformed row": 1})
    assert result.warnings[0].endswith("malformed row (1); first: row 1: is not an object")
