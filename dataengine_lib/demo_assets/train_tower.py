"""Trains the vision tower that the playground's LLaVA and CLIP share, and the CLIP; sets the LLaVA's projector."""

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataengine_lib.demo_assets.lessons import captions_of
from dataengine_lib.demo_assets.update_step import Pixels, save, set_rate, update


class WordHead(torch.nn.Module):
    """Predicts which caption tokens a patch shows: those of `word_ids`, with the `share` of pictures that have each."""

    word_ids: torch.Tensor  # (words,) token ids
    share: torch.Tensor  # (words,)

    def __init__(self, width: int, in_captions: torch.Tensor):
        """`in_captions`: (pictures, vocabulary) bool, the tokens of each picture's captions."""
        super().__init__()
        share = in_captions.float().mean(0)
        # without tokens that are in hardly any picture, or in almost all
        word_ids = ((share > 0.002) & (share < 0.9)).nonzero()[:, 0]
        self.register_buffer("word_ids", word_ids)
        self.register_buffer("share", share[word_ids])
        self.linear = torch.nn.Linear(width, len(word_ids))
        # starts by guessing every word by its share, whatever the patch
        torch.nn.init.zeros_(self.linear.weight)
        self.linear.bias.data = self.share.logit()

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(n, patches, width) -> (n, patches, words) logits."""
        found: torch.Tensor = self.linear(patches)
        return found

    @staticmethod
    def whole(found: torch.Tensor) -> torch.Tensor:
        """(n, patches, words) -> (n, words) logits of whole pictures: the logarithm of the patches' mean odds."""
        return found.logsumexp(1) - np.log(found.shape[1])


def tokens_in_captions(tokenizer: PreTrainedTokenizerFast, count: int, seed: int) -> torch.Tensor:
    """(count, vocabulary) bool: which tokens the captions of the first `count` base scenes have."""
    found = torch.zeros(count, len(tokenizer), dtype=torch.bool)
    for row in range(count):
        found[row, tokenizer(" ".join(captions_of(row, seed))).input_ids] = True
    return found


@dataclass(frozen=True, kw_only=True)
class TowerSettings:
    """How long and how fast `train_tower` trains, and where it writes what it resumes from."""

    seed: int
    steps: int
    batch: int = 128  # images per step
    rate: float = 1e-3
    every: int = 300  # steps between two writes of `folder/tower_part.pt`
    folder: Path | None = None


