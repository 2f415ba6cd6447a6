"""Steps 0 and 1: SEED-Bench's question files, `{questions: [{choice_a, …, answer: "A"}], question_type: {name: id}}`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import caseless, shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault, answer_index, filled, found_row

# ids 1 to 9; the ids above them ask about videos, and mean other things in SEED-Bench-2
IMAGE_TYPES = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
)

NO_IMAGE_TASK = "not an image"  # the kind of rows about videos, which belong in the file and are left out
# data_type as SEED-Bench and SEED-Bench-2 write it, in lower case
_IMAGE, _VIDEO, _IMAGES = ("image", "single image"), ("video",), ("multiple images", "interleaved image")


def is_seed_bench(rows: Sequence[Any]) -> bool:
    """Whether rows have SEED-Bench's keys, by the first row that is an object."""
    first = next((row for row in rows if isinstance(row, dict)), {})
    return "choice_a" in first and "choices" not in first


def type_names(file: Path, question_type: Any) -> dict[str, str]:
    """Type by id from a file's `question_type` map, or the nine of SEED-Bench's images without one.

    Raises DataEngineError when it is not `{name: id}`.
    """
    if question_type is None:
        return {str(number): name for number, name in enumerate(IMAGE_TYPES, 1)}
    try:
        ids = msgspec.convert(question_type, dict[str, int], strict=False)
    except msgspec.ValidationError as error:
        raise DataEngineError(
            f"{file}: question_type: {error}; give {{name: id}} as SEED-Bench does"
        ) from error
    return {str(number): name for name, number in ids.items()}


def seed_bench_row(where: str, row: Any, types: Mapping[str, str], own: OwnFields) -> FoundRow:
    """A row in A-OKVQA's fields; the image's path is its `data_id`, which in SEED-Bench has no suffix.

    Rows about several images are faults.
    Source: SEED-Bench.json and SEED-Bench-2 of AILab-CVC/SEED-Bench.
    """
    if not isinstance(row, dict):
        return FoundRow(where, row)
    return found_row(where, _fields(row, types, own), row.get("data_id"))


def _fields(row: dict[str, Any], types: Mapping[str, str], own: OwnFields) -> dict[str, Any] | RowFault:
    image = row.get("data_id")
    if isinstance(image, list) and len(image) == 1:
        image = image[0]
    if fault := _other_medium(row.get("data_type"), image):
        return fault
    number = row.get("question_type_id")
    # with type_field the type is read from another key, so an unknown id does no harm
    if number is not None and not own.type_field and str(number) not in types:
        return "unknown question_type_id", f"question_type_id {shown(number)} is not in the question_type map"
    choices = filled(row.get(f"choice_{letter}") for letter in LETTERS.lower())
    correct = answer_index(row.get("answer"), choices)
    if isinstance(correct, tuple):
        return correct
    found = {
        "question_id": row.get("question_id"),
        "choices": ["" if choice is None else choice for choice in choices],
        "correct_choice_idx": correct,
        "question_type": types.get(str(number), ""),
        "image_path": str(image) if isinstance(image, int) else image,
        **own.of(row),
    }
    # without the key where the row has none, so that the check in reader.py reports the missing question
    return {**found, "question": row["question"]} if "question" in row else found


def _other_medium(data_type: Any, image: Any) -> RowFault | None:
    """The fault of a row that is not about exactly one image, else None."""
    medium = caseless(str(data_type or "image").replace("_", " "))
    if medium in _VIDEO:
        return NO_IMAGE_TASK, f"data_type is {shown(data_type)}; only questions about images are asked"
    if medium in _IMAGES or isinstance(image, list):
        return "several images", f"data_type is {shown(data_type)}, one image is needed"
    if medium not in _IMAGE:
        return (
            "unknown data_type",
            f"data_type is {shown(data_type)}; image, Single Image or Video are known",
        )
    return None
