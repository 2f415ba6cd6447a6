"""A student that knows the colour of an image, with questions, images and a call of step 1."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class ColourStudent:
    """Answers with the colour of the image's first pixel.

    `asked` keeps every prompt, `looked_at` how many images each call of `rank` had.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.looked_at: list[int] = []

    def rank(
        self, images: Any, prompts: Sequence[str], choices: Any, scored: str = "text"
    ) -> list[list[float]]:
        self.asked += prompts
        self.looked_at.append(len({id(image) for image in images}))
        seen = [
            next(name for name, rgb in COLOURS.items() if image.getpixel((0, 0)) == rgb) for image in images
        ]
        return [
            [-0.5 if text == name else -2.0 for text in row] for name, row in zip(seen, choices, strict=True)
        ]

    def generate(
        self, images: Any, prompts: Sequence[str], *, choices: Any = None, max_new_tokens: int = 8
    ) -> list[str]:
        self.asked += prompts
        return [" Red.\nNo more" for _ in prompts]


def question(number: int, image: int, colour: str, kind: str, split: str, **more: Any) -> dict[str, Any]:
    return {
        "split": split,
        "image_id": image,
        "question_id": f"q{number}",
        "question": f"Which colour is it ({number})?",
        "choices": list(COLOURS),
        "correct_choice_idx": list(COLOURS).index(colour),
        "direct_answers": [colour] * 2 + ["other"] * 8,
        "difficult_direct_answer": False,
        "rationales": ["It looks so."],
        "question_type": kind,
        **more,
    }


QUESTIONS = [
    question(0, 1, "red", "image_scene", "diagnose"),
    question(1, 2, "red", "image_scene", "diagnose"),  # the image is green: wrong
    question(2, 2, "green", "image_style", "diagnose"),
    question(3, 3, "blue", "image_scene", "holdout"),
    question(4, 4, "red", "image_style", "holdout"),  # the image is white: wrong
    question(5, 1, "red", "image_style", "diagnose", direct_answers=["RED", "red.", "red"]),
    question(6, 3, "blue", "image_style", "holdout", difficult_direct_answer=True),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`images/` with four pictures of one colour each, and `questions.json`."""
    (tmp_path / "images").mkdir()
    for number, colour in enumerate(COLOURS.values(), 1):
        Image.new("RGB", (20, 20), colour).save(tmp_path / "images" / f"{number:012d}.png")
        Image.new("RGB", (20, 20), colour).save(tmp_path / f"{number:012d}.png")
    rows = [{**row, "image_path": f"images/{row['image_id']:012d}.png"} for row in QUESTIONS]
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    return tmp_path


def run(root: Path, student: Any = None, **more: Any) -> EvaluateResult:
    values = {
        "questions": root / "questions.json",
        "image_root": root,
        "student": "none",
        "output_dir": root / "out",
        "categories": "v1",
        **more,
    }
    return evaluate(EvaluateConfig(**values), student or ColourStudent())


def edit(root: Path, change: Any) -> None:
    rows = json.loads((root / "questions.json").read_text())
    (root / "questions.json").write_text(json.dumps(change(rows) or rows))
