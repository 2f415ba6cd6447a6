"""After step 4: training records as tasks for Label Studio, where a team reviews them, and its labelling config.

Source: Label Studio's documentation, guides "Label Studio Task Format" and "Local storage", tags View, Choices, TextArea.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from dataengine_lib.core.files import JsonList
from dataengine_lib.core.records import CHOICE, LETTERS, OPEN, TrainRecord
from dataengine_lib.core.text import shown
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.export import read_train_records
from dataengine_lib.exports.records import ExportOptions, ExportRow, ImageFaults, export_rows
from dataengine_lib.images.decode import read_image

LABEL_STUDIO = "label-studio"
TASKS, CONFIG = "tasks.json", "labeling_config.xml"
# The names of the controls, by which the results come back.
DECISION, NOTE = "decision", "note"
NEW_QUESTION, NEW_CHOICE, NEW_RIGHT = "new_question", "new_choice_", "new_right"  # NEW_CHOICE and a letter
NEW_ANSWER, NEW_RATIONALES = "new_answer", "new_rationales"
_HOTKEYS = {"accept": "a", "reject": "r", "edit": "e"}
_MAX_SIDE = 768  # pixels of the longer side of an image inside the tasks
_LOCAL_FILES = "/data/local-files/?d="  # and a path below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT


def label_studio_lines(input: Path, output: Path, image_root: Path, options: ExportOptions) -> Iterator[str]:
    """Write the training data in `input` as tasks and a labelling config into the folder `output`; yields the files.

    Images are inside the tasks, or with `paths` bare named by their paths for Label Studio's local files, whose document
    root is then the image root. Records that cannot be exported are left out as `export` does. Raises ParameterError for
    options that do not fit, DataEngineError for a file that is no training data.
    """
    if options.paths not in (None, "bare"):
        raise ParameterError(
            f"export: {LABEL_STUDIO} contains the images; leave paths out, or give bare for local files"
        )
    if options.shuffle_options or options.copies > 1 or options.checkout:
        raise ParameterError(
            f"export: {LABEL_STUDIO} holds records; leave shuffle_options, copies and into out"
        )
    if output.is_file():
        raise ParameterError(f"{output}: is a file; give a folder for {TASKS} and {CONFIG}")
    assert options.left_out is not None
    records = read_train_records(input, options.left_out)
    rows = export_rows(records, image_root, ImageFaults(), input, options.left_out)
    rows = [row for row in rows if row.record.record_id]
    if not rows:
        raise DataEngineError(f"{input}: nothing to export; it has no records with a record_id")
    with replacing(output / TASKS) as stream:
        tasks = JsonList(stream)
        for row in rows:
            tasks.append({"data": _task_data(row, image_root, local_files=options.paths == "bare")})
        tasks.close()
    with replacing(output / CONFIG) as stream:
        stream.write(labelling_config([row.record for row in rows]).encode())
    yield f"{output / TASKS}: {len(rows):,} tasks"
    yield str(output / CONFIG)


def labelling_config(records: Sequence[TrainRecord]) -> str:
    """The labelling config (XML) for tasks of these records; it has as many fields of choices as one of them needs."""
    choices = max((len(record.choices) for record in records), default=0)
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$question")
    ElementTree.SubElement(view, "Text", name="options", value="$options")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true")
    ElementTree.SubElement(view, "Text", name="rationales", value="$rationales")
    ElementTree.SubElement(view, "Text", name="checks", value="$checks")
    decision = _control(view, "Choices", DECISION, choice="single-radio", required="true", showInline="true")
    for name, key in _HOTKEYS.items():
        ElementTree.SubElement(decision, "Choice", value=name, hotkey=key)
    edit = ElementTree.SubElement(
        view, "View", visibleWhen="choice-selected", whenTagName=DECISION, whenChoiceValue="edit"
    )
    ElementTree.SubElement(edit, "Header", value="Fill in what changes; what stays empty stays as it is.")
    _text_area(edit, NEW_QUESTION, "new question")
    for letter in LETTERS[:choices]:
        _text_area(edit, NEW_CHOICE + letter, f"new text of choice {letter}")
    if choices:
        ElementTree.SubElement(edit, "Header", value="The right choice, if another one is right:")
        right = _control(edit, "Choices", NEW_RIGHT, choice="single-radio", showInline="true")
        for letter in LETTERS[:choices]:
            ElementTree.SubElement(right, "Choice", value=letter)
    if any(record.answer_kind == OPEN for record in records):
        _text_area(edit, NEW_ANSWER, "new answer to the open-ended question")
    _text_area(edit, NEW_RATIONALES, "new rationales, one a line, in place of all of them")
    _text_area(view, NOTE, "note")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _control(parent: ElementTree.Element, tag: str, name: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {"name": name, "toName": "image"} | attributes)


def _text_area(parent: ElementTree.Element, name: str, placeholder: str) -> None:
    _control(parent, "TextArea", name, placeholder=placeholder, rows="1", maxSubmissions="1", editable="true")


def _task_data(row: ExportRow, image_root: Path, *, local_files: bool) -> dict[str, Any]:
    """What a task shows, and what its result needs to become a decision: record id, kind, choices and the right one."""
    record = row.record
    path = row.question.image_path
    if record.choices:
        marks = ["  ✓" if place == record.correct_choice_idx else "" for place in range(len(record.choices))]
        named = zip(LETTERS, record.choices, marks, strict=False)
        options = "\n".join(f"({letter}) {choice}{mark}" for letter, choice, mark in named)
    else:
        options = f"{record.short_answer}  ✓"
    return {
        "record_id": record.record_id,
        "question_type": record.question_type,
        "question": record.question,
        "options": options,
        "rationales": "\n".join(record.rationales) or "–",
        "checks": _checks(record),
        "answer_kind": record.answer_kind or CHOICE,
        "choices": record.choices,
        "correct_choice_idx": record.correct_choice_idx,
        "image": _LOCAL_FILES + quote(path) if local_files else _data_uri(image_root / path),
    }


def _checks(record: TrainRecord) -> str:
    """What step 4 marked, in words."""
    marks = []
    if record.leak:
        marks.append(f"shares with the evaluation: {record.leak}")
    if record.near_duplicate_of:
        marks.append(f"nearly the same as {record.near_duplicate_of}")
    if record.box_check:
        marks.append(f"boxes: {record.box_check}")
    for name, answer in record.second_answers.items():
        if answer != record.correct_choice_idx:
            marks.append(f"{name} answers {LETTERS[answer] if answer >= 0 else 'nothing'}")
    return "; ".join(marks) or "–"


def _data_uri(path: Path) -> str:
    found = read_image(path)
    if isinstance(found, str):
        raise DataEngineError(f"{shown(found, 400)}; replace the image or drop the record")
    found.thumbnail((_MAX_SIDE, _MAX_SIDE))
    stream = io.BytesIO()
    found.save(stream, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
