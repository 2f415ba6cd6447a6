"""Trains the vision tower that the playground's LLaVA and CLIP share, the LLaVA's projector, and the CLIP's text side."""

import time
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.playground.lessons import captions_of
from dataengine_lib.playground.training import Pixels, set_rate, update


@dataclass
class WordHead:
    """Which of the `telling` caption tokens a patch shows; `share` is how many pictures have each."""

    linear: torch.nn.Linear
    telling: torch.Tensor  # (words,) token ids
    share: torch.Tensor  # (words,)


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
    table: Any = model.get_input_embeddings()
    embeddings = table.weight.detach()[words.telling]
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
