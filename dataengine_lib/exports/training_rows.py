"""Step 5, `trainer: command`: the rows of a training, drawn and mixed, in the format of another trainer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.exports.chats import LISTING
from dataengine_lib.exports.minigpt4.loader import loader_fault, loader_rationales
from dataengine_lib.exports.records import IMAGE
from dataengine_lib.training.external.drawn_rows import DrawnRow, FormatFault, TrainerData
from dataengine_lib.training.external.settings import TrainerFormat

_NAME = "dataengine"  # of the data set in the trainer's own list


def trainer_row_fault(format: TrainerFormat) -> FormatFault:
    """What says why a row cannot be written in this format; empty where it can."""
    if format != "minigpt4":
        return lambda row: ""
    return lambda row: (
        "a conversation, where MiniGPT-4 reads questions about an image"
        if row.conversation or row.image is None
        else loader_fault(row.question)
    )


def write_training_rows(format: TrainerFormat, rows: Sequence[DrawnRow], folder: Path) -> TrainerData:
    """Write the rows in their order into `folder`, with absolute image paths; a row that was drawn twice is there twice.

    The layouts are those of `export`.
    """
    return _WRITERS[format](rows, folder)


def _write_llava(rows: Sequence[DrawnRow], folder: Path) -> TrainerData:
    return TrainerData(
        write_json(
            folder / f"{_NAME}.json", [_llava_row(number, drawn) for number, drawn in enumerate(rows)]
        ),
        _NAME,
    )


def _llava_row(number: int, drawn: DrawnRow) -> dict[str, Any]:
    turns = []
    for place, (asked, answer) in enumerate(drawn.turns):
        mark = f"{IMAGE}\n" if drawn.row.image and not place else ""
        turns += [{"from": "human", "value": mark + asked}, {"from": "gpt", "value": answer}]
    image = {"image": _absolute(drawn.row.image)} if drawn.row.image else {}
    return {"id": str(number), **image, "conversations": turns}


def _write_llamafactory(rows: Sequence[DrawnRow], folder: Path) -> TrainerData:
    file = write_json(folder / f"{_NAME}.json", [_messages(drawn) for drawn in rows])
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = {
        "file_name": file.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": tags,
    }
    write_json(folder / LISTING, {_NAME: entry})
    return TrainerData(file, _NAME)


def _write_swift(rows: Sequence[DrawnRow], folder: Path) -> TrainerData:
    return TrainerData(write_jsonl(folder / f"{_NAME}.jsonl", map(_messages, rows)), _NAME)


def _messages(drawn: DrawnRow) -> dict[str, Any]:
    turns = []
    for place, (asked, answer) in enumerate(drawn.turns):
        mark = IMAGE if drawn.row.image and not place else ""
        turns += [{"role": "user", "content": mark + asked}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "images": [_absolute(drawn.row.image)] if drawn.row.image else []}


def _write_minigpt4(rows: Sequence[DrawnRow], folder: Path) -> TrainerData:
    """Annotation and image list; images are numbered here, because data sets may use an id for different images."""
    numbers: dict[str, int] = {}
    records = []
    for drawn in rows:
        assert drawn.row.image is not None, "trainer_row_fault leaves text alone out"
        number = numbers.setdefault(_absolute(drawn.row.image), len(numbers))
        own = {"image_id": number, "rationales": loader_rationales(drawn.row.question)}
        records.append(msgspec.structs.asdict(drawn.row.question) | own)
    images = [{"id": number, "file_name": path} for path, number in numbers.items()]
    return TrainerData(
        write_json(folder / f"{_NAME}.json", records),
        _NAME,
        write_json(folder / f"{_NAME}_images.json", {"images": images}),
    )


def _absolute(path: Path) -> str:
    return str(path.absolute())


_WRITERS: dict[str, Callable[[Sequence[DrawnRow], Path], TrainerData]] = {
    "llava": _write_llava,
    "llamafactory": _write_llamafactory,
    "swift": _write_swift,
    "minigpt4": _write_minigpt4,
}
