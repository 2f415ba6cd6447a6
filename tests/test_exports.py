"""The exports, read back as their trainers read them."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataengine_lib.data.exports import IMAGE, WRITERS, export
from dataengine_lib.data.files import read_json, read_jsonl
from dataengine_lib.data.records import Question, TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError


def record(image_id: int, **fields: Any) -> TrainRecord:
    known = {
        "image_path": f"train2017/{image_id}.jpg",
        "rationales": ["Short.", "It is a long reason."],
        "query_id": f"r-{image_id}",
        "question": "Which?",
        "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": 1,
        "question_type": "object_localization",
        "raw_instructions": "",
    }
    return TrainRecord(image_id=image_id, **(known | fields))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos" / "train2017"
    folder.mkdir(parents=True)
    for name in ("1", "2", "000000000003"):
        (folder / f"{name}.jpg").write_bytes(b"jpg")
    (tmp_path / "outside.jpg").write_bytes(b"jpg")
    return tmp_path / "photos"


RECORDS = [record(1), record(2, rationales=[], question_type="future_prediction"), record(3, image_path="")]


def test_aokvqa(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("aokvqa", RECORDS, root, tmp_path / "o.json")[0], list[Question])
    assert [row.image_path for row in rows] == [
        f"train2017/{name}.jpg" for name in ("1", "2", "000000000003")
    ]
    assert len({row.question_id for row in rows}) == 3
    first = rows[0]
    assert (first.split, first.choices[first.correct_choice_idx], first.direct_answers) == (
        "train",
        "cat",
        ["cat"] * 10,
    )


def test_llava(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("llava", RECORDS, root, tmp_path / "o.json")[0])
    assert rows[0] == {
        "id": "r-1-0",
        "image": "train2017/1.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhich?\n(A) dog (B) cat (C) cow (D) pig"},
            {"from": "gpt", "value": "The answer is (B) cat."},
        ],
    }


def test_llamafactory_adds_to_the_listing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"other": {"file_name": "x.json"}}')
    data, listing = export("llamafactory", RECORDS, root, tmp_path / "qa.json", name="round1")
    known = read_json(listing)
    assert set(known) == {"other", "round1"}
    assert (listing.parent / known["round1"]["file_name"]) == data
    for row in read_json(data):
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert sum(turn["content"].count(IMAGE) for turn in row["messages"]) == len(row["images"]) == 1
        assert Path(row["images"][0]).is_file()
        assert Path(row["images"][0]).is_absolute()
    with pytest.raises(ParameterError, match="another name"):
        export("llamafactory", RECORDS, root, tmp_path / "dataset_info.json")


def test_swift_and_trl(root: Path, tmp_path: Path) -> None:
    swift = read_jsonl(export("swift", RECORDS, root, tmp_path / "s.jsonl", text_format="Q-A")[0])
    assert [turn["content"] for turn in swift[0]["messages"]] == ["<image>Which?", "The answer is cat."]
    trl = read_jsonl(export("trl", RECORDS, root, tmp_path / "t.jsonl", text_format="mmbench")[0])
    assert set(trl[0]) == {"images", "prompt", "completion"}
    assert trl[1]["prompt"] == [{"role": "user", "content": "Which?\nA. dog\nB. cat\nC. cow\nD. pig"}]
    assert trl[1]["completion"][0]["content"].startswith("The answer is (B) cat.")


def test_qm_ae_leaves_out_records_without_a_rationale(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("llava", RECORDS, root, tmp_path / "o.json", text_format="QM-AE")[0])
    assert [row["conversations"][1]["value"] for row in rows] == [
        "The answer is (B) cat. It is a long reason."
    ] * 2


def test_dataengine_v2(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("dataengine-v2", RECORDS, root, tmp_path / "o.json")[0])
    assert rows[0] == {
        "instruction": "Which?",
        "answer": "cat",
        "short_answer": "cat",
        "options": ["dog", "cat", "cow", "pig"],
        "choice_answer": "B",
        "image": "train2017/1.jpg",
        "qtype": 4,
    }
    assert rows[1]["qtype"] == 8


def test_minigpt4_loads_as_its_code_does(root: Path, tmp_path: Path) -> None:
    export("minigpt4", RECORDS, root, tmp_path / "o", name="gptvqa_round1", text_format="QM-A")
    config = yaml.safe_load((tmp_path / "o/configs/datasets/gptvqa_round1/defaults.yaml").read_text())
    source = config["datasets"]["gptvqa_round1"]["build_info"]["train"]
    files = {
        image["id"]: image["file_name"] for image in json.loads(Path(source["coco"]).read_text())["images"]
    }
    for row in json.loads(Path(source["annotation"]).read_text()):
        assert (Path(source["images"]) / files[row["image_id"]]).is_file()
        assert isinstance(sorted(row["rationales"], key=len, reverse=True)[0], str)
        assert row["choices"][row["correct_choice_idx"]] == "cat"
    entry = yaml.safe_load((tmp_path / "o/train_config_entry.yaml").read_text())["datasets"]["gptvqa_round1"]
    assert set(entry) == {"vis_processor", "text_processor", "format", "sample_ratio"}
    assert (entry["format"], entry["sample_ratio"]) == ("QM-A", 2)
    builder = (tmp_path / "o/gptvqa_round1_builder.py").read_text()
    assert any(isinstance(node, ast.ClassDef) for node in ast.parse(builder).body)
    assert '@registry.register_builder("gptvqa_round1")' in builder
    with pytest.raises(DataEngineError, match="does not name one image"):
        export("minigpt4", [record(1), record(1, image_path="train2017/2.jpg")], root, tmp_path / "p")


@pytest.mark.parametrize("format", sorted(WRITERS))
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_path": "../outside.jpg"}, "leads outside"),
        ({"image_path": "/etc/passwd"}, "leads outside"),
        ({"image_path": "train2017/9.jpg"}, "not found"),
        ({"choices": ["dog", " ", "cow", "pig"]}, "empty"),
        ({"correct_choice_idx": 4}, "missing"),
        ({"correct_choice_idx": -1}, "missing"),
        ({"question": " "}, "question is empty"),
        ({"question": "What is an <image>?"}, "take for an image"),
    ],
)
def test_bad_records_name_their_row_and_write_nothing(
    root: Path, tmp_path: Path, format: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataEngineError, match=f"record 1 .*{message}"):
        export(format, [record(1), record(2, **fields)], root, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_wrong_names(root: Path, tmp_path: Path) -> None:
    for options in ({"format": "hf"}, {"name": "a b"}, {"name": "../x"}, {"text_format": "QA"}):
        with pytest.raises(ParameterError):
            export(
                **(
                    {"format": "llava", "records": RECORDS, "image_root": root, "output": tmp_path / "o"}
                    | options
                )
            )  # type: ignore[arg-type]
    with pytest.raises(DataEngineError, match="nothing to export"):
        export("llava", [], root, tmp_path / "o")
