"""Trains the vision tower that the playground's LLaVA and CLIP share, the LLaVA's projector, and the CLIP's text side."""

import time
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.playground.lessons import captions_of
from dataengine_lib.playground.training import Pixels, set_rate, update


class WordHead(torch.nn.Module):
    """Which of the `telling` caption tokens a patch shows; `share` is how many pictures have each."""

    telling: torch.Tensor  # (words,) token ids
    share: torch.Tensor  # (words,)

    def __init__(self, width: int, said: torch.Tensor):
        """`said`: (pictures, vocabulary) bool, the tokens of each picture's captions."""
        super().__init__()
        share = said.float().mean(0)
        telling = ((share > 0.002) & (share < 0.9)).nonzero()[:, 0]
        self.register_buffer("telling", telling)
        self.register_buffer("share", share[telling])
        self.linear = torch.nn.Linear(width, len(telling))
        torch.nn.init.zeros_(self.linear.weight)
        self.linear.bias.data = self.share.logit()

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(n, patches, width) -> (n, patches, words) logits."""
        found: torch.Tensor = self.linear(patches)
        return found


def said_in_captions(tokenizer: PreTrainedTokenizerFast, count: int, seed: int) -> torch.Tensor:
    """(count, vocabulary) bool: which tokens the captions of the first `count` base scenes have."""
    said = torch.zeros(count, len(tokenizer), dtype=torch.bool)
    for row in range(count):
        said[row, tokenizer(" ".join(captions_of(row, seed))).input_ids] = True
    return said


def train_tower(
    tower: Any,
    head: WordHead,
    said: torch.Tensor,
    images: torch.Tensor,
    seed: int,
    steps: int,
    batch: int = 128,
    rate: float = 1e-3,
) -> None:
    """Teach tower and head which caption tokens belong to a picture, in place; any one patch may show a token.

    Much faster than captioning from nothing. Source of the idea: SuperClass (Huang et al. 2024).
    """
    rng, pixels = Random(f"tower {seed}"), Pixels()
    wanted, prior = said[:, head.telling], head.share.logit()
    learnt = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        set_rate(optimizer, rate, step, steps)
        rows = rng.sample(range(len(images)), batch)
        with torch.autocast("cpu", torch.bfloat16):
            patches = tower(pixel_values=pixels(images[rows])).last_hidden_state[:, 1:]
            found = head(patches).float()
        logits = found.logsumexp(1) - np.log(found.shape[1])
        loss = F.binary_cross_entropy_with_logits(logits, wanted[rows].float())
        update(learnt, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            nothing = F.binary_cross_entropy_with_logits(prior.expand(batch, -1), wanted[rows].float())
            print(
                f"tower step {step}: loss {loss.item():.4f}, without looking {nothing.item():.4f}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )


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
            target = (words(patches).sigmoid() - words.share) @ embeddings
        loss = F.mse_loss(projector(patches), target) / target.var()
        update(projector.parameters(), optimizer, loss)
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
        update(model.parameters(), optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            right = (logits.argmax(1) == target).float().mean()
            print(
                f"CLIP step {step}: loss {loss.item():.3f}, picture finds its captions {right:.0%}",
                flush=True,
            )
