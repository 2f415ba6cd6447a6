"""A student's inputs (steps 1 and 5): the tensors of the texts of `chat_texts.py`, for every family.

Only prompts go through the processor; the answer's tokens are appended to its result. So a Q-Former that reads the
text (InstructBLIP), or a prompt with bidirectional attention (PaliGemma), never sees the answer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image

from dataengine_lib.core.text import one_line
from dataengine_lib.students.chat_texts import processor_family
from dataengine_lib.students.interface import InputRefused

_TYPE_KEYS = ("token_type_ids", "mm_token_type_ids")
# Mllama: which tiles of the image a token attends to, (rows, tokens, images, tiles)
_CROSS_ATTENTION_KEY = "cross_attention_mask"
# inputs with one value per token, as against those of the image
PER_TOKEN_KEYS = ("input_ids", "attention_mask", *_TYPE_KEYS, _CROSS_ATTENTION_KEY)


def encode_prompts(processor: Any, prompts: list[str], images: Sequence[Image.Image] | None) -> Any:
    """The model's inputs for prompts of `chat_text`, one image each, as tensors `(prompts, tokens)`; padded right.

    Without `images` no prompt is about one, and there are no image inputs. Raises InputRefused for whatever error the
    processor raises.
    """
    # do not add a beginning-of-text token that the chat template has written
    # (one template has written all prompts, so the first one tells)
    more: dict[str, Any] = {"add_special_tokens": False} if _begins_with_bos(processor, prompts[0]) else {}
    if images is not None:
        # GOT-OCR2 takes a flat list of images, the others a list of images for each prompt
        flat = processor_family(processor) == "GotOcr2Processor"
        more["images"] = list(images) if flat else [[image] for image in images]
    encode = processor
    if images is None and processor_family(processor) == "PaliGemmaProcessor":
        # it refuses a text without an image; it would write the text like this behind one
        encode = processor.tokenizer
        prompts = [f"{encode.bos_token}{prompt}\n" for prompt in prompts]
        more["return_token_type_ids"] = True
    with refusals():
        inputs = encode(text=prompts, padding=True, padding_side="right", return_tensors="pt", **more)
    inputs.pop("labels", None)  # PaliGemma's processor adds some; ours are made in training/examples.py
    return inputs


@contextmanager
def refusals() -> Iterator[None]:
    """Raise InputRefused for an error of the processor in the block: Qwen's refuses images of more than 200 to 1."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # processors raise whatever their arithmetic runs into
        name = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise InputRefused(one_line(f"{name}{error}")[:200]) from error


class RowSuffix(NamedTuple):
    """What to append to an encoded row: its last `dropped` tokens are removed, then `tokens` follow."""

    row: int
    dropped: int
    tokens: list[int]


def append_tokens(processor: Any, inputs: Any, suffixes: Sequence[RowSuffix], side: str = "right") -> Any:
    """`inputs` with one row `[prompt, suffix]` per suffix, padded on `side`; the image inputs are not changed.

    `inputs` is what `encode_prompts` gives. A row may be used by one suffix only, since the images are not repeated.
    """
    tensors = {key: inputs[key] for key in PER_TOKEN_KEYS if key in inputs}
    # PaliGemma: type 0 is the prompt, with bidirectional attention, and 1 the answer; elsewhere 0 is text
    appended_type = {
        key: 1 if key == "token_type_ids" and has_bidirectional_prompt(processor) else 0 for key in _TYPE_KEYS
    }
    rows: dict[str, list[torch.Tensor]] = {key: [] for key in tensors}
    for suffix in suffixes:
        not_padding = inputs["attention_mask"][suffix.row].bool()
        # the prompt without padding and dropped tokens, then the suffix
        for key, tensor in tensors.items():
            prompt = tensor[suffix.row][not_padding]
            prompt = prompt[: len(prompt) - suffix.dropped]
            if key == _CROSS_ATTENTION_KEY:  # appended tokens see the tiles that the prompt's last token sees
                last = prompt[-1:].repeat_interleave(len(suffix.tokens), dim=0)
                rows[key].append(torch.cat([prompt, last]))
                continue
            values = {"input_ids": suffix.tokens, "attention_mask": [1] * len(suffix.tokens)}
            more = values.get(key, [appended_type.get(key, 0)] * len(suffix.tokens))
            rows[key].append(torch.cat([prompt, prompt.new_tensor(more)]))
    pad = {"input_ids": padding_token_id(processor)}
    found = type(inputs)(dict(inputs))
    for key, made in rows.items():
        longest = max(map(len, made))
        found[key] = torch.stack([_padded(row, longest, pad.get(key, 0), side) for row in made])
    return found


def _padded(row: torch.Tensor, length: int, value: int, side: str) -> torch.Tensor:
    """`row` with its first dimension filled up to `length`."""
    missing = length - len(row)
    other = (0, 0) * (row.dim() - 1)  # F.pad counts from the last dimension
    return F.pad(row, (*other, missing, 0) if side == "left" else (*other, 0, missing), value=value)


def padding_token_id(processor: Any) -> int:
    """The token id to pad with; a tokenizer without one pads with its end token, else with 0."""
    tokenizer = processor.tokenizer
    found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(found or 0)


def token_ids(processor: Any, texts: list[str]) -> list[list[int]]:
    """The token ids of whole texts; an image is one token."""
    special = not _begins_with_bos(processor, texts[0])
    ids: list[list[int]] = processor.tokenizer(texts, add_special_tokens=special).input_ids
    return ids


def takes_text_alone(processor: Any) -> bool:
    """Whether a text without an image may stand in a batch with others; not for Mllama.

    transformers 5 masks only half of its cross-attention layer for a row without an image, so that another row's image
    changes it.
    """
    return processor_family(processor) != "MllamaProcessor"


def has_bidirectional_prompt(processor: Any) -> bool:
    """Whether the prompt's tokens all attend to each other, as PaliGemma's do.

    Prompt and answer of such a model are tokenized separately.
    """
    return processor_family(processor) == "PaliGemmaProcessor"


def _begins_with_bos(processor: Any, text: str) -> bool:
    """Whether the text already begins with the beginning-of-text token."""
    start = processor.tokenizer.bos_token
    return bool(start) and text.startswith(start)
