"""Step 5: the inputs of a text about an image of which only the size is known, exactly as the processor gives them.

How many tokens an image has depends on its size alone, in every family. So the image processor runs once for each size,
on a blank image, and its result stands for every image of that size while the texts are tokenized.
"""

from copy import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from dataengine_lib.students.inputs import encode_prompts, token_ids
from dataengine_lib.students.option_scores import common_length

Size = tuple[int, int]  # width and height in pixels
_LARGE = 4096  # values; what a processor reads to place tokens (grids, sizes, tile counts) is smaller


class TokenCounts(NamedTuple):
    """How many tokens a prompt has with its image, and how many of its text the Q-Former reads."""

    tokens: int
    q_former: int


class TextInputs:
    """Gives the inputs of prompts; the processor itself is not changed. Keeps a few hundred bytes for each size."""

    def __init__(self, processor: Any) -> None:
        self._images = _BlankImages(processor.image_processor)
        self._processor = copy(processor)
        self._processor.image_processor = self._images
        self._added: dict[Size, int] = {}  # tokens that an image of this size adds to any text

    def count(self, prompt: str, text_tokens: int, size: Size | None) -> TokenCounts:
        """The numbers of tokens of what `encode` gives.

        `text_tokens` is the number of the prompt's tokens in which an image is one token, 0 where it is not known.
        """
        # counted without the processor, which takes several times as long as the tokenizer
        if size in self._added and text_tokens:
            return TokenCounts(text_tokens + self._added[size], 0)
        inputs = self.encode(prompt, size)
        ids = inputs["input_ids"][0].tolist()
        if "qformer_input_ids" in inputs:
            return TokenCounts(len(ids), inputs["qformer_input_ids"].shape[1])
        if size and text_tokens and self._is_apart(prompt, ids):
            self._added[size] = len(ids) - text_tokens
        return TokenCounts(len(ids), 0)

    def _is_apart(self, prompt: str, ids: list[int]) -> bool:
        """Whether the image's tokens in `ids` cannot merge with text beside them, whatever the text is.

        That is so where they begin and end with added tokens, at which a tokenizer divides a text, as the one token
        that they replace does. Gemma 3 writes line breaks around them, which merge with others.
        """
        tokenizer = self._processor.tokenizer
        plain = token_ids(self._processor, [prompt])[0]
        # plain [5, 3, 7], ids [5, 3, 3, 3, 7] or [5, 8, 3, 3, 9, 7]: what is before and behind the image is the same
        begin = common_length(plain, ids)
        end = common_length(plain[begin:][::-1], ids[begin:][::-1])
        replaced, image = plain[begin : len(plain) - end], ids[begin : len(ids) - end]
        # in the first example, the common part ends with the image's first token
        beside = [*(replaced or plain[max(begin - 1, 0) : begin]), *image[:1], *image[-1:]]
        added = tokenizer.added_tokens_decoder if tokenizer.is_fast else {}
        if len(beside) < 3 or not all(token in added for token in beside):
            return False
        kinds = {(added[token].lstrip, added[token].rstrip, added[token].single_word) for token in beside}
        return len(kinds) == 1

    def encode(self, prompt: str, size: Size | None) -> Any:
        """The inputs of `encode_prompts` for one prompt, with an image of `size`, or none.

        The values of its pixels are zeros. Raises InputRefused when the processor refuses the text or the size.
        """
        if size is None:
            return encode_prompts(self._processor, [prompt], None)
        self._images.size = size
        # without a colour, Pillow does not fill the image
        return encode_prompts(self._processor, [prompt], [Image.new("L", size, None)])


class _BlankImages:
    """Takes the place of an image processor: its result for a blank image of `size`, made once for each size."""

    def __init__(self, image_processor: Any) -> None:
        self.size: Size = (0, 0)
        self._image_processor = image_processor
        self._made: dict[Size, Any] = {}

    def __call__(self, images: Any, *args: Any, **how: Any) -> Any:
        if self.size not in self._made:
            # as nested as the processor has nested the image it was given
            blank = Image.new("RGB", self.size)
            found = self._image_processor(_replaced(images, blank), *args, **how)
            self._made[self.size] = type(found)({key: _without_values(part) for key, part in found.items()})
        # a processor may take entries out of it
        made = self._made[self.size]
        return type(made)(dict(made))

    def __getattr__(self, name: str) -> Any:
        if (
            name.startswith("__") or "_image_processor" not in self.__dict__
        ):  # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self._image_processor, name)


def _replaced(images: Any, blank: Image.Image) -> Any:
    """`images`, a list of any depth, with `blank` in place of each image."""
    return [_replaced(one, blank) for one in images] if isinstance(images, list | tuple) else blank


def _without_values(part: Any) -> Any:
    """The same with zeros for the pixels, of which all are one value in memory."""
    if isinstance(part, torch.Tensor) and part.numel() > _LARGE:
        return torch.zeros((), dtype=part.dtype).expand(part.shape)
    if isinstance(part, np.ndarray) and part.size > _LARGE:
        return np.broadcast_to(np.zeros((), part.dtype), part.shape)
    if isinstance(part, list | tuple):
        return type(part)(_without_values(one) for one in part)
    return part
