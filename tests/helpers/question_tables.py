"""A small question table as MMBench publishes it, whose cells tests replace."""

import base64
import csv
import io
from pathlib import Path
from typing import Any

from PIL import Image

from dataengine_lib.core.records import Question
from dataengine_lib.questions.reader import read_question_rows, read_questions

COLUMNS = ["index", "question", "hint", *"ABCD", "answer", "category", "l2-category", "image", "split"]


def picture(kind: str = "JPEG", side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((side, side), 50).convert("RGB").save(stream, kind)
    return stream.getvalue()


JPEG = picture(side=64)
IMAGE = base64.b64encode(JPEG).decode()


def row(index: Any, **cells: Any) -> dict[str, Any]:
    """A usable row of MMBench with some cells replaced."""
    usual = {"question": "What is it?", "A": "dog", "B": "cat", "C": "cow", "D": "pig", "answer": "B"}
    kinds = {"category": "identity_reasoning", "l2-category": "attribute_reasoning", "split": "dev"}
    return {"index": index, **usual, **kinds, "hint": "nan", "image": IMAGE, **cells}


def table(folder: Path, *rows: dict[str, Any], columns: list[str] = COLUMNS, name: str = "Bench.tsv") -> Path:
    file = folder / name
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter="\t", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return file


def read(file: Path, **fields: str) -> list[Question]:
    return read_questions(file, file.parent / "images", **fields)


def only_reason(file: Path) -> tuple[str, str]:
    """(kind, reason) of the only row left out, one line."""
    (skipped,) = read_question_rows(file, file.parent / "images")[1]
    assert skipped.reason and "\n" not in skipped.reason
    return skipped.kind, skipped.reason
