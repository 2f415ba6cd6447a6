"""The rows of a training in the formats of other trainers, and the templates of those trainers' configs."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import PROJECT_ROOT

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Question
from dataengine_lib.exports.training_rows import trainer_row_fault, write_training_rows
from dataengine_lib.training.external.command import PLACEHOLDERS, filled_config
from dataengine_lib.training.external.drawn_rows import DrawnRow
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.texts import TrainingRow

TEMPLATES = sorted((PROJECT_ROOT / "params" / "trainers").iterdir())
SETTINGS = {
    "method": "lora", "lora_rank": 8, "train_vision": False, "learning_rate": 1e-4, "batch_size": 32,
    "accumulate": 4, "scheduler": "cosine", "warmup": 0.03, "weight_decay": 0.0, "seed": 3, "text_formats": ["QM-A"],
}  # fmt: skip


def question_row(tmp_path: Path, number: int, **more: Any) -> TrainingRow:
    fields = {
        "image_id": 7,  # the same for every image, as two data sets may have it
        "question": "Which?",
        "choices": ["dog", "cat"],
        "correct_choice_idx": 1,
        "rationales": ["In the description.", "It purrs."],
    }
    question = Question(**(fields | more))
    return TrainingRow(question, tmp_path / f"{number}.png", ("QM-A",), tmp_path / "a.json", str(number))


@pytest.fixture
def drawn(tmp_path: Path) -> list[DrawnRow]:
    """Two rows, the first drawn twice."""
    one, two = (DrawnRow(question_row(tmp_path, number), "QM-A") for number in (1, 2))
    return [one, two, one]


def test_llava_rows(drawn: list[DrawnRow], tmp_path: Path) -> None:
    rows = read_json(write_training_rows("llava", drawn, tmp_path / "o").file)
    assert [row["image"] for row in rows] == [str(tmp_path / f"{n}.png") for n in (1, 2, 1)]
    assert len({row["id"] for row in rows}) == 3
    assert rows[0]["conversations"] == [
        {"from": "human", "value": "<image>\nWhich?\n(A) dog (B) cat"},
        {"from": "gpt", "value": "The answer is (B) cat."},
    ]


def test_messages_of_llamafactory_and_swift(drawn: list[DrawnRow], tmp_path: Path) -> None:
    listed = write_training_rows("llamafactory", drawn, tmp_path / "l")
    info = read_json(listed.file.parent / "dataset_info.json")[listed.name]
    rows = read_json(listed.file.parent / info["file_name"])
    assert rows == read_jsonl(write_training_rows("swift", drawn, tmp_path / "s").file)
    assert rows[1] == {
        "messages": [
            {"role": "user", "content": "<image>Which?\n(A) dog (B) cat"},
            {"role": "assistant", "content": "The answer is (B) cat."},
        ],
        "images": [str(tmp_path / "2.png")],
    }


def test_turns_and_text_alone(tmp_path: Path) -> None:
    turns = (("What?", "A cat."), ("Where?", "Here."))
    question = Question(question="What?", choices=["A cat."], correct_choice_idx=0)
    rows = [
        DrawnRow(TrainingRow(question, image, ("QM-A",), tmp_path / "a.json", "1", turns), "QM-A")
        for image in (tmp_path / "1.png", None)
    ]
    seen, alone = read_json(write_training_rows("llava", rows, tmp_path / "o").file)
    assert [turn["value"] for turn in seen["conversations"]] == [
        "<image>\nWhat?",
        "A cat.",
        "Where?",
        "Here.",
    ]
    assert "image" not in alone and alone["conversations"][0]["value"] == "What?"
    seen, alone = read_jsonl(write_training_rows("swift", rows, tmp_path / "s").file)
    assert [turn["content"] for turn in seen["messages"]] == ["<image>What?", "A cat.", "Where?", "Here."]
    assert alone["images"] == [] and alone["messages"][0]["content"] == "What?"


def test_minigpt4_numbers_the_images_and_keeps_rows_that_its_loader_would_drop(
    drawn: list[DrawnRow], tmp_path: Path
) -> None:
    data = write_training_rows("minigpt4", drawn, tmp_path / "o")
    rows = read_json(data.file)
    names = {image["id"]: image["file_name"] for image in read_json(data.image_list)["images"]}
    assert [names[row["image_id"]] for row in rows] == [str(tmp_path / f"{n}.png") for n in (1, 2, 1)]
    assert all(row["rationales"] == ["It purrs."] for row in rows)


def test_minigpt4_refuses_conversations_and_more_than_seven_choices(tmp_path: Path) -> None:
    fault = trainer_row_fault("minigpt4")
    assert fault(question_row(tmp_path, 1)) == ""
    assert "more than 7 choices" in fault(question_row(tmp_path, 1, choices=list("abcdefgh")))
    (tmp_path / "1.png").write_bytes(b"")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cat."}]
    file = write_json(tmp_path / "chat.json", [{"image": "1.png", "conversations": turns}])
    (chat,) = read_training_rows(file, tmp_path, ["QM-A"], BadRows(file, 1))
    assert "a conversation" in fault(chat)
    assert trainer_row_fault("llava")(chat) == ""


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_templates_are_filled_with_any_path(template: Path, method: str, tmp_path: Path) -> None:
    hostile = f'{tmp_path}/a b\'s "x" $(touch bad) : é'
    values = dict.fromkeys(PLACEHOLDERS, hostile) | {"data_name": "dataengine"}
    text = filled_config(template, SETTINGS | values | {"method": method})
    if template.suffix == ".yaml":
        content = yaml.safe_load(text)
        assert hostile in json.dumps(content, ensure_ascii=False).replace('\\"', '"')
        assert not [value for value in content.values() if value is None]
    else:
        assert shlex.quote(hostile) in text
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_every_format_has_a_template() -> None:
    formats = {path.stem for path in TEMPLATES}
    assert formats == {"llava", "llamafactory", "swift", "minigpt4"}
