"""Step 1: keys and values of what was read of each row, an image and the text before it, and from there on."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from transformers import DynamicCache


class ReadPrefixes(NamedTuple):
    """What was read so far, one row a question or an image.

    `mask` is `(rows, columns)`, 0 for padding; `positions` is `(rows, 1)`, the position of the next token.
    """

    cache: DynamicCache
    mask: torch.Tensor
    positions: torch.Tensor

    def select(self, rows: Sequence[int]) -> Self:
        """A copy with these rows, which grows by itself."""
        index = torch.tensor(rows)  # indices on the CPU select from layers on any device
        layers: list[Any] = self.cache.layers
        cache = DynamicCache(ddp_cache_data=[(layer.keys[index], layer.values[index]) for layer in layers])
        return type(self)(cache, self.mask[index], self.positions[index])
