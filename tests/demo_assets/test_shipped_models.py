"""Tests of `data_demo/models`: ordinary Hugging Face folders, small, and weak where their base data is thin."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from project import PROJECT_ROOT
from transformers import AutoModelForImageTextToText, AutoProcessor, CLIPModel

from dataengine_lib.playground.sets import THIN_TYPES, write_playground
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate

MODELS = PROJECT_ROOT / "data_demo" / "models"


def test_shipped_models_load_like_any_other_and_are_small():
    student = AutoModelForImageTextToText.from_pretrained(MODELS / "tiny-llava")
    assert type(student).__name__ == "LlavaForConditionalGeneration"
    assert 2e6 < sum(p.numel() for p in student.parameters()) < 8e6
    assert sum(f.stat().st_size for f in MODELS.rglob("*") if f.is_file()) <= 20e6


def test_the_students_answers_are_words():
    student = AutoModelForImageTextToText.from_pretrained(MODELS / "tiny-llava")
    processor = AutoProcessor.from_pretrained(MODELS / "tiny-llava")
    chat = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "Which style does the picture have?"}],
        }
    ]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(images=[Image.new("RGB", (224, 224), "white")], text=[prompt], return_tensors="pt")
    made = student.generate(**inputs, max_new_tokens=8, do_sample=False)
    answer = processor.tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer.startswith(" The answer is")


def test_the_clip_puts_a_picture_near_its_captions(tmp_path: Path):
    from dataengine_lib.playground.captions import write_captions
    from dataengine_lib.playground.drawing.scene import draw_scene
    from dataengine_lib.playground.scene_layout import make_scene

    model = CLIPModel.from_pretrained(MODELS / "tiny-clip").eval()
    processor = AutoProcessor.from_pretrained(MODELS / "tiny-clip")
    scenes = [make_scene(500_000 + i, 0) for i in range(32)]
    texts = [" ".join(write_captions(scene)[:2]) + "</s>" for scene in scenes]
    inputs = processor(
        images=[draw_scene(scene, 224) for scene in scenes],
        text=texts,
        return_tensors="pt",
        padding="longest",
        padding_side="right",
    )
    with torch.no_grad():
        found = model(**inputs).logits_per_image.argmax(1)
    assert (found == torch.arange(32)).float().mean() > 0.5  # by chance: 1 in 32


def test_the_student_is_weak_where_its_base_data_is_thin(tmp_path: Path):
    sets = write_playground(tmp_path, 0, {"base": 1, "pool": 1, "diagnose": 1, "holdout": 40})
    score = evaluate(EvaluateConfig(
        questions=sets / "aokvqa_playground.json", image_root=sets, student=str(MODELS / "tiny-llava"),
        output_dir=tmp_path / "scores", split="holdout", direct_answers=False,
    )).metrics.splits["holdout"]  # fmt: skip
    assert score.overall.accuracy == pytest.approx(0.625, abs=0.125)
    weak = {kind for kind, one in score.per_type.items() if one.total and (one.accuracy or 0) < 0.45}
    assert len(weak & set(THIN_TYPES)) >= 4
