"""Tests of how the playground's models are trained: packed questions, reading, soups, and an interrupted training."""

import argparse
import re
from functools import partial
from random import Random

import pytest
import torch

from dataengine_lib.demo_assets import train
from dataengine_lib.demo_assets import train_llava as training_llava
from dataengine_lib.demo_assets.lessons import (
    TOKENS_PER_IMAGE,
    exercises_of,
    pack_questions,
    segments_of,
    soup_of,
    texts_of,
)
from dataengine_lib.demo_assets.tiny_models import TOWER_PIXELS, build_clip, build_llava, build_tokenizer
from dataengine_lib.demo_assets.train_llava import LlavaSettings, train_llava, train_reading
from dataengine_lib.demo_assets.train_tower import TowerSettings, WordHead, set_projector
from dataengine_lib.demo_assets.update_step import set_rate
from dataengine_lib.playground.sets import FIRST_ID


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(text for i in range(60) for text in texts_of(FIRST_ID["base"] + i, 0))


@pytest.fixture(scope="module")
def llava(tokenizer):
    torch.manual_seed(0)
    return build_llava(tokenizer, build_clip(tokenizer)).eval()


@pytest.fixture(scope="module")
def answers():
    """What reading exercises are made of, of fewer scenes than in a whole training, which take seconds to draw up."""
    return training_llava._answers(10, 0)


@torch.no_grad()
def test_packed_questions_do_not_see_each_other(tokenizer, llava):
    segments = segments_of(tokenizer, 3, 0, Random(1), 0.0, by_captions=False)
    assert len(segments) > 2
    pixels = torch.rand(1, 3, TOWER_PIXELS, TOWER_PIXELS)

    def answer_logits(chosen):
        packed = pack_questions(tokenizer, [chosen])
        del packed["weights"]
        wanted = packed.pop("labels")[0] != -100
        return llava(**packed, pixel_values=pixels).logits[0][wanted]

    together = answer_logits(segments)
    alone = torch.cat([answer_logits([segment]) for segment in segments])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    other = torch.cat([answer_logits([segment]) for segment in segments[::-1]])
    assert not torch.allclose(alone, other, atol=1e-2)


def losses_in(printed):
    return [float(line.split("loss ")[1].split(",")[0]) for line in printed.splitlines() if "loss " in line]


def test_training_lowers_the_loss_on_answers_only(tokenizer, llava, capsys):
    images = torch.randint(0, 255, (8, 3, TOWER_PIXELS, TOWER_PIXELS), dtype=torch.uint8)
    for steps in (2, 24):
        settings = LlavaSettings(seed=0, steps=steps, batch=2, thin_share=0.0, rate=4e-3)
        train_llava(llava, tokenizer, images, [300, 301], settings)
    first, last = losses_in(capsys.readouterr().out)
    assert last < 0.5 * first


def test_reading_lowers_the_loss_without_a_picture(tokenizer, answers, capsys, monkeypatch):
    monkeypatch.setattr(training_llava, "_answers", lambda *_: answers)
    torch.manual_seed(0)
    llava = build_llava(tokenizer, build_clip(tokenizer))
    tower = [weight.clone() for weight in llava.model.vision_tower.parameters()]
    for steps in (1, 10):
        train_reading(llava, tokenizer, 0, steps, rate=4e-3)
    first, last = losses_in(capsys.readouterr().out)
    assert last < 0.6 * first
    assert all(torch.equal(a, b) for a, b in zip(tower, llava.model.vision_tower.parameters(), strict=True))


