"""Rounds that hand on adapters: their metrics are those of merged checkpoints, from the base or from the last round."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_models import save_tiny_llava

from dataengine_lib.core.files import write_json
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.students.loading import load_student

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def row(number: int) -> dict[str, Any]:
    return {
        "image_id": number,
        "image_path": f"{number:012d}.png",
        "raw_instructions": "",
        "question_type": "attribute_recognition",
        "split": "diagnose",
        "question": "Which colour has the car?",
        "choices": list(COLOURS),
        "correct_choice_idx": number % 4,
        "direct_answers": ["red"] * 10,
        "rationales": ["It shines."],
    }


@pytest.fixture(params=[torch.float32, torch.float16], ids=["float32", "float16"])
def student(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A student whose files have this precision."""
    loaded = load_student(str(save_tiny_llava(tmp_path / "plain")), "cpu")
    loaded.model.to(request.param).save_pretrained(tmp_path / "student")
    loaded.processor.save_pretrained(tmp_path / "student")
    return tmp_path / "student"


def answers_of_rounds(student: Path, folder: Path, keep: bool, start: str) -> list[Any]:
    """The answers after each of two rounds, wired as a run does it."""
    for number, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (40, 30), colour).save(folder / f"{number:012d}.png")
    questions = write_json(folder / "questions.json", [row(n) for n in range(4)])
    files, found = [], []
    handed: dict[str, Any] = {"student": str(student)}
    for number in (1, 2):
        files.append(write_json(folder / f"train{number}.json", [row(n % 4) for n in range(8 * number)]))
        checkpoint = folder / f"{keep}-{start}" / str(number)
        fine_tune(
            FineTuneConfig(
                **(handed if start == "last" else {"student": str(student)}),
                train_data=files, image_root=folder, output_dir=checkpoint, keep_adapter=keep, start_from=start,
                learning_rate=5e-3, batch_size=4, lora_rank=4, dtype="float32", device="cpu", seed=number,
            )
        )  # fmt: skip
        handed = (
            {"student": str(student), "adapter": str(checkpoint)} if keep else {"student": str(checkpoint)}
        )
        result = evaluate(
            EvaluateConfig(
                **handed,
                questions=questions,
                image_root=folder,
                output_dir=checkpoint / "scores",
                device="cpu",
            )
        )
        found.append(result.answers)
    return found


def test_adapters_give_the_metrics_of_merged_checkpoints(student: Path, tmp_path: Path) -> None:
    merged, kept, last, kept_last = (
        answers_of_rounds(student, tmp_path, keep, start)
        for start in ("base", "last")
        for keep in (False, True)
    )
    assert merged == kept  # to the last digit of the losses
    # round 2 goes on from round 1 instead of training the first student with all data
    assert merged[0] == last[0] and merged[1] != last[1]
    for one, two in zip(last[1], kept_last[1], strict=True):
        assert (one.predicted_choice_idx, one.correct) == (two.predicted_choice_idx, two.correct)
        # the weights are rounded once, and not after each round
        assert one.scores == pytest.approx(two.scores, abs=1e-2)
