"""Trains the playground's tiny CLIP and tiny LLaVA from nothing, on captions and base questions alone.

`python -m dataengine_lib.playground.train --output data_demo/models` reproduces what is shipped,
in three stages: a vision
tower that learns which caption words belong to a picture, a LLaVA around it that is trained end to end on captions and
questions, and a CLIP around the LLaVA's tower,
whose text tower and projections learn by contrast. Scenes come from the base
set's range of image ids, which no measuring set and no query pool ever uses.
"""

import argparse
import time
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

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
from dataengine_lib.playground.train_tower import align_projector, train_clip, train_tower
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
    """Train in place on captions and questions; `folder` gets a copy of the weights every `every` steps."""
    rng, pixels = Random(f"llava {seed}"), Pixels()
    model.model.vision_tower.requires_grad_(False)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        set_rate(optimizer, rate, step, steps)
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
        update(model, optimizer, loss)
        if step % 200 < 4 or step == steps - 1:
            print(
                f"LLaVA step {step}: loss {loss.item():.3f} in lesson {lesson}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
        if check and (step + 1) % every == 0:
            print(check(model), flush=True)
            if folder:
                torch.save(model.state_dict(), folder / "llava.pt")


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
    parser.add_argument("--scenes", type=int, default=16000, help="base scenes to train on")
    parser.add_argument(
        "--resume", type=Path, help="start the LLaVA from these weights, llava.pt of an earlier call"
    )
    parser.add_argument("--tower", type=Path, help="take this tower.pt of an earlier call")
    parser.add_argument("--reading-steps", type=int, default=1200)
    parser.add_argument("--tower-steps", type=int, default=1200)
    parser.add_argument("--clip-steps", type=int, default=500)
    parser.add_argument("--llava-steps", type=int, default=8000)
    parser.add_argument(
        "--thin-share",
        type=float,
        default=THIN_SHARE,
        help="share of the thin types' base questions that is kept",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    drawn = args.output / f"scenes-{args.scenes}-{args.seed}.pt"
    images = torch.load(drawn) if drawn.is_file() else draw_all(FIRST_ID["base"], args.scenes, args.seed)
    torch.save(images, drawn)
    tokenizer = build_tokenizer(
        text for i in range(4000) for text in texts_of(FIRST_ID["base"] + i, args.seed)
    )
    clip = build_clip(tokenizer)
    if args.tower:
        clip.vision_model.load_state_dict(torch.load(args.tower))
    words = train_tower(
        clip.vision_model,
        tokenizer,
        images,
        args.seed,
        300 if args.tower else args.tower_steps,
        rate=2e-2 if args.tower else 1e-3,
        frozen=bool(args.tower),
    )
    llava = build_llava(tokenizer, clip)
    torch.save(clip.vision_model.state_dict(), args.output / "tower.pt")
    if args.resume:
        llava.load_state_dict(torch.load(args.resume))
        llava.model.vision_tower.load_state_dict(clip.vision_model.state_dict())
    else:
        train_llava(
            llava, tokenizer, images, args.seed, args.reading_steps, thin_share=args.thin_share, reading=True
        )
    align_projector(llava, words, images, args.seed)
    check = Check(tokenizer, args.seed)
    train_llava(
        llava,
        tokenizer,
        images,
        args.seed,
        args.llava_steps,
        thin_share=args.thin_share,
        check=check,
        folder=args.output,
    )
    clip.vision_model.load_state_dict(llava.model.vision_tower.state_dict())
    train_clip(clip, tokenizer, images, args.seed, args.clip_steps)
    save_clip(clip, tokenizer, args.output / "tiny-clip")
    save_llava(llava, tokenizer, args.output / "tiny-llava")
    for left in ("llava.pt", "tower.pt", drawn.name):
        (args.output / left).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