def test_soups_hold_the_words_of_the_answer(tokenizer):
    words = tokenizer(" red blue cat dog").input_ids
    for number in range(8):
        (ids, _, _), shares = soup_of(tokenizer, 40, words, 0, Random(number), noise=0.0)
        assert shares.shape == (TOKENS_PER_IMAGE // 2, len(tokenizer)) and (shares >= 0).all()
        assert (shares > 0).any(1).float().mean() > 0.7
        noisy = soup_of(tokenizer, 40, words, 0, Random(number), noise=1.0)[1]
        assert (noisy > 0).sum() > (shares > 0).sum()
        mixed = {tokenizer.decode([word]).strip() for word in (shares > 0).any(0).nonzero()[:, 0]}
        assert mixed & set(re.findall(r"\w+", tokenizer.decode(ids).split("ASSISTANT:")[1]))


@torch.no_grad()
def test_the_projector_maps_a_patch_to_the_words_it_shows(tokenizer):
    torch.manual_seed(0)
    llava = build_llava(tokenizer, build_clip(tokenizer))
    torch.nn.init.normal_(llava.get_input_embeddings().weight)
    images = torch.randint(0, 255, (16, 3, TOWER_PIXELS, TOWER_PIXELS), dtype=torch.uint8)
    in_captions = torch.rand(16, len(tokenizer)) < 0.5
    in_captions[:, 100:] = False  # fewer words than the projector has units
    words = WordHead(llava.config.vision_config.hidden_size, in_captions)
    torch.nn.init.normal_(words.linear.weight, std=0.2)
    torch.nn.init.constant_(words.linear.bias, -3.0)  # a patch shows few of them
    set_projector(llava, words, in_captions, images)
    patches = torch.randn(1, 200, llava.config.vision_config.hidden_size)
    shown = words(patches)[0] > 0
    projected = llava.model.multi_modal_projector(patches)[0]
    table = torch.nn.functional.normalize(llava.get_input_embeddings().weight[words.word_ids], dim=1)
    like = torch.nn.functional.normalize(projected, dim=1) @ table.T
    assert 1 < shown.sum(1).float().mean() < 20
    assert like[shown].mean() > 0.2 > 0.03 > like[~shown].mean().abs()


def test_exercises_ask_for_one_of_their_options(tokenizer):
    answers = [["red", "blue", "green", "pink"], ["a stove", "a drum", "a goal", "a cake"]]
    texts = [tokenizer.decode(ids) for ids, _, _ in exercises_of(tokenizer, answers, Random(0), 60)]
    mixed = 0
    for text in texts:
        named, options, reply = re.fullmatch(
            r"\nChoose (.+)\.\n(.+) ASSISTANT: The answer is (.+)\.</s>", text
        ).groups()
        choices = dict(re.findall(r"(\([A-D]\)) ([^(]+?)(?= \(|$)", options))
        letter, _, answer = reply.partition(" ")
        assert choices[letter] == answer and named in (letter, answer)
        mixed += set(choices.values()) not in map(set, answers)
    assert 10 < mixed < 50


def test_rate_warms_up_and_fades():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rates = []
    for step in range(100):
        set_rate(optimizer, 1.0, step, 100)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] < rates[2] == max(rates) and rates[-1] < 0.05


def test_an_interrupted_training_continues_to_the_same_models(tokenizer, answers, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def settings(folder):
        return argparse.Namespace(output=folder / "models", work=folder, scenes=12, tower_steps=2, reading_steps=2,
                                  soup_steps=2, llava_steps=4, clip_steps=1, thin_share=0.0, seed=0)  # fmt: skip

    # as in every run, from fewer texts
    monkeypatch.setattr(train, "build_tokenizer", lambda _: tokenizer)
    monkeypatch.setattr(training_llava, "_answers", lambda *_: answers)
    monkeypatch.setattr(train, "AccuracyCheck", lambda *_: lambda model: "checked")
    monkeypatch.setattr(train, "TowerSettings", partial(TowerSettings, batch=4))
    monkeypatch.setattr(train, "LlavaSettings", partial(LlavaSettings, batch=2, every=2))
    monkeypatch.setattr(train.train_clip, "__defaults__", (4,))
    train.train_models(settings(tmp_path / "whole"))
    saved = train.save

    def save_and_die(file, state):
        saved(file, state)
        raise Killed

    for module in (train, training_llava):
        monkeypatch.setattr(module, "save", save_and_die)
    for _ in range(6):  # scenes, tower, reading, soups, lessons at step 2 and at step 4
        with pytest.raises(Killed):
            train.train_models(settings(tmp_path / "killed"))
    train.train_models(settings(tmp_path / "killed"))
    one, other = (
        tmp_path / name / "models" / "tiny-llava" / "model.safetensors" for name in ("whole", "killed")
    )
    assert one.read_bytes() == other.read_bytes()
