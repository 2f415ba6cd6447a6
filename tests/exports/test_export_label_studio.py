"""`export label-studio`: tasks with images and options, and the labelling config that goes with them."""

import base64
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from export_records import RECORDS, photos, record
from PIL import Image

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.label_studio import label_studio_lines
from dataengine_lib.exports.records import ExportOptions

EVIL = "</Choice><script>alert(1)</script>&\"'$question"


def write(folder: Path, records: list[TrainRecord], **options: object) -> list[dict[str, object]]:
    """What tasks.json holds after an export of these records."""
    source = write_json(folder / "train.json", records)
    left_out = BadRows(source, 0.5)
    given = ExportOptions(**{"left_out": left_out} | options)
    first, second = label_studio_lines(source, folder / "tasks", photos(folder), given)
    assert first.startswith(f"{folder / 'tasks' / 'tasks.json'}: ") and second.endswith("labeling_config.xml")
    tasks: list[dict[str, object]] = json.loads((folder / "tasks" / "tasks.json").read_text())
    return tasks


def config(folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring((folder / "tasks" / "labeling_config.xml").read_text())


def test_a_task_holds_the_image_the_options_and_what_comes_back(tmp_path: Path) -> None:
    marked = record(2, record_id="r-2", question=EVIL, leak="image 9", second_answers={"openai:a": 3, "b": 1})
    first, second = write(tmp_path, [record(1, record_id="r-1"), marked])
    data = dict(first["data"])
    picture = data.pop("image")
    assert data == {
        "record_id": "r-1",
        "question_type": "object_localization",
        "question": "Which?",
        "options": "(A) dog\n(B) cat  ✓\n(C) cow\n(D) pig",
        "rationales": "Short.\nIt is a long reason.",
        "checks": "–",
        "answer_kind": "choice",
        "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": 1,
    }
    head, _, content = picture.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (4, 3)
    assert second["data"]["question"] == EVIL
    assert second["data"]["checks"] == "shares with the evaluation: image 9; openai:a answers D"


def test_images_may_be_named_for_local_files(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    tasks = write(
        tmp_path, [record(1, record_id="r-1"), record(3, record_id="r-3", image_path="")], paths="bare"
    )
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=train2017/1.jpg",
        "/data/local-files/?d=train2017/000000000003.jpg",
    ]


def test_the_config_names_what_tasks_hold_and_has_fields_for_every_kind(tmp_path: Path) -> None:
    opened = record(
        2, record_id="r-2", choices=[], correct_choice_idx=-1, short_answer="cat", answer_kind="open"
    )
    ten = record(1, record_id="r-1", choices=[f"{EVIL}{n}" for n in range(10)])
    tasks = write(tmp_path, [ten, opened])
    view = config(tmp_path)
    assert tasks[1]["data"]["options"] == "cat  ✓"
    named = {value[1:] for one in view.iter() if (value := one.get("value", "")).startswith("$")}
    assert named and all(named <= task["data"].keys() for task in tasks)
    controls = [one.get("name") for one in view.iter() if one.get("toName") == "image"]
    choices = [f"new_choice_{letter}" for letter in "ABCDEFGHIJ"]
    assert controls == [
        "decision",
        "new_question",
        *choices,
        "new_right",
        "new_answer",
        "new_rationales",
        "note",
    ]
    (decision,) = [one for one in view.iter("Choices") if one.get("name") == "decision"]
    assert [one.attrib for one in decision] == [
        {"value": name, "hotkey": name[0]} for name in ("accept", "reject", "edit")
    ]
    assert [one.get("whenTagName") for one in view.iter("View") if one.get("visibleWhen")] == ["decision"]
    assert EVIL not in ElementTree.tostring(view, encoding="unicode"), "no data is in the config"


def test_the_same_records_give_the_same_bytes_and_records_without_image_are_left_out(tmp_path: Path) -> None:
    records = [record(1, record_id="r-1"), record(2, record_id="r-2"), record(9, record_id="r-9")]
    source, root = write_json(tmp_path / "train.json", records), photos(tmp_path)
    contents = []
    for name in ("a", "b"):
        left_out = BadRows(source, 0.5)
        lines = list(label_studio_lines(source, tmp_path / name, root, ExportOptions(left_out=left_out)))
        assert lines[0].endswith(": 2 tasks") and "image not found" in left_out.warnings()[0]
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (RECORDS, {}, "no records with a record_id"),
        ([record(1, record_id="r-1")], {"paths": "absolute"}, "leave paths out, or give bare"),
        ([record(1, record_id="r-1")], {"copies": 2}, "holds records"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path, records: list[TrainRecord], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataEngineError, match=message):
        write(tmp_path, records, **options)
    assert not (tmp_path / "tasks").exists()
