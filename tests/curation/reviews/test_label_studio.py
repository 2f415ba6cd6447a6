"""Decisions of a team in Label Studio: exported as tasks, annotated, exported there, and read into the review file."""

import json
from pathlib import Path
from typing import Any

import pytest
from export_records import photos, record

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.curation.reviews.decisions import Decision, read_review
from dataengine_lib.curation.reviews.label_studio import import_lines, read_label_studio
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.label_studio import label_studio_lines
from dataengine_lib.exports.records import ExportOptions


def region(name: str, *texts: str) -> dict[str, Any]:
    """A control's result as Label Studio exports it."""
    kind = "choices" if name in ("decision", "new_right") else "textarea"
    value = {"choices": list(texts)} if kind == "choices" else {"text": list(texts)}
    return {
        "id": "x1",
        "from_name": name,
        "to_name": "image",
        "type": kind,
        "origin": "manual",
        "value": value,
    }


def annotation(*regions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": 3,
        "completed_by": 1,
        "result": list(regions),
        "was_cancelled": False,
        "lead_time": 4.2,
    } | fields


def exported(folder: Path, annotations: dict[str, list[dict[str, Any]]]) -> Path:
    """The tasks of three records, with annotations by record id, as Label Studio exports them."""
    records = [record(n, record_id=f"r-{n}") for n in (1, 2)]
    opened = {"choices": [], "correct_choice_idx": -1, "short_answer": "cat", "answer_kind": "open"}
    records.append(record(3, image_path="", record_id="r-3", **opened))
    options = ExportOptions(left_out=BadRows("t.json", 0))
    list(label_studio_lines(write_json(folder / "t.json", records), folder / "ls", photos(folder), options))
    tasks = json.loads((folder / "ls" / "tasks.json").read_text())
    extra = {"file_upload": "abc-tasks.json", "drafts": [], "predictions": [], "meta": {}, "project": 1}
    for number, task in enumerate(tasks):
        task |= extra | {"id": number, "annotations": annotations.get(task["data"]["record_id"], [])}
    return write_json(folder / "export.json", tasks)


def test_accept_reject_and_edit_come_back(tmp_path: Path) -> None:
    edit = annotation(
        region("decision", "edit"),
        region("new_question", "What animal?"),
        region("new_choice_A", "a wolf"),
        region("new_right", "A"),
        region("new_rationales", "(A) howls.", "It is grey."),
        region("note", "no dog"),
    )
    answer = annotation(region("decision", "edit"), region("new_answer", "lynx"))
    file = exported(
        tmp_path, {"r-1": [annotation(region("decision", "accept"))], "r-2": [edit], "r-3": [answer]}
    )
    output = tmp_path / "review.json"
    output.write_text('{"r-1": {"decision": "reject"}, "r-8": {"decision": "reject"}}')
    (line,) = import_lines(file, output)
    assert line == f"{output}: 3 decisions read, 1 of them in place of other ones; 0 tasks are undecided"
    assert read_review(output) == {
        "r-1": Decision(decision="accept"),
        "r-8": Decision(decision="reject"),
        "r-2": Decision(
            decision="edit",
            question="What animal?",
            choices=["a wolf", "cat", "cow", "pig"],
            correct_choice_idx=0,
            rationales=["(A) howls.", "It is grey."],
            note="no dog",
        ),
        "r-3": Decision(decision="edit", short_answer="lynx"),
    }
    assert list(import_lines(file, output)) == [line.replace("1 of them", "0 of them")]


def test_rationales_that_name_letters_come_with_the_choices(tmp_path: Path) -> None:
    named = annotation(region("decision", "edit"), region("new_rationales", "(B) is a cat."))
    plain = annotation(region("decision", "edit"), region("new_rationales", "It purrs."))
    found = read_label_studio(exported(tmp_path, {"r-1": [named], "r-2": [plain]})).decisions
    assert found["r-1"].choices == ["dog", "cat", "cow", "pig"] and found["r-1"].correct_choice_idx == 1
    assert found["r-2"] == Decision(decision="edit", rationales=["It purrs."])


def test_what_is_not_one_decision_stays_undecided(tmp_path: Path) -> None:
    accept, reject = (annotation(region("decision", kind)) for kind in ("accept", "reject"))
    equal = annotation(region("decision", "edit"), region("new_choice_A", "the cat"))
    noted = annotation(region("decision", "accept"), region("note", "good"))
    skipped = annotation(region("decision", "reject"), was_cancelled=True)
    found = read_label_studio(
        exported(
            tmp_path, {"r-1": [accept, reject], "r-2": [equal], "r-3": [accept, skipped, noted, annotation()]}
        )
    )
    assert found.decisions == {"r-3": Decision(decision="accept", note="good")} and found.undecided == 2
    assert found.faults == [
        "r-1: is decided differently by several people; left undecided",
        "r-2: choices: two say the same; left undecided",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no tasks"),
        (
            [{"image": "/data/1.jpg", "decision": "accept", "annotation_id": 3}],  # JSON_MIN
            "row 0: .*give what Label Studio exports as JSON",
        ),
        ([{"data": {"image": "1.jpg"}, "annotations": []}], "row 0: .*record_id"),
        ([{"data": {"record_id": "r-1"}, "predictions": []}], "row 0: .*annotations"),
        ([{"data": {"record_id": "r-1"}, "annotations": []}], "no task has a decision that can be applied"),
        (
            [{"data": {"record_id": "r-1"}, "annotations": [annotation(region("decision", "maybe"))]}],
            "unknown decision 'maybe'",
        ),
        (
            [
                {
                    "data": {"record_id": "r-1"},
                    "annotations": [annotation(region("decision", "edit"), region("new_right", "C"))],
                }
            ],
            "no task has a decision that can be applied; r-1: choices: 2 to 10",
        ),
        ([record(1)], "row 0: .*training data"),
    ],
)
def test_other_files_are_one_clear_line(tmp_path: Path, rows: list[Any], message: str) -> None:
    file, output = write_json(tmp_path / "export.json", rows), tmp_path / "review.json"
    with pytest.raises(DataEngineError, match=message) as caught:
        list(import_lines(file, output))
    assert "\n" not in str(caught.value) and not output.exists()
