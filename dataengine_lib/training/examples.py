"""Step 5: training rows encoded by the student's processor, and their batches; the loss counts the answer alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.students.chat_texts import ChatText, conversation_text
from dataengine_lib.students.inputs import RowSuffix, append_tokens, encode_prompts, takes_text_alone
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.training.encoding.batches import IGNORED_LABEL, EncodedRow, join_rows, split_inputs
from dataengine_lib.training.encoding.conversation_tokens import conversation_tokens
from dataengine_lib.training.texts import NO_TEXT_ALONE, SEVERAL_TURNS, TextFormat, TrainingRow

# reasons in `train_log.json` for rows that were skipped
IMAGE_UNREADABLE = "image cannot be read"
NOT_ENCODED = "text cannot be encoded"
TEXT_TOO_LONG = "text too long"
_CHUNK = 64  # decoded images in memory at a time


@dataclass(frozen=True)
class Example:
    """One row in one text format; `tokens` are its inputs with a value per token and its labels, each `(1, tokens)`.

    `answer` is the number of tokens that the loss counts.
    """

    row: TrainingRow
    chat: ChatText
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
        self._made: dict[tuple[Path, str, TextFormat, str], Example | None] = {}

    def make(
        self, wanted: Sequence[tuple[TrainingRow, TextFormat]], bar: "tqdm[Any]"
    ) -> list[Example | None]:
        """An example for each row, None for those that cannot be used; `bar` advances by one per new row."""
        # each text of a row is encoded once, however often it is drawn
        new = list(
            {
                (row.file, row.where, name, row.use): (row, name)
                for row, name in wanted
                if (row.file, row.where, name, row.use) not in self._made
            }.values()
        )
        # threads decode a chunk of images, while encoding is done in order: `skipped` lists rows in order
        with ThreadPoolExecutor() as readers:
            for start in range(0, len(new), _CHUNK):
                chunk = new[start : start + _CHUNK]
                images = readers.map(_read, [row.image for row, _ in chunk])
                for (row, name), image in zip(chunk, images, strict=True):
                    self._made[row.file, row.where, name, row.use] = self._encode(row, name, image)
                    bar.update()
        return [self._made[row.file, row.where, name, row.use] for row, name in wanted]

    def _encode(
        self, row: TrainingRow, text_format: TextFormat, image: Image.Image | str | None
    ) -> Example | None:
        if isinstance(image, str):
            self._leave_out(row, image, IMAGE_UNREADABLE)
            return None
        if image is None and not takes_text_alone(self._processor):
            self._leave_out(row, "", NO_TEXT_ALONE)
            return None
        turns = row.turns(text_format)
        if self._encoder_decoder and len(turns) > 1:
            self._leave_out(row, f"{len(turns)} turns", SEVERAL_TURNS)
            return None
        try:
            chat = conversation_text(self._processor, turns, image=image is not None)
            if self._limit and (fault := self._limit.text_fault(chat.text)):
                self._leave_out(row, fault, TEXT_TOO_LONG)
                return None
            (tokens, pixels), answer = self._process(image, chat)
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
        if row.image and row.image not in self._pixels and size <= self._free_bytes:
            self._pixels[row.image] = pixels
            self._free_bytes -= size
        return Example(row, chat, tokens, answer)

    def _leave_out(self, row: TrainingRow, reason: str, kind: str) -> None:
        """Count the row; raises DataEngineError when too many rows of its file cannot be used."""
        self._skipped[row.file].add(BadRow(row.where, reason, kind))
        self._skipped[row.file].check()

    def _process(self, image: Image.Image | None, chat: ChatText) -> tuple[EncodedRow, int]:
        """The row with its labels, and the number of tokens that are learnt.

        Other tokens have the label IGNORED_LABEL. Raises ValueError when the processor refuses the text.
        """
        behind = conversation_tokens(self._processor, chat, encoder_decoder=self._encoder_decoder)
        inputs = encode_prompts(self._processor, [chat.prompt], None if image is None else [image])
        learnt = torch.tensor([behind.learnt], dtype=torch.bool)
        learnt_tokens = torch.tensor([behind.tokens], dtype=torch.long).masked_fill(~learnt, IGNORED_LABEL)
        if self._encoder_decoder:
            labels = learnt_tokens
        else:
            suffix = RowSuffix(0, behind.dropped, behind.tokens)
            inputs = append_tokens(self._processor, inputs, [suffix])
            # what follows the prompt is the end of the row: the loss ignores all before it
            labels = torch.full_like(inputs["input_ids"], IGNORED_LABEL)
            labels[:, labels.shape[1] - len(behind.tokens) :] = learnt_tokens
        row = split_inputs(inputs)
        return EncodedRow(row.tokens | {"labels": labels}, row.pixels), sum(behind.learnt)

    def _pixels_of(self, example: Example) -> dict[str, torch.Tensor]:
        path = example.row.image
        if path is None:
            return {}
        if path in self._pixels:
            return self._pixels[path]
        image = read_image(path)
        if isinstance(image, str):  # it was readable before: the file has changed during the run
            raise DataEngineError(f"{image}; it could be read when the step began")
        return self._process(image, example.chat)[0].pixels

    def batch(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """The model's inputs with labels, `(examples, tokens)`; padded on the right.

        Raises DataEngineError when an image that was read before is no longer readable.
        """
        rows = [EncodedRow(example.tokens, self._pixels_of(example)) for example in examples]
        return join_rows(self._processor, rows)


def _read(image: Path | None) -> Image.Image | str | None:
    return read_image(image) if image else None
