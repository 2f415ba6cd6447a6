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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm.auto import tqdm
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.data.records import LETTERS, Question, options_text
from dataengine_lib.playground.captions import write_captions
from dataengine_lib.playground.sets import FIRST_ID, PIXELS, THIN_SHARE, base_questions
from dataengine_lib.playground.tiny_models import (
    IMAGE,
    PATCH,
    build_clip,
    build_llava,
    build_tokenizer,
    image_processor,
    save_clip,
    save_llava,
)
from dataengine_lib.playground.tiny_models import PIXELS as TOWER_PIXELS
from dataengine_lib.playground.world import make_scene

IMAGE_TOKENS = (TOWER_PIXELS // PATCH) ** 2
ASK = "USER: {image}\n{text} ASSISTANT:"
Segment = tuple[list[int], list[int], list[float]]  # token ids, labels, weights in the loss
LETTER_WEIGHT, WORD_WEIGHT, REST_WEIGHT, CAPTION_WEIGHT = 8.0, 3.0, 0.3, 0.5


def draw_small(image_id: int, seed: int) -> np.ndarray:
    """A scene as the student's tower sees it, (3, 112, 112) uint8, through JPEG as in the written sets."""
    import io

    from dataengine_lib.playground.draw import draw

    stream = io.BytesIO()
    draw(make_scene(image_id, seed), PIXELS).save(stream, "JPEG", quality=88)
    small = Image.open(stream).resize((TOWER_PIXELS, TOWER_PIXELS), Image.Resampling.BICUBIC)
    return np.asarray(small).transpose(2, 0, 1)


def draw_all(first: int, count: int, seed: int) -> torch.Tensor:
    """`count` scenes from image id `first`, (count, 3, 112, 112) uint8."""
    with ProcessPoolExecutor() as workers:
        drawn = workers.map(partial(draw_small, seed=seed), range(first, first + count), chunksize=64)
        return torch.from_numpy(np.stack(list(tqdm(drawn, total=count, desc="drawing", disable=None))))


class Pixels:
    """Turns stored uint8 scenes into the processor's scaled pixels."""

    def __init__(self) -> None:
        processor = image_processor()
        self.mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
        self.deviation = torch.tensor(processor.image_std).view(1, 3, 1, 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - self.mean) / self.deviation


def texts_of(image_id: int, seed: int) -> Iterator[str]:
    """Captions and questions of a scene, to learn the tokenizer from."""
    scene = make_scene(image_id, seed)
    yield from write_captions(scene, seed)
    for question in base_questions(scene, seed, thin_share=1.0):
        yield f"{question.question}\n{options_text(question.choices)} ASSISTANT: The answer is {question.choices[0]}."
        yield from question.rationales[:1]


# --- the vision tower ----------------------------------------------------------------------------------


@dataclass
class WordHead:
    """Which of the `telling` caption tokens a patch shows; `share` is how many pictures have each."""

    linear: torch.nn.Linear
    telling: torch.Tensor
    share: torch.Tensor


def train_tower(
    tower: Any,
    tokenizer: PreTrainedTokenizerFast,
    images: torch.Tensor,
    seed: int,
    steps: int,
    batch: int = 128,
    rate: float = 1e-3,
    frozen: bool = False,
) -> WordHead:
    """Teach the tower which caption tokens belong to a picture, in place; a token may be shown by any one patch.

    Much faster than captioning from nothing. `frozen` trains the head alone. Source of the idea: SuperClass
    (Huang et al. 2024).
    """
    rng, pixels = Random(f"tower {seed}"), Pixels()
    said = torch.zeros(len(images), len(tokenizer), dtype=torch.bool)
    for row in range(len(images)):
        said[row, tokenizer(" ".join(captions_of(row, seed))).input_ids] = True
    share = said.float().mean(0)
    telling = ((share > 0.002) & (share < 0.9)).nonzero()[:, 0]
    said, prior = said[:, telling], share[telling].logit()
    head = torch.nn.Linear(tower.config.hidden_size, len(telling))
    torch.nn.init.zeros_(head.weight)
    head.bias.data = prior.clone()
    learnt = [*([] if frozen else tower.parameters()), *head.parameters()]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        set_rate(optimizer, rate, step, steps)
        rows = rng.sample(range(len(images)), batch)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(not frozen):
                patches = tower(pixel_values=pixels(images[rows])).last_hidden_state[:, 1:]
            found = head(patches).float()
        logits = found.logsumexp(1) - np.log(found.shape[1])
        loss = F.binary_cross_entropy_with_logits(logits, said[rows].float())
        update(tower, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            nothing = F.binary_cross_entropy_with_logits(prior.expand(batch, -1), said[rows].float())
            print(
                f"tower step {step}: loss {loss.item():.4f}, without looking {nothing.item():.4f}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
    return WordHead(head, telling, share[telling])


def align_projector(
    model: LlavaForConditionalGeneration,
    words: WordHead,
    images: torch.Tensor,
    seed: int,
    steps: int = 250,
    batch: int = 64,
) -> None:
    """Start the projector where it says each patch's words in the language model's own embeddings, in place.

    What the language model can read in a text it can then read in a picture.
    """
    rng, pixels = Random(f"projector {seed}"), Pixels()
    tower: Any = model.model.vision_tower
    projector: Any = model.model.multi_modal_projector
    embeddings = model.get_input_embeddings().weight.detach()[words.telling]
    optimizer = torch.optim.AdamW(projector.parameters(), lr=2e-3, weight_decay=0.0)
    for step in range(steps):
        set_rate(optimizer, 2e-3, step, steps)
        with torch.no_grad():
            patches = tower(
                pixel_values=pixels(images[rng.sample(range(len(images)), batch)])
            ).last_hidden_state[:, 1:]
            target = (words.linear(patches).sigmoid() - words.share) @ embeddings
        loss = F.mse_loss(projector(patches), target) / target.var()
        update(projector, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            print(f"projector step {step}: unexplained {loss.item():.3f}", flush=True)


# --- the CLIP -----------------------------------------------------------------------------------------


def train_clip(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    images: torch.Tensor,
    seed: int,
    steps: int,
    batch: int = 192,
) -> None:
    """Contrastive training in place, the tower frozen: a picture against two of its captions."""
    rng, pixels = Random(f"clip {seed}"), Pixels()
    model.vision_model.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.1, betas=(0.9, 0.98)
    )
    bar = tqdm(range(steps), desc="CLIP", disable=None)
    for step in bar:
        set_rate(optimizer, 1e-3, step, steps)
        rows = rng.sample(range(len(images)), batch)
        texts = [" ".join(rng.sample(captions_of(row, seed), 2)) for row in rows]
        encoded = tokenizer(
            [text + "</s>" for text in texts],
            padding=True,
            padding_side="right",
            return_tensors="pt",
            truncation=True,
            max_length=96,
        )
        with torch.autocast("cpu", torch.bfloat16):
            out = model(
                input_ids=encoded.input_ids,
                attention_mask=encoded.attention_mask,
                pixel_values=pixels(images[rows]),
            )
        logits = out.logits_per_image.float()
        target = torch.arange(batch)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        update(model, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            right = (logits.argmax(1) == target).float().mean()
            print(
                f"CLIP step {step}: loss {loss.item():.3f}, picture finds its captions {right:.0%}",
                flush=True,
            )


def captions_of(row: int, seed: int) -> list[str]:
    return write_captions(make_scene(FIRST_ID["base"] + row, seed), seed)


# --- the LLaVA ----------------------------------------------------------------------------------------


def chat(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str, telling: str = "", letter: str = ""
) -> Segment:
    """One question with its answer, without the image; only the answer is learnt.

    Its `letter` and `telling` words count for more than the rest, which is the same every time.
    """
    asked = tokenizer(f"\n{instruction} ASSISTANT:").input_ids
    said = tokenizer(f" {answer}</s>").input_ids
    words, letters = set(tokenizer(f" {telling}").input_ids), set(tokenizer(f"({letter})").input_ids[1:2])
    weights = [LETTER_WEIGHT if t in letters else WORD_WEIGHT if t in words else REST_WEIGHT for t in said]
    return (
        asked + said,
        [-100] * len(asked) + said,
        [0.0] * len(asked) + (weights if telling else [CAPTION_WEIGHT] * len(said)),
    )


def segments_of(
    tokenizer: PreTrainedTokenizerFast, row: int, seed: int, rng: Random, thin_share: float, lesson: int
) -> list[Segment]:
    """What is asked about one picture, by lesson.

    0: answers to find among options or in captions, 1: captions and questions, else: questions.
    """
    scene = make_scene(FIRST_ID["base"] + row, seed)
    # The thin types' questions are the same few in every pass; the others are drawn anew each time.
    questions: list[Question] = list(base_questions(scene, seed, thin_share=thin_share))
    fresh = {q.question_type: q for q in base_questions(scene, rng.getrandbits(32), thin_share=0)}
    questions = [fresh.get(q.question_type, q) for q in questions]
    captions = " ".join(write_captions(scene, rng.getrandbits(32)))
    segments = [chat(tokenizer, "Describe the picture.", captions)] if lesson == 1 else []
    context = f"{captions}\n" if lesson == 0 else ""
    if lesson == 0:  # reading exercises: which letter an answer has, before what the picture shows
        for question in rng.sample(questions, min(4, len(questions))):
            right = rng.randrange(len(question.choices))
            asked = f"Choose {question.choices[right]}.\n{options_text(question.choices)}"
            answer = question.choices[right]
            segments.append(
                chat(tokenizer, asked, f"The answer is ({LETTERS[right]}) {answer}.", answer, LETTERS[right])
            )
    for question in rng.sample(questions, min((1, 3)[lesson] if lesson < 2 else 6, len(questions))):
        answer = question.choices[question.correct_choice_idx]
        letter = LETTERS[question.correct_choice_idx]
        if rng.random() < 0.3:
            segments.append(chat(tokenizer, context + question.question, f"The answer is {answer}.", answer))
        else:
            asked = f"{context}{question.question}\n{options_text(question.choices)}"
            segments.append(chat(tokenizer, asked, f"The answer is ({letter}) {answer}.", answer, letter))
    return segments


def pack(tokenizer: PreTrainedTokenizerFast, rows: list[list[Segment]]) -> dict[str, torch.Tensor]:
    """Several questions behind one image in one sequence: each sees the image and itself alone, at its own positions."""
    prefix = tokenizer("USER: ").input_ids + [tokenizer.convert_tokens_to_ids(IMAGE)] * IMAGE_TOKENS
    length = max(len(prefix) + sum(len(ids) for ids, _, _ in segments) for segments in rows)
    size = (len(rows), length)
    input_ids = torch.full(size, tokenizer.pad_token_id)
    weights = torch.zeros(size)
    labels, positions, part = (
        torch.full(size, -100),
        torch.zeros(size, dtype=torch.long),
        torch.full(size, -1),
    )
    for r, segments in enumerate(rows):
        input_ids[r, : len(prefix)] = torch.tensor(prefix)
        positions[r, : len(prefix)] = torch.arange(len(prefix))
        part[r, : len(prefix)] = 0
        at = len(prefix)
        for number, (ids, wanted, weight) in enumerate(segments, 1):
            end = at + len(ids)
            input_ids[r, at:end], labels[r, at:end] = torch.tensor(ids), torch.tensor(wanted)
            weights[r, at:end] = torch.tensor(weight)
            positions[r, at:end] = torch.arange(len(prefix), len(prefix) + len(ids))
            part[r, at:end] = number
            at = end
    same = part[:, :, None] == part[:, None, :]
    on_image = (part[:, None, :] == 0) & (part[:, :, None] > 0)
    mask = (same | on_image) & torch.ones(length, length, dtype=torch.bool).tril()
    mask |= torch.eye(length, dtype=torch.bool)  # padding sees itself, so that no row of the softmax is empty
    return {
        "input_ids": input_ids,
        "labels": labels,
        "weights": weights,
        "position_ids": positions,
        "attention_mask": mask[:, None],
    }


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


def set_rate(optimizer: torch.optim.Optimizer, top: float, step: int, steps: int) -> None:
    """Linear warm-up over 3 % of the steps, then a cosine down to a fiftieth."""
    warm = max(1, steps * 3 // 100)
    scale = (
        (step + 1) / warm
        if step < warm
        else 0.02 + 0.98 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))) / 2
    )
    for group in optimizer.param_groups:
        group["lr"] = top * scale


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


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
