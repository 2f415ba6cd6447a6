"""Tests of step 1 on a question file with every fault at once: each has its reason, and the run continues."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_tiny_llava

from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate

GOOD = {
    "plain": {},
    "five choices": {"choices": ["dog", "cat", "cow", "pig", "hen"], "correct_choice_idx": 4},
    "two choices": {"choices": ["yes", "no"]},
    "numbers as choices": {"choices": [1, 2, 3.5, 10]},
    "another script": {"question": "这张照片里有什么？", "choices": ["狗", "猫", "кошка", "قطة"]},
    "special tokens": {"question": "What is <image> </s> here?", "choices": ["<image>", "<s>", "a", "b"]},
    "20 megapixels": {"image_path": "large.jpg"},
    "grayscale": {"image_path": "gray.png"},
    "cmyk": {"image_path": "cmyk.jpg"},
    "16 bit": {"image_path": "deep.png"},
    "animated": {"image_path": "moving.gif"},
    "turned": {"image_path": "turned.jpg"},
    "transparent": {"image_path": "glass.png"},
}
BAD = {
    "missing image": ({"image_path": "none.png"}, "image not found", "none.png"),
    "cut image": ({"image_path": "cut.png"}, "image cannot be read", "cut.png"),
    "text as image": ({"image_path": "text.jpg"}, "image cannot be read", "text.jpg"),
    "outside": ({"image_path": "../../../etc/passwd"}, "image not found", "leads outside"),
    "long name": ({"image_path": "x" * 300}, "image not found", "xxx…: image not found"),
    "null byte": ({"image_path": "x\0.png"}, "image not found", "'x\\x00.png'"),
    "no choices": ({"choices": []}, "unusable choices", "0 choices"),
    "empty choice": ({"choices": ["dog", " "]}, "unusable choices", "a choice is empty"),
    "wrong index": ({"correct_choice_idx": 7}, "index outside the choices", "correct_choice_idx 7"),
    "negative index": ({"correct_choice_idx": -1}, "index outside the choices", "correct_choice_idx -1"),
    "no index": ({"correct_choice_idx": None}, "no correct choice", "not given"),
    "twice": ({"question_id": "plain"}, "repeated question_id", "occurs twice"),
    "no text": ({"question": " "}, "empty question", "empty"),
    "malformed": ({"question": ["what"]}, "malformed row", "question"),
    "no image": ({"image_path": None}, "no image", "neither image_id nor image_path"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny student, images of every kind, and a file of questions with every fault."""
    folder = tmp_path_factory.mktemp("faults")
    save_tiny_llava(folder / "model")
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    plain = Image.fromarray(noise)
    plain.save(folder / "plain.png")
    plain.resize((5500, 3700)).save(folder / "large.jpg", quality=30)
    plain.convert("L").save(folder / "gray.png")
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    plain.save(folder / "moving.gif", save_all=True, append_images=[plain.rotate(90), plain.rotate(180)])
    exif = Image.Exif()
    exif[0x0112] = 6
    plain.save(folder / "turned.jpg", exif=exif)
    plain.convert("RGBA").save(folder / "glass.png")
    (folder / "cut.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    (folder / "text.jpg").write_text("not a picture")
    usual = {
        "image_path": "plain.png", "question": "What is it?", "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": 0, "question_type": "image_scene", "split": "diagnose",
    }  # fmt: skip
    rows = [{**usual, "question_id": name, **more} for name, more in GOOD.items()]
    rows += [{**usual, "question_id": name, **more} for name, (more, _, _) in BAD.items()]
    (folder / "questions.json").write_text(json.dumps(rows))
    return folder


def run(folder: Path, out: Path, **more: Any) -> EvaluateResult:
    values: dict[str, Any] = {
        "questions": folder / "questions.json", "image_root": folder, "student": str(folder / "model"),
        "output_dir": out, "device": "cpu", "categories": "v1", **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values))


def test_every_fault_is_named_and_the_rest_is_scored(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path / "out", max_bad_share=0.6)
    assert [answer.question_id for answer in result.answers] == list(GOOD)
    assert all(len(answer.scores) == len(answer.choices) for answer in result.answers)
    found = {row.row: row for row in result.skipped}
    for number, (name, (_, kind, reason)) in enumerate(BAD.items(), len(GOOD)):
        row = found[f"row {number}"]
        assert row.kind == kind and reason in row.reason, name
    assert len(found) == len(BAD)
    skipped = json.loads((tmp_path / "out/metrics.json").read_text())["skipped"]
    assert (skipped["total"], skipped["of"]) == (len(BAD), len(GOOD) + len(BAD))
    assert sum(skipped["by_reason"].values()) == len(BAD)
    assert skipped["by_reason"]["image cannot be read"] == 2


def test_too_many_bad_rows_stop_the_step_with_a_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"\d+ of 28 rows cannot be used: correct them") as caught:
        run(folder, tmp_path / "out", max_bad_share=0.3)
    assert "\n" not in str(caught.value) and "raise max_bad_share (0.3)" in str(caught.value)
    assert not (tmp_path / "out/metrics.json").exists()


def test_a_rotated_photo_is_scored_as_a_viewer_shows_it(folder: Path, tmp_path: Path) -> None:
    """The turned file scores as the picture turned by hand, the first frame as the still."""
    plain = Image.open(folder / "turned.jpg")
    plain.transpose(Image.Transpose.ROTATE_270).save(folder / "by_hand.png")
    Image.open(folder / "moving.gif").convert("RGB").save(folder / "still.png")
    rows = json.loads((folder / "questions.json").read_text())[:1]
    names = ["turned.jpg", "by_hand.png", "moving.gif", "still.png", "plain.png"]
    asked = [{**rows[0], "question_id": name, "image_path": name} for name in names]
    file = tmp_path / "few.json"
    file.write_text(json.dumps(asked))
    scores = {a.question_id: a.scores for a in run(folder, tmp_path / "out", questions=file).answers}
    assert scores["turned.jpg"] == scores["by_hand.png"] != scores["plain.png"]
    assert scores["moving.gif"] == scores["still.png"]
