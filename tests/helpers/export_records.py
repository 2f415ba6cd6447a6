"""Records and their images for the tests of exports."""

from pathlib import Path
from typing import Any

from PIL import Image

from dataengine_lib.core.records import TrainRecord


def record(image_id: int, **fields: Any) -> TrainRecord:
    """A record of the image with this number."""
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


def photos(folder: Path) -> Path:
    """`folder`/photos with three images for RECORDS and a torn one; a fourth image lies outside."""
    below = folder / "photos" / "train2017"
    below.mkdir(parents=True)
    for name in ("1", "2", "000000000003"):
        Image.new("RGB", (4, 3), (60 * int(name), 0, 0)).save(below / f"{name}.jpg", quality=100)
    Image.new("RGB", (4, 3)).save(folder / "outside.jpg")
    (below / "torn.jpg").write_bytes(b"jpg")
    return folder / "photos"


RECORDS = [record(1), record(2, rationales=[], question_type="future_prediction"), record(3, image_path="")]
