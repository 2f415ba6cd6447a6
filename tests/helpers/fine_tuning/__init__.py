"""Four pictures of one colour each, rows that ask for it, and calls of step 5 on a LLaVA of a few thousand weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_models import save_tiny_llava

from dataengine_lib.core.files import write_json
from dataengine_lib.steps.fine_tune import FineTuneConfig

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
QUESTION = "Which colour has the car?"
CHOICES = list(COLOURS)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number:012d}.png")
    return tmp_path


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "image_id": number % 4,
        "image_path": f"{number % 4:012d}.png",
        "raw_instructions": "",
        "question_type": "attribute_recognition",
        "question": QUESTION,
        "choices": CHOICES,
        "correct_choice_idx": number % 4,
        "rationales": ["It shines."],
        **more,
    }


Make = Callable[..., FineTuneConfig]


@pytest.fixture
def config(student: Path, images: Path) -> Make:
    def build(rows: list[Any] | None = None, **more: Any) -> FineTuneConfig:
        file = write_json(images / "train.json", [row(n) for n in range(8)] if rows is None else rows)
        settings = {
            "student": str(student),
            "train_data": [file],
            "image_root": images,
            "output_dir": images / "checkpoint",
            "learning_rate": 5e-3,
            "batch_size": 4,
            "dtype": "float32",
            "device": "cpu",
        }
        return FineTuneConfig(**(settings | more))

    return build


def weights(folder: Path) -> bytes:
    """The bytes of a checkpoint's file of weights."""
    return (folder / "model.safetensors").read_bytes()
