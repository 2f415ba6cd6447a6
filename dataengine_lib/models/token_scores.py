"""What the student's ranking (step 1) scores: the tokens of each option, and their mean log-probability."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

Place = tuple[int, int, int, int]  # row and position whose logits predict, the token predicted, the option


class Piece(NamedTuple):
    """A question's tokens up to where its options part from it, and each option's tokens from there."""

    shared: list[int]
    options: list[list[int]]


def scored_tokens(prefix: list[int], texts: Sequence[list[int]]) -> Piece:
    """Split whole texts where the first of them leaves the prefix.

    Texts are tokenised whole, as in training; a tokenizer that merges over the seam moves the split forward.
    """
    seam = len(prefix)
    for text in texts:
        while text[:seam] != prefix[:seam]:
            seam -= 1
    return Piece(prefix[:seam], [text[seam:] for text in texts])


def mean_log_probability(logits: torch.Tensor, places: Sequence[Place], options: int) -> list[float]:
    """Mean log-probability per option over its places, in float32."""
    row, position, token, option = torch.tensor(places, device=logits.device).T
    loss = F.cross_entropy(logits[row, position].float(), token, reduction="none")
    total = torch.zeros(options, device=logits.device).index_add_(0, option, loss)
    count = torch.bincount(option, minlength=options)
    return (-total / count).tolist()


def padded(processor: Any) -> int:
    """The token to pad with; a tokenizer without one pads with its end token."""
    tokenizer = processor.tokenizer
    found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(found or 0)
