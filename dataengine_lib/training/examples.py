"""Step 5: training rows encoded by the student's processor, and their batches; the loss counts the answers alone."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.progress.bar import ProgressBar
from dataengine_lib.students.chat_texts import conversation_text
from dataengine_lib.students.inputs import RowSuffix, append_tokens, encode_prompts, takes_text_alone
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.training.encoding.batches import (
    IGNORED_LABEL,
    EncodedRow,
    Tensors,
    join_rows,
    split_inputs,
)
from dataengine_lib.training.encoding.conversation_tokens import ConversationTokens, conversation_tokens
from dataengine_lib.training.encoding.image_files import (
    CheckedImages,
    KeptImages,
    ProcessedImage,
    TrainingImageError,
    read_again,
)
from dataengine_lib.training.encoding.text_inputs import Size, TextInputs
from dataengine_lib.training.texts import (
    NO_TEXT_ALONE,
    OVER_MAX_LENGTH,
    SEVERAL_TURNS,
    TextFormat,
    TrainingRow,
)

# reasons in `train_log.json` for rows that were skipped
IMAGE_UNREADABLE = "image cannot be read"
NOT_ENCODED = "text cannot be encoded"
TEXT_TOO_LONG = "text too long"
_CHANGED = "has changed since the step began; start the step again"
_CHUNK = 1024  # rows whose images are checked ahead of their texts


@dataclass(frozen=True, slots=True)
class Example:
    """One row in one text format, which `ExampleEncoder.batch` makes tensors of.

    `len` is its number of tokens with those of its image (of the prompt alone, for an encoder-decoder). `answer` is
    the number of tokens that the loss counts.
    """

    row: TrainingRow
    text_format: TextFormat
    length: int
    answer: int

    def __len__(self) -> int:
        return self.length


class _Unusable(NamedTuple):
    """Why a row is left out: the short reason that it is counted by, and the details."""

    kind: str
    reason: str


class ExampleEncoder:
    """Makes examples of rows, and batches of examples.

    Before the training, `make` decodes each image once to check it, and counts the tokens of each row without its
    pixels. `prepare` is given the order of all batches. `batch` then reads images and makes tensors: it may run in the
    workers of a DataLoader, started by fork or spawn, since the encoder can be pickled (without its rows and counts).

    With `encoder_decoder` the inputs are the prompt's, and the labels are the answer alone. Rows that cannot be
    encoded, or are too long by `limit`, are added to `skipped` of their file. `keep_bytes` is for the images that are
    used again, shared by all workers and by the processes of `prepare`.
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
        # rows are tokenized one by one, which tokenizers' threads only slow down; nor do they outlive a fork
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._processor, self._skipped, self._limit = processor, skipped, limit
        self._encoder_decoder = encoder_decoder
        self._texts, self._checked, self._kept = (
            TextInputs(processor),
            CheckedImages(),
            KeptImages(keep_bytes),
        )
        self._made: dict[tuple[Path, str, TextFormat, str], Example | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What `batch` needs; for the workers of a DataLoader."""
        empty: dict[str, Any] = {"_skipped": {}, "_limit": None, "_checked": CheckedImages(), "_made": {}}
        return self.__dict__ | empty

    def make(
        self, wanted: Sequence[tuple[TrainingRow, TextFormat]], bar: "ProgressBar[Any]"
    ) -> list[Example | None]:
        """An example for each row, None for those that cannot be used; `bar` advances by one per new row.

        Raises DataEngineError when too many rows of a file cannot be used.
        """
        # each text of a row is counted once, however often it is drawn
        new = list(
            {
                (row.file, row.where, name, row.use): (row, name)
                for row, name in wanted
                if (row.file, row.where, name, row.use) not in self._made
            }.values()
        )
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            images = self._checked.check([row.image for row, _ in chunk])
            for (row, name), image in zip(chunk, images, strict=True):
                made = self._example(row, name, image)
                self._made[row.file, row.where, name, row.use] = made if isinstance(made, Example) else None
                if isinstance(made, _Unusable):
                    self._skipped[row.file].add(BadRow(row.where, made.reason, made.kind))
                    self._skipped[row.file].check()
                bar.update()
        return [self._made[row.file, row.where, name, row.use] for row, name in wanted]

    def _example(
        self, row: TrainingRow, text_format: TextFormat, image: Size | str | None
    ) -> Example | _Unusable:
        """The row's example, or why there is none; `image` is the size of its image, or why that cannot be read."""
        if isinstance(image, str):
            return _Unusable(IMAGE_UNREADABLE, image)
        if image is None and not takes_text_alone(self._processor):
            return _Unusable(NO_TEXT_ALONE, "")
        turns = row.turns(text_format)
        if self._encoder_decoder and len(turns) > 1:
            return _Unusable(SEVERAL_TURNS, f"{len(turns)} turns")
        try:
            chat = conversation_text(self._processor, turns, image=image is not None)
            if self._limit and (fault := self._limit.text_fault(chat.text)):
                return _Unusable(TEXT_TOO_LONG, fault)
            behind = conversation_tokens(self._processor, chat, encoder_decoder=self._encoder_decoder)
            prompt = self._texts.count(chat.prompt, behind.prompt, image)
        except ValueError as error:  # from the processor
            return _Unusable(NOT_ENCODED, str(error))
        answer, length = sum(behind.learnt), prompt.tokens
        if not answer:
            return _Unusable(NOT_ENCODED, "no token is left to learn")
        if not self._encoder_decoder:
            length += len(behind.tokens) - behind.dropped
        # the labels of an encoder-decoder are a row of their own
        longest = max(length, len(behind.tokens))
        if self._limit and (fault := self._limit.inputs_fault(longest, prompt.q_former)):
            return _Unusable(TEXT_TOO_LONG, fault)
        if self._limit and (fault := self._limit.max_length_fault(longest)):
            return _Unusable(OVER_MAX_LENGTH, fault)
        return Example(row, text_format, length, answer)

    def prepare(self, batches: Iterable[Iterable[Example]], processes: int = 1) -> None:
        """Plan which images are kept: `batches` are the lists of examples that `batch` will be called with.

        Call it before the DataLoader is iterated, with the batches of this process alone, in the order in which the
        DataLoader gives them out; call it again when they change (after a resume, or smaller passes). Without it every
        image is read each time it is used; a batch that is not in the plan is made all the same. `processes` compute
        the passes of a step at the same time, each with a share of what is kept.
        """
        self._kept.plan(([example.row.image for example in batch] for batch in batches), processes)

    def batch(self, examples: Sequence[Example]) -> Tensors:
        """The model's inputs with labels, `(examples, tokens)`; padded on the right.

        An image that several of the examples show is read once. Raises TrainingImageError when an image is no longer
        readable or has another number of tokens than before; from a worker it has the same one-line message.
        """
        self._kept.begin([example.row.image for example in examples])
        images: dict[Path, ProcessedImage] = {}  # of this batch
        rows = [self._encode(example, images) for example in examples]
        for example in examples:
            if path := example.row.image:
                self._kept.used(images[path], path)
        return join_rows(self._processor, rows)

    def _encode(self, example: Example, images: dict[Path, ProcessedImage]) -> EncodedRow:
        """The row with its labels; its image is added to `images`, or taken from there."""
        path = example.row.image
        chat = conversation_text(
            self._processor, example.row.turns(example.text_format), image=path is not None
        )
        found = (images.get(path) or self._kept.get(path)) if path else None
        if path and not found:
            image = read_again(path)
            try:
                inputs = encode_prompts(self._processor, [chat.prompt], [image])
            except ValueError as error:  # the image that was there before was not refused
                raise TrainingImageError(f"image {path} {_CHANGED} ({error})") from error
            found = ProcessedImage(image.size, split_inputs(inputs).pixels)
        else:
            inputs = self._texts.encode(chat.prompt, found.size if found else None)
        if path and found:
            images[path] = found
        behind = conversation_tokens(self._processor, chat, encoder_decoder=self._encoder_decoder)
        tokens = self._with_answers(inputs, behind)
        if tokens["input_ids"].shape[1] != len(example):
            raise TrainingImageError(f"image {path} {_CHANGED}")
        return EncodedRow(tokens, found.pixels if found else {})

    def _with_answers(self, prompt: Any, behind: ConversationTokens) -> Tensors:
        """The inputs of the prompt's tokens with what follows them, and labels; IGNORED_LABEL where nothing is learnt."""
        learnt = torch.tensor([behind.learnt], dtype=torch.bool)
        tokens = torch.tensor([behind.tokens], dtype=torch.long).masked_fill(~learnt, IGNORED_LABEL)
        if self._encoder_decoder:
            return split_inputs(prompt).tokens | {"labels": tokens}
        inputs = append_tokens(self._processor, prompt, [RowSuffix(0, behind.dropped, behind.tokens)])
        # what follows the prompt is the end of the row: the loss ignores all before it
        labels = torch.full_like(inputs["input_ids"], IGNORED_LABEL)
        labels[:, labels.shape[1] - len(behind.tokens) :] = tokens
        return split_inputs(inputs).tokens | {"labels": labels}