def train_tower(
    tower: Any, head: WordHead, in_captions: torch.Tensor, images: torch.Tensor, settings: TowerSettings
) -> None:
    """Train tower and head, in place, to predict a picture's caption tokens; one patch is enough to show a token.

    This is much faster than to learn captioning from random weights; idea from SuperClass (Huang et al. 2024). Rare
    words count for more than their share because they tell small things apart. `tower_part.pt` is written to `folder`
    every `every` steps; an interrupted training goes on from it.
    """
    seed, steps, folder = settings.seed, settings.steps, settings.folder
    pixels, start = Pixels(), 0
    wanted, prior = in_captions[:, head.word_ids], head.share.logit()
    entropy = -(head.share * head.share.log() + (1 - head.share) * (1 - head.share).log())
    # 1 / sqrt(entropy), scaled so that the loss of guessing by shares stays the same
    weight = entropy.rsqrt() / (entropy.sqrt().sum() / entropy.sum())
    trained = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=0.05, betas=(0.9, 0.98))
    kept = folder / "tower_part.pt" if folder else None
    if kept and kept.is_file():
        state = torch.load(kept)
        tower.load_state_dict(state["tower"])
        head.load_state_dict(state["words"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began = time.monotonic()
    for step in range(start, steps):
        set_rate(optimizer, settings.rate, step, steps)
        # seeded by the step, so that a resumed training gives the same result
        rows = Random(f"tower {seed} {step}").sample(range(len(images)), settings.batch)
        with torch.autocast("cpu", torch.bfloat16):
            # without the class token, which comes first
            patches = tower(pixel_values=pixels(images[rows])).last_hidden_state[:, 1:]
            found = head(patches).float()
        logits = head.whole(found)
        target = wanted[rows].float()
        loss = F.binary_cross_entropy_with_logits(logits, target, weight=weight)
        update(trained, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            plain, nothing = (
                F.binary_cross_entropy_with_logits(guess, target).item()
                for guess in (logits.detach(), prior.expand(settings.batch, -1))
            )
            print(f"tower step {step}: loss {plain:.4f}, from the words' shares alone {nothing:.4f}, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        if kept and (step + 1) % settings.every == 0:
            save(kept, {"step": step + 1, "tower": tower.state_dict(), "words": head.state_dict(),
                        "optimizer": optimizer.state_dict()})  # fmt: skip


@torch.no_grad()
def set_projector(
    model: LlavaForConditionalGeneration, words: WordHead, in_captions: torch.Tensor, images: torch.Tensor
) -> None:
    """Set the projector, in place, to map a patch to the language model's embeddings of the words that it shows.

    There is one hidden unit per word, above zero where the patch more likely shows the word than not, and zero
    elsewhere. So the language model can read in a picture what it can read in a text; with a projector trained to
    mix all words by probability it answered by chance. `in_captions` and `images`, some pictures with their words,
    serve to choose the words that get a unit; words that few patches of a picture show get larger weights.
    """
    projector: Any = model.model.multi_modal_projector
    table: Any = model.get_input_embeddings()
    pixels = Pixels()
    patches = torch.cat([model.model.vision_tower(pixel_values=pixels(part)).last_hidden_state[:, 1:]
                         for part in images.split(64)])  # fmt: skip
    found, wanted = words(patches), in_captions[:, words.word_ids].float()
    shown = words.whole(found)
    blind = F.binary_cross_entropy_with_logits(words.share.logit().expand_as(shown), wanted, reduction="none")
    # how much better than by its share the head predicts each word
    gained = (blind - F.binary_cross_entropy_with_logits(shown, wanted, reduction="none")).mean(0)
    best = gained.argsort(descending=True, stable=True)[: projector.linear_1.out_features]
    embeddings = table.weight[words.word_ids[best]]
    for part in projector.parameters():
        part.zero_()
    projector.linear_1.bias.fill_(-1)  # units without a word stay at zero
    projector.linear_1.weight[: len(best)] = words.linear.weight[best]
    projector.linear_1.bias[: len(best)] = words.linear.bias[best]
    projector.linear_2.weight[:, : len(best)] = (embeddings / _patches_showing(found)[best].sqrt()[:, None]).T
    # projected patches become as long as the words' embeddings, on average
    projector.linear_2.weight *= embeddings.norm(dim=1).mean() / projector(patches).norm(dim=-1).mean()


def _patches_showing(found: torch.Tensor) -> torch.Tensor:
    """(words,) mean number of patches that show a word, over the pictures that show it, from (n, patches, words) logits."""
    count = (found > 0).float().sum(1)
    return (count.sum(0) / (count > 0).sum(0).clamp(min=1)).clamp(min=1)


@torch.no_grad()
def _before_last_layer(tower: Any, images: torch.Tensor, batch: int = 128) -> torch.Tensor:
    """(images, tokens, width) in half precision: the input of the tower's last layer."""
    pixels, found = Pixels(), []
    for start in range(0, len(images), batch):
        with torch.autocast("cpu", torch.bfloat16):
            states = tower(pixel_values=pixels(images[start : start + batch]), output_hidden_states=True)
        found.append(states.hidden_states[-2].half())
    return torch.cat(found)


def train_clip(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    images: torch.Tensor,
    seed: int,
    steps: int,
    batch: int = 192,
) -> None:
    """Contrastive training in place: each picture with two of its captions.

    Only the tower's last layer is trained, so that its class token, which the training on caption words left random,
    collects what the patches show; the layers below do not change and are run once.
    """
    rng = Random(f"clip {seed}")
    tower: Any = model.vision_model
    last, seen = tower.encoder.layers[-1], _before_last_layer(tower, images)
    tower.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    for part in (last, tower.post_layernorm):
        trained += list(part.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.98))
    began = time.monotonic()
    for step in range(steps):
        set_rate(optimizer, 1e-3, step, steps)
        rows = rng.sample(range(len(images)), batch)
        texts = [" ".join(rng.sample(captions_of(row, seed), 2)) + "</s>" for row in rows]
        # the tokenizer pads on the left otherwise, as generating needs
        encoded = tokenizer(
            texts, padding=True, padding_side="right", return_tensors="pt", truncation=True, max_length=96
        )
        with torch.autocast("cpu", torch.bfloat16):
            shown = model.visual_projection(tower.post_layernorm(last(seen[rows].float(), None)[:, 0]))
            text = model.get_text_features(encoded.input_ids, encoded.attention_mask).pooler_output
        pictures, captions = F.normalize(shown.float(), dim=1), F.normalize(text.float(), dim=1)
        logits = model.logit_scale.exp() * pictures @ captions.T
        target = torch.arange(batch)
        # each picture has to find its captions among the batch's, and captions their picture
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        update(trained, optimizer, loss)
        if step % 50 == 0 or step == steps - 1:
            right = (logits.argmax(1) == target).float().mean()
            print(
                f"CLIP step {step}: loss {loss.item():.3f}, pictures matched with their captions {right:.0%}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
