"""Trains the playground's tiny LLaVA in stages: reading options and captions, mixtures of words, then pictures."""

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.core.records import Question, options_text
from dataengine_lib.demo_assets.lessons import (
    LETTER_WEIGHT,
    Segment,
    comprehension_of,
    exercises_of,
    pack_questions,
    pack_texts,
    segments_of,
    soup_of,
)
from dataengine_lib.demo_assets.update_step import Pixels, draw_all, save, set_rate, update
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import FIRST_ID, base_questions


def _learn(
    model: LlavaForConditionalGeneration,
    parameters: list[torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    packed: dict[str, torch.Tensor],
    **more: torch.Tensor,
) -> tuple[float, float]:
    """One update on packed texts; returns the loss and the share of letters that were right."""
    labels, weights = packed.pop("labels"), packed.pop("weights")
    # the output layer is applied only where the next token has a label
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(**packed, **more, use_cache=False).last_hidden_state
        # the state at each token predicts the next one, so labels are shifted by one
        wanted = labels[:, 1:] != -100
        logits = model.lm_head(hidden[:, :-1][wanted]).float()
    target, weight = labels[:, 1:][wanted], weights[:, 1:][wanted]
    loss = (F.cross_entropy(logits, target, reduction="none") * weight).sum() / weight.sum()
    update(parameters, optimizer, loss)
    letters = weight == LETTER_WEIGHT
    return loss.item(), (logits.argmax(1) == target)[letters].float().mean().item()


def train_reading(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    steps: int,
    rate: float = 1e-3,
    count: int = 16000,
) -> None:
    """Train the language model, in place and without pictures, to read: options first, captions too from halfway on.

    Before it knows which letter an option has, it cannot answer any question by letter, whatever the picture shows.
    On short texts it learns this in minutes; with pictures it had not after an hour.
    """
    trained = list(model.model.language_model.parameters())
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    answers = _answers(1500, seed)
    # running averages, which start at a guess among four letters
    began, recent = time.monotonic(), {"exercises": 0.25, "comprehension": 0.25}
    for step in range(steps):
        set_rate(optimizer, rate, step, steps)
        rng = Random(f"reading {seed} {step}")
        kind = "comprehension" if step >= steps // 2 and step % 2 else "exercises"
        if kind == "exercises":
            segments = exercises_of(tokenizer, answers, rng, 64)
        else:
            segments = [comprehension_of(tokenizer, row, seed, rng) for row in rng.sample(range(count), 32)]
        loss, right = _learn(model, trained, optimizer, pack_texts(tokenizer, segments))
        recent[kind] += 0.05 * (right - recent[kind])
        if step % 50 == 49 or step == steps - 1:
            shown = ", ".join(f"{name} {share:.0%}" for name, share in recent.items())
            print(f"reading step {step + 1}: loss {loss:.3f}, letters right: {shown}, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip


def train_soups(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    words: list[int],
    seed: int,
    steps: int,
    rate: float = 8e-4,
    count: int = 16000,
) -> None:
    """Train the language model, in place, to find an answer in mixtures of word embeddings (see `soup_of`).

    That is what patches look like to it: without this stage it read captions well, but answered by chance about
    pictures.
    """
    trained = list(model.model.language_model.parameters())
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    answers = _answers(500, seed)
    began, recent = time.monotonic(), 0.25
    for step in range(steps):
        # over twice the steps, so that the rate is still at about half at the end
        set_rate(optimizer, rate, step, 2 * steps)
        rng = Random(f"soups {seed} {step}")
        if step % 5 == 4:  # so that it does not forget the stage before
            _learn(
                model, trained, optimizer, pack_texts(tokenizer, exercises_of(tokenizer, answers, rng, 48))
            )
            continue
        # from clean mixtures to noisy ones; full noise in the last sixth
        noise = min(1.0, 1.2 * step / steps)
        made = [soup_of(tokenizer, count, words, seed, rng, noise) for _ in range(32)]
        loss, right = _learn(
            model, trained, optimizer, **_pack_soups(model, tokenizer, words, made, noise, step)
        )
        recent += 0.05 * (right - recent)
        if step % 50 == 48 or step == steps - 1:
            print(f"soups step {step + 1}: loss {loss:.3f}, letters right {recent:.0%}, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip


def _pack_soups(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    words: list[int],
    made: list[tuple[Segment, torch.Tensor]],
    noise: float,
    seed: int,
) -> dict[str, Any]:
    """Arguments of `_learn`, with mixtures of the words' embeddings in place of the picture's."""
    table: Any = model.get_input_embeddings()
    soups = torch.stack([shares for _, shares in made]) @ table.weight
    # as long as a word's embedding, however many words are mixed
    soups = F.normalize(soups, dim=-1) * table.weight[words].norm(dim=1).mean().detach()
    dice = torch.Generator().manual_seed(seed)
    soups = soups + 0.3 * noise * soups.detach().std() * torch.randn(soups.shape, generator=dice)
    packed = pack_texts(tokenizer, [segment for segment, _ in made])
    before = table(torch.tensor(tokenizer("USER: ").input_ids)).expand(len(made), -1, -1)
    # the row is ["USER: ", soup, question, answer]: no labels for the first two
    lead = before.shape[1] + soups.shape[1]
    labels, weights = (
        F.pad(packed[key], (lead, 0), value=fill) for key, fill in (("labels", -100), ("weights", 0))
    )
    embedded = torch.cat([before, soups, table(packed["input_ids"])], 1)
    return {"packed": {"labels": labels, "weights": weights}, "inputs_embeds": embedded}


def _answers(scenes: int, seed: int) -> list[list[str]]:
    """The choices of base questions, from which reading exercises are made."""
    by_scene = (
        base_questions(make_scene(FIRST_ID["base"] + i, seed), seed, thin_share=1.0) for i in range(scenes)
    )
    return [question.choices for questions in by_scene for question in questions]


@dataclass(frozen=True, kw_only=True)
class LlavaSettings:
    """How long, how fast and on which questions `train_llava` trains, and where it writes what it resumes from."""

    seed: int
    steps: int
    thin_share: float  # of the thin types' possible questions
    caption_share: float = 0.2  # of the steps, at the start: only questions that captions answer
    batch: int = 8  # images per step
    rate: float = 3e-4  # of the language model; tower and projector have 0.3 of it
    every: int = 300  # steps between two checks, and between two writes of `folder/lessons.pt`
    folder: Path | None = None


def train_llava(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    images: torch.Tensor,
    words: list[int],
    settings: LlavaSettings,
    check: "AccuracyCheck | None" = None,
) -> None:
    """Train in place on questions about pictures.

    In the first `caption_share` of the steps only questions that captions answer are asked, and only the language
    model is trained; then all questions are asked, and projector and tower are trained too. `lessons.pt` is written to
    `folder` every `every` steps; an interrupted training goes on from it.
    """
    seed, steps, folder = settings.seed, settings.steps, settings.folder
    pixels = Pixels()
    tower: Any = model.model.vision_tower
    reading = list(model.model.language_model.parameters())
    seeing = [*tower.encoder.parameters(), *model.model.multi_modal_projector.parameters()]
    trained = [*reading, *seeing]
    optimizer = torch.optim.AdamW(
        [{"params": reading}, {"params": seeing}], lr=settings.rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    kept = folder / "lessons.pt" if folder else None
    start = _resume(kept, model, optimizer) if kept and kept.is_file() else 0
    # all of the tower; the loop releases its layers later, but not its embeddings of patches
    tower.requires_grad_(False)
    began, recent = time.monotonic(), 0.25
    for step in range(start, steps):
        set_rate(optimizer, settings.rate, step, steps)
        # projector and tower
        optimizer.param_groups[1]["lr"] *= 0.3
        by_captions = step < settings.caption_share * steps
        for parameter in seeing:
            parameter.requires_grad_(not by_captions)
        # seeded by the step, so that a resumed training gives the same result
        rng = Random(f"llava {seed} {step}")
        rows = rng.sample(range(len(images)), settings.batch)
        if step % 4 == 0:  # so that it does not forget the stage before
            made = [soup_of(tokenizer, len(images), words, seed, rng, 1.0) for _ in range(24)]
            _learn(model, trained, optimizer, **_pack_soups(model, tokenizer, words, made, 1.0, step))
            continue
        packed = pack_questions(
            tokenizer,
            [segments_of(tokenizer, row, seed, rng, settings.thin_share, by_captions) for row in rows],
        )
        loss, right = _learn(model, trained, optimizer, packed, pixel_values=pixels(images[rows]))
        recent += 0.02 * (right - recent)
        if step % 100 == 99 or step == steps - 1:
            print(f"LLaVA step {step + 1}: loss {loss:.3f}, letters right {recent:.0%}, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        if check and (step + 1) % settings.every == 0:
            print(check(model), flush=True)
        if kept and ((step + 1) % settings.every == 0 or step == steps - 1):
            save(kept, {"step": step + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()})


def _resume(file: Path, model: LlavaForConditionalGeneration, optimizer: torch.optim.Optimizer) -> int:
    """Load an interrupted training's state; returns the step at which it goes on."""
    state = torch.load(file)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


class AccuracyCheck:
    """Measures accuracy by type on scenes of no set: the most likely letter after "The answer is (" counts."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, count: int = 160):
        self.tokenizer, self.pixels = tokenizer, Pixels()
        # behind the scenes of the training (32,000 by default), before the next set's ids
        first = FIRST_ID["base"] + 90_000
        self.images = draw_all(first, count, seed)
        self.rows = [
            list(base_questions(make_scene(first + i, seed), seed, thin_share=1.0)) for i in range(count)
        ]
        self.letters = torch.tensor([tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD"])

    @torch.no_grad()
    def __call__(self, model: LlavaForConditionalGeneration) -> str:
        """The mean over the types and each type's accuracy, as one line of text."""
        right: dict[str, list[bool]] = {}
        model.eval()
        for start in range(0, len(self.rows), 16):
            rows = self.rows[start : start + 16]
            packed = pack_questions(
                self.tokenizer, [[self._segment(q) for q in questions] for questions in rows]
            )
            ends = packed.pop("labels")  # other than -100 at the last token of each question, the bracket
            del packed["weights"]
            with torch.autocast("cpu", torch.bfloat16):
                hidden = model.model(
                    **packed, pixel_values=self.pixels(self.images[start : start + 16]), use_cache=False
                ).last_hidden_state
                logits = model.lm_head(hidden[ends != -100])
            found = logits.float()[:, self.letters].argmax(1).tolist()
            for question, letter in zip([q for questions in rows for q in questions], found, strict=True):
                right.setdefault(question.question_type, []).append(letter == question.correct_choice_idx)
        model.train()
        shares = {kind: sum(hits) / len(hits) for kind, hits in right.items()}
        mean = sum(shares.values()) / len(shares)
        return f"mean {mean:.0%}: " + ", ".join(
            f"{kind} {share:.0%}" for kind, share in sorted(shares.items(), key=lambda r: r[1])
        )

    def _segment(self, question: Question) -> Segment:
        ids = self.tokenizer(
            f"\n{question.question}\n{options_text(question.choices)} ASSISTANT: The answer is ("
        ).input_ids
        return ids, [-100] * (len(ids) - 1) + [ids[-1]], [1.0] * len(ids)
