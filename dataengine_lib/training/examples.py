"""Step 5: training rows encoded by the student's processor, and their batches; the loss counts the answer alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.students.inputs import (
    PER_TOKEN_KEYS,
    RowSuffix,
    append_tokens,
    chat_text,
    encode_prompts,
    padding_token_id,
)
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.students.option_scores import tokenize_question
from dataengine_lib.training.texts import TextFormat, TrainingRow

IGNORED_LABEL = -100  # ignore_index of torch's cross_entropy, which transformers' losses use
# reasons in `train_log.json` for rows that were skipped
IMAGE_UNREADABLE = "image cannot be read"
NOT_ENCODED = "text cannot be encoded"
TEXT_TOO_LONG = "text too long"
# inputs that differ between texts about one image; InstructBLIP's Q-Former reads the question too
_PER_TEXT = (*PER_TOKEN_KEYS, "qformer_input_ids", "qformer_attention_mask")
_CHUNK = 64  # decoded images in memory at a time


@dataclass(frozen=True)
class Example:
    """One row in one text format; `tokens` are its inputs with a value per token and its labels, each `(1, tokens)`.

    `answer` is the number of tokens that the loss counts.
    """

    row: TrainingRow
    prompt: str
    text: str
    tokens: dict[str, torch.Tensor]
    answer: int

    def __len__(self) -> int:
        return self.tokens["input_ids"].shape[1]


class ExampleEncoder:
    """Encodes rows; keeps each image's pixels once, up to `keep_bytes` in all, and reads other images again.

    With `encoder_decoder` the inputs are the prompt's, and the labels are the answer alone. Rows that cannot be
    encoded, or are too long by `limit`, are added to `skipped` of their file.
    """

    def __init__(
        self,
        processor: Any,
        skipped: Mapping[Path, BadRows],
        *,
        encoder_decoder: bool = False,
        limit: LengthLimit | None = None,
        keep_bytes: int = 2 << 30,
    ) -> None:
        self._processor, self._skipped, self._free_bytes = processor, skipped, keep_bytes
        self._encoder_decoder, self._limit = encoder_decoder, limit
        self._pixels: dict[Path, dict[str, torch.Tensor]] = {}
        self._made: dict[tuple[Path, str, TextFormat], Example | None] = {}

    def make(
        self, wanted: Sequence[tuple[TrainingRow, TextFormat]], bar: "tqdm[Any]"
    ) -> list[Example | None]:
        """An example for each row, None for those that cannot be used; `bar` advances by one per new row."""
        # each (row, text format) is encoded once, however often it is drawn
        new = list(
            {
                (row.file, row.where, name): (row, name)
                for row, name in wanted
                if (row.file, row.where, name) not in self._made
            }.values()
        )
        # threads decode a chunk of images, while encoding is done in order: `skipped` lists rows in order
        with ThreadPoolExecutor() as readers:
            for start in range(0, len(new), _CHUNK):
                chunk = new[start : start + _CHUNK]
                images = readers.map(read_image, [row.image for row, _ in chunk])
                for (row, name), image in zip(chunk, images, strict=True):
                    self._made[row.file, row.where, name] = self._encode(row, name, image)
                    bar.update()
        return [self._made[row.file, row.where, name] for row, name in wanted]

    def _encode(self, row: TrainingRow, text_format: TextFormat, image: Image.Image | str) -> Example | None:
        if isinstance(image, str):
            self._leave_out(row, image, IMAGE_UNREADABLE)
            return None
        prompt, text = chat_text(self._processor, *row.text(text_format))
        if self._limit and (fault := self._limit.text_fault(text)):
            self._leave_out(row, fault, TEXT_TOO_LONG)
            return None
        try:
            tokens, pixels, answer = self._process(image, prompt, text)
        except ValueError as error:  # from the processor
            self._leave_out(row, str(error), NOT_ENCODED)
            return None
        if not answer:
            self._leave_out(row, "no token is left to learn", NOT_ENCODED)
            return None
        if self._limit and (fault := self._limit.inputs_fault(tokens)):
            self._leave_out(row, fault, TEXT_TOO_LONG)
            return None
        # the first images are kept until `keep_bytes` is reached; none makes room for a later one
        size = sum(part.nbytes for part in pixels.values())
        if row.image not in self._pixels and size <= self._free_bytes:
            self._pixels[row.image] = pixels
            self._free_bytes -= size
        return Example(row, prompt, text, tokens, answer)

    def _leave_out(self, row: TrainingRow, reason: str, kind: str) -> None:
        """Count the row; raises DataEngineError when too many rows of its file cannot be used."""
        self._skipped[row.file].add(BadRow(row.where, reason, kind))
        self._skipped[row.file].check()

    def _process(
        self, image: Image.Image, prompt: str, text: str
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], int]:
        """(inputs with a value per token and labels, inputs of the image, number of answer tokens at the end).

        Tokens of the prompt have the label IGNORED_LABEL. Raises ValueError when the processor refuses the text.
        """
        tokenized = tokenize_question(
            self._processor, prompt, text, [], separate_answer=self._encoder_decoder
        )
        answer, inputs = len(tokenized.answer_start), encode_prompts(self._processor, [prompt], [image])
        if self._encoder_decoder:
            labels = torch.tensor([tokenized.answer_start], dtype=torch.long)
        else:
            inputs = append_tokens(
                self._processor, inputs, [RowSuffix(0, tokenized.dropped, tokenized.answer_start)]
            )
            labels = inputs["input_ids"].clone()
            # the answer is the last tokens of the row: the loss ignores all before it
            labels[:, : labels.shape[1] - answer] = IGNORED_LABEL
        tokens = {key: value for key, value in inputs.items() if key in _PER_TEXT}
        pixels = {key: value for key, value in inputs.items() if key not in tokens}
        return tokens | {"labels": labels}, pixels, answer

    def _pixels_of(self, example: Example) -> dict[str, torch.Tensor]:
        if example.row.image in self._pixels:
            return self._pixels[example.row.image]
        image = read_image(example.row.image)
        if isinstance(image, str):  # it was readable before: the file has changed during the run
            raise DataEngineError(f"{image}; it could be read when the step began")
        return self._process(image, example.prompt, example.text)[1]

    def batch(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """The model's inputs with labels, `(examples, tokens)`; padded on the right.

        Raises DataEngineError when an image that was read before is no longer readable.
        """
        # 0 pads masks and token types; the ids of a Q-Former are hidden by its mask
        fill = {"input_ids": padding_token_id(self._processor), "labels": IGNORED_LABEL}
        inputs = {}
        for key in examples[0].tokens:
            # dimension 1 is filled up at its end; F.pad takes (before, after) from the last dimension on
            rows = [example.tokens[key] for example in examples]
            longest = max(row.shape[1] for row in rows)
            padded = [
                F.pad(row, (*(0, 0) * (row.dim() - 2), 0, longest - row.shape[1]), value=fill.get(key, 0))
                for row in rows
            ]
            inputs[key] = torch.cat(padded)
        # image inputs have one entry per image or tile in their first dimension, so they are joined there
        pixels = [self._pixels_of(example) for example in examples]
        return inputs | {key: _join([one[key] for one in pixels]) for key in pixels[0]}


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
