"""One input format: how a valid small file of it is made, and which public function reads it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from fuzzing.forms import Form
from fuzzing.verdict import Outcome

TYPES = ("image_scene", "ocr", "object_localization")
OUT = "out"  # the folder below the target's that a reader writes into; emptied before each reading


@dataclass(frozen=True)
class Target:
    """`make` writes all files of a valid example into a folder, `file` is the one that is changed, `read` reads it.

    `loss` is what fewer rows in the result mean: `rows`, as many as were dropped from the file are none; `whole`, one
    only where no row was dropped from it, since others depend on it; `no`, settings, and bytes that hold other numbers.
    """

    name: str
    file: str
    form: Form
    make: Callable[[Path], None]
    read: Callable[[Path], Outcome]
    loss: Literal["rows", "whole", "no"] = "rows"
    may_be_empty: bool = False
    names: str = ""  # what messages name, where that is not the file

    def fresh(self, folder: Path) -> None:
        """Make the folder that `read` writes into anew."""
        shutil.rmtree(folder / OUT, ignore_errors=True)
        (folder / OUT).mkdir(parents=True)


def pictures(folder: Path, count: int = 10, first: int = 1) -> None:
    """`1.jpg`, `2.jpg`, … of coarse noise, no two of which look alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 255, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 12)).save(folder / f"{number}.jpg")


def write(file: Path, value: Any, lines: bool = False) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in value) if lines else json.dumps(value, indent=1)
    file.write_text(text)


def aokvqa(number: int) -> dict[str, Any]:
    """A question as A-OKVQA's files have it."""
    return {
        "split": "diagnose",
        "image_id": number % 10 + 1,
        "image_path": f"{number % 10 + 1}.jpg",
        "question_id": f"q{number}",
        "question": f"What is thing number {number}?",
        "choices": [f"{word} {number}" for word in ("dog", "cat", "cow", "pig")],
        "correct_choice_idx": number % 4,
        "direct_answers": ["dog"] * 10,
        "difficult_direct_answer": False,
        "rationales": ["It looks so."],
        "question_type": TYPES[number % 3],
    }
