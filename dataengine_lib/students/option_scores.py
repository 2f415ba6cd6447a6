"""What the student's ranking (step 1) scores: the tokens of each option, and their mean log-probability."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from dataengine_lib.students.inputs import prompt_is_read_apart, token_ids

Place = tuple[int, int, int, int]  # row and position whose logits predict, the token predicted, the option


class Piece(NamedTuple):
    """A question's tokens: of its prompt, of the answer's beginning, and of each option from where they part.

    `prompt` has an image as one token and is without its last `drop` tokens, which the answer changes.
    """

    prompt: list[int]
    drop: int
    lead: list[int]
    options: list[list[int]]

    @property
    def shared(self) -> list[int]:
        return self.prompt + self.lead


def spell(processor: Any, prompt: str, prefix: str, options: Sequence[str], *, apart: bool = False) -> Piece:
    """The tokens of `prompt`, of `prefix`, which begins with it, and of the options behind that.

    Texts are tokenised whole, as in training; a tokenizer that merges over a seam moves the seam forward. With
    `apart` the answer is a text of its own, as for an encoder-decoder, and no token of the prompt is given.
    """
    if apart or prompt_is_read_apart(processor):
        said = prefix[len(prompt) :].lstrip()
        tokenizer = processor.tokenizer
        ids = tokenizer([said, *(said + option for option in options)], add_special_tokens=False).input_ids
        return _piece([], *ids)
    return _piece(*token_ids(processor, [prompt, prefix, *(prefix + option for option in options)]))


def _piece(prompt: list[int], prefix: list[int], *texts: list[int]) -> Piece:
    whole = [prefix, *texts]
    start = min(_common(prompt, ids) for ids in whole)
    seam = max(start, min((_common(prefix, ids) for ids in texts), default=len(prefix)))
    return Piece(prompt[:start], len(prompt) - start, prefix[start:seam], [ids[seam:] for ids in texts])


def _common(one: list[int], other: list[int]) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def option_scores(logits: torch.Tensor, pieces: Sequence[Piece]) -> list[list[float]]:
    """One score per option of every piece, from logits (options, tokens, words) of one row an option.

    A row's first logits predict the first token of the answer's beginning, the next ones what follows it.
    """
    places: list[Place] = []
    number = 0
    for piece in pieces:
        lead = len(piece.lead)
        for option in piece.options:
            places += [(number, lead + at, token, number) for at, token in enumerate(option)]
            number += 1
    scores = iter(mean_log_probability(logits, places, number))
    return [[next(scores) for _ in piece.options] for piece in pieces]


def mean_log_probability(logits: torch.Tensor, places: Sequence[Place], options: int) -> list[float]:
    """Mean log-probability per option over its places, in float32."""
    row, position, token, option = torch.tensor(places, device=logits.device).T
    loss = F.cross_entropy(logits[row, position].float(), token, reduction="none")
    total = torch.zeros(options, device=logits.device).index_add_(0, option, loss)
    count = torch.bincount(option, minlength=options)
    return (-total / count).tolist()
