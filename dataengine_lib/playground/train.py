"""Trains the playground's tiny CLIP and tiny LLaVA from nothing, on captions and base questions alone.

`python -m dataengine_lib.playground.train --output data_demo/models --work training` runs three stages: a vision tower
that learns which caption words belong to a picture, a LLaVA around that tower that learns to read, then captions and
questions, and a CLIP around the same tower, whose text side learns by contrast. Scenes come from the base set's range
of image ids, which no measuring set and no query pool ever uses.
"""

import argparse
import time
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.data.files import replacing
from dataengine_lib.data.records import Question, options_text
from dataengine_lib.playground.lessons import Segment, pack, segments_of, texts_of
from dataengine_lib.playground.sets import FIRST_ID, THIN_SHARE, base_questions
from dataengine_lib.playground.tiny_models import (
    build_clip,
    build_llava,
    build_tokenizer,
    save_clip,
    save_llava,
)
from dataengine_lib.playground.train_tower import (
    WordHead,
    align_projector,
    said_in_captions,
    train_clip,
    train_tower,
)
from dataengine_lib.playground.training import Pixels, draw_all, set_rate, update
from dataengine_lib.playground.world import make_scene


def train_llava(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    images: torch.Tensor,
    seed: int,
    steps: int,
    *,
    batch: int = 8,
    rate: float = 1e-3,
    thin_share: float,
    reading: bool = False,
    check: "Check | None" = None,
    every: int = 600,
    folder: Path | None = None,
) -> None:
    """Train in place on captions and questions, the tower frozen; `reading` gives reading exercises alone.

    `folder` gets `lessons.pt` every `every` steps, from which a killed training goes on.
    """
    pixels, start = Pixels(), 0
    model.model.vision_tower.requires_grad_(False)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    kept = folder / "lessons.pt" if folder else None
    if kept and kept.is_file():
        state = torch.load(kept)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began = time.monotonic()
    for step in range(start, steps):
        set_rate(optimizer, rate, step, steps)
        rng = Random(
            f"llava {seed} {reading} {step}"
        )  # of the step alone, so that a resumed training is the same
        lesson = 0 if reading else step % 4
        rows = rng.sample(range(len(images)), batch)
        packed = pack(tokenizer, [segments_of(tokenizer, row, seed, rng, thin_share, lesson) for row in rows])
        labels, weights = packed.pop("labels"), packed.pop("weights")
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(
                **packed, pixel_values=pixels(images[rows]), use_cache=False
            ).last_hidden_state
            wanted = labels[:, 1:] != -100
            logits = model.lm_head(hidden[:, :-1][wanted])
        losses = F.cross_entropy(logits.float(), labels[:, 1:][wanted], reduction="none")
        loss = (losses * weights[:, 1:][wanted]).sum() / weights[:, 1:][wanted].sum()
        update(learnt, optimizer, loss)
        if step % 200 < 4 or step == steps - 1:
            print(
                f"LLaVA step {step}: loss {loss.item():.3f} in lesson {lesson}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
        if check and (step + 1) % every == 0:
            print(check(model), flush=True)
        if kept and (step + 1) % every == 0:
            save(kept, {"step": step + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()})


def save(file: Path, state: Any) -> None:
    """Write a stage's result, whole or not at all."""
    with replacing(file) as stream:
        torch.save(state, stream)


class Check:
    """Accuracy per type on scenes outside every set, by the letter the model would write next."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, count: int = 160):
        self.tokenizer, self.pixels = tokenizer, Pixels()
        first = FIRST_ID["base"] + 90_000
        self.images = draw_all(first, count, seed)
        self.rows = [
            list(base_questions(make_scene(first + i, seed), seed, thin_share=1.0)) for i in range(count)
        ]
        self.letters = torch.tensor([tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD"])

    @torch.no_grad()
    def __call__(self, model: LlavaForConditionalGeneration) -> str:
        right: dict[str, list[bool]] = {}
        model.eval()
        for start in range(0, len(self.rows), 16):
            rows = self.rows[start : start + 16]
            packed = pack(self.tokenizer, [[self._segment(q) for q in questions] for questions in rows])
            ends = packed.pop("labels")
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="gets tiny-clip and tiny-llava")
    parser.add_argument(
        "--work", type=Path, required=True, help="keeps each stage's result, so that a killed call goes on"
    )
    parser.add_argument("--scenes", type=int, default=16000, help="base scenes to train on")
    parser.add_argument("--tower-steps", type=int, default=1200)
    parser.add_argument("--reading-steps", type=int, default=1200)
    parser.add_argument("--llava-steps", type=int, default=8000)
    parser.add_argument("--clip-steps", type=int, default=500)
    parser.add_argument(
        "--thin-share", type=float, default=THIN_SHARE, help="of the thin types' base questions"
    )
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


def train(args: argparse.Namespace) -> None:
    """The three stages one after the other; a stage whose result lies in `args.work` is not done again."""
    torch.manual_seed(args.seed)
    seed, work = args.seed, args.work
    tokenizer = build_tokenizer(text for i in range(4000) for text in texts_of(FIRST_ID["base"] + i, seed))
    if not (work / "scenes.pt").is_file():
        save(work / "scenes.pt", draw_all(FIRST_ID["base"], args.scenes, seed))
    images = torch.load(work / "scenes.pt")
    clip = build_clip(tokenizer)
    said = said_in_captions(tokenizer, len(images), seed)
    vision: Any = clip.config.vision_config
    words = WordHead(vision.hidden_size, said)
    if not (work / "tower.pt").is_file():
        train_tower(clip.vision_model, words, said, images, seed, args.tower_steps)
        save(work / "tower.pt", {"tower": clip.vision_model.state_dict(), "words": words.state_dict()})
    stage = torch.load(work / "tower.pt")
    clip.vision_model.load_state_dict(stage["tower"])
    words.load_state_dict(stage["words"])
    llava = build_llava(tokenizer, clip)
    if not (work / "reading.pt").is_file():
        train_llava(
            llava, tokenizer, images, seed, args.reading_steps, thin_share=args.thin_share, reading=True
        )
        align_projector(llava, words, images, seed)
        save(work / "reading.pt", llava.state_dict())
    llava.load_state_dict(torch.load(work / "reading.pt"))
    check = Check(tokenizer, seed)
    train_llava(
        llava, tokenizer, images, seed, args.llava_steps, thin_share=args.thin_share, check=check, folder=work
    )
    train_clip(clip, tokenizer, images, seed, args.clip_steps)
    save_clip(clip, tokenizer, args.output / "tiny-clip")
    save_llava(llava, tokenizer, args.output / "tiny-llava")


if __name__ == "__main__":
    main()
