"""Step 5: encoded rows joined to a batch, in which some rows may have no image."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image

from dataengine_lib.students.inputs import PER_TOKEN_KEYS, encode_prompts, padding_token_id

IGNORED_LABEL = -100  # ignore_index of torch's cross_entropy, which transformers' losses use
# InstructBLIP's Q-Former reads the question too
_Q_FORMER_KEYS = ("qformer_input_ids", "qformer_attention_mask")
_PER_TEXT_KEYS = (*PER_TOKEN_KEYS, *_Q_FORMER_KEYS)

Tensors = dict[str, torch.Tensor]


class EncodedRow(NamedTuple):
    """One row: its inputs with a value per token and its labels, each `(1, tokens)`, and the inputs of its image.

    `pixels` is empty for a row without an image.
    """

    tokens: Tensors
    pixels: Tensors


def split_inputs(inputs: Any) -> EncodedRow:
    """The model's inputs of one row, divided into those that differ between texts about one image, and the others."""
    tokens = {key: value for key, value in inputs.items() if key in _PER_TEXT_KEYS}
    pixels = {key: value for key, value in inputs.items() if key not in tokens}
    if not pixels:  # without an image there is nothing for the Q-Former to do
        tokens = {key: value for key, value in tokens.items() if key not in _Q_FORMER_KEYS}
    return EncodedRow(tokens, pixels)


def join_rows(processor: Any, rows: Sequence[EncodedRow]) -> Tensors:
    """The model's inputs with labels, `(rows, tokens)`, padded on the right."""
    with_image = [row for row in rows if row.pixels]
    # 0 pads masks and token types; the ids of a Q-Former are hidden by its mask
    fill = {"input_ids": padding_token_id(processor), "labels": IGNORED_LABEL}
    inputs = {}
    for key in {key: None for row in rows for key in row.tokens}:
        # a Q-Former reads only the texts of rows with an image
        parts = [row.tokens[key] for row in rows if key in row.tokens]
        # dimension 1 is filled up at its end; F.pad takes (before, after) from the last dimension on
        longest = max(part.shape[1] for part in parts)
        padded = [
            F.pad(part, (*(0, 0) * (part.dim() - 2), 0, longest - part.shape[1]), value=fill.get(key, 0))
            for part in parts
        ]
        inputs[key] = torch.cat(padded)
    # image inputs have one entry per image or tile in their first dimension, so they are joined there
    if with_image:
        pixels = {key: [row.pixels[key] for row in with_image] for key in with_image[0].pixels}
        joined = {key: _join(parts) for key, parts in pixels.items() if not _is_packed(key, pixels)}
        # the patches of all images lie in one row: (1, channels, patch height, columns of all patches)
        packed = {key: torch.cat(parts, dim=-1) for key, parts in pixels.items() if key not in joined}
        return inputs | joined | packed
    return inputs | _needed_without_images(processor)


def _is_packed(key: str, pixels: Mapping[str, object]) -> bool:
    """Whether this is the pixels of MiniCPM-V, whose other input is the size of each tile in patches."""
    return key == "pixel_values" and "target_sizes" in pixels


def _needed_without_images(processor: Any) -> Tensors:
    """What BLIP-2 and InstructBLIP must be given in a batch without images: a blank image, which no token stands for."""
    if not hasattr(processor, "num_query_tokens"):
        return {}
    row = split_inputs(encode_prompts(processor, ["What?"], [Image.new("RGB", (32, 32))]))
    return row.pixels | {key: row.tokens[key] for key in _Q_FORMER_KEYS if key in row.tokens}


def _join(parts: list[torch.Tensor]) -> torch.Tensor:
    """One tensor along the first dimension; the others are filled up with zeros, as for images of several tiles."""
    if len({part.shape[1:] for part in parts}) == 1:
        return torch.cat(parts)
    shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    # F.pad takes (before, after) pairs from the last dimension on
    pads = [
        [
            end
            for size, most in zip(reversed(part.shape[1:]), reversed(shape), strict=True)
            for end in (0, most - size)
        ]
        for part in parts
    ]
    return torch.cat([F.pad(part, pad) for part, pad in zip(parts, pads, strict=True)])
