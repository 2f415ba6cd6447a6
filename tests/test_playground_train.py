"""The packing that trains several questions behind one image must equal asking each alone."""

import argparse
from random import Random

import pytest
import torch

from dataengine_lib.playground import train
from dataengine_lib.playground.lessons import pack, segments_of, texts_of
from dataengine_lib.playground.sets import FIRST_ID
from dataengine_lib.playground.tiny_models import PIXELS, build_clip, build_llava, build_tokenizer
from dataengine_lib.playground.train import train_llava
from dataengine_lib.playground.training import set_rate


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(text for i in range(60) for text in texts_of(FIRST_ID["base"] + i, 0))


@pytest.fixture(scope="module")
def llava(tokenizer):
    torch.manual_seed(0)
    return build_llava(tokenizer, build_clip(tokenizer)).eval()


@torch.no_grad()
def test_packed_questions_do_not_see_each_other(tokenizer, llava):
    segments = segments_of(tokenizer, 3, 0, Random(1), 0.0, 1)
    assert len(segments) > 2
    pixels = torch.rand(1, 3, PIXELS, PIXELS)

    def answer_logits(chosen):
        packed = pack(tokenizer, [chosen])
        del packed["weights"]
        wanted = packed.pop("labels")[0] != -100
        return llava(**packed, pixel_values=pixels).logits[0][wanted]

    together = answer_logits(segments)
    alone = torch.cat([answer_logits([segment]) for segment in segments])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    other = torch.cat([answer_logits([segment]) for segment in segments[::-1]])
    assert not torch.allclose(alone, other, atol=1e-2)


def test_training_lowers_the_loss_on_answers_only(tokenizer, llava, capsys):
    images = torch.randint(0, 255, (8, 3, PIXELS, PIXELS), dtype=torch.uint8)
    train_llava(llava, tokenizer, images, 0, 41, batch=4, thin_share=0.0)
    losses = [
        float(line.split("loss ")[1].split(" ")[0])
        for line in capsys.readouterr().out.splitlines()
        if "lesson 0" in line
    ]
    assert losses[-1] < 0.7 * losses[0]


def test_rate_warms_up_and_fades():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rates = []
    for step in range(100):
        set_rate(optimizer, 1.0, step, 100)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] < rates[2] == max(rates) and rates[-1] < 0.05


def test_a_killed_training_goes_on_to_the_same_models(tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def settings(folder):
        return argparse.Namespace(output=folder / "models", work=folder, scenes=12, tower_steps=2, reading_steps=2,
                                  llava_steps=4, clip_steps=1, thin_share=0.0, seed=0)  # fmt: skip

    monkeypatch.setattr(train, "Check", lambda *_: lambda model: "checked")
    monkeypatch.setattr(train.train_tower, "__defaults__", (4, 1e-3))
    monkeypatch.setattr(train.align_projector, "__defaults__", (2, 4))
    monkeypatch.setattr(train.train_clip, "__defaults__", (4,))
    monkeypatch.setitem(train.train_llava.__kwdefaults__, "batch", 2)
    monkeypatch.setitem(train.train_llava.__kwdefaults__, "every", 2)
    train.train(settings(tmp_path / "whole"))
    saved = train.save

    def save_and_die(file, state):
        saved(file, state)
        raise Killed

    monkeypatch.setattr(train, "save", save_and_die)
    for _ in range(5):  # scenes, tower, reading, lessons at step 2 and at step 4
        with pytest.raises(Killed):
            train.train(settings(tmp_path / "killed"))
    train.train(settings(tmp_path / "killed"))
    one, other = (
        tmp_path / name / "models" / "tiny-llava" / "model.safetensors" for name in ("whole", "killed")
    )
    assert one.read_bytes() == other.read_bytes()
