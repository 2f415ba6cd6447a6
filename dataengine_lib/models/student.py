"""The student of step 1: any Hugging Face vision-language model; ranks options, writes answers."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size
from PIL import Image

from dataengine_lib.data.records import LETTERS
from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.chat_inputs import PREFIX, chat_text, plain_text, prefix_text
from dataengine_lib.models.encoder_decoder import EncoderDecoder, is_encoder_decoder
from dataengine_lib.models.shared_image import SharedImage
from dataengine_lib.models.shared_prefix import SharedPrefix
from dataengine_lib.models.token_scores import Piece, spell
from dataengine_lib.models.whole_texts import WholeTexts

Scored = Literal["text", "letter"]
T = TypeVar("T")
_TRIAL_PROMPTS = [
    "What is it?",
    "Which of these words is the best for what stands in the middle of the picture?",
]
_TRIAL_CHOICES = ["a dog", "yes", "a red car", "2"]
log = logging.getLogger(__name__)


class Student:
    """A loaded student; `batch_size` is the number of questions, and of distinct images, in one pass.

    Pass the same Image object for questions about one image: where the family allows, it is then prepared and
    looked at once. Results come in the order of the questions and do not depend on the batch size, which is
    halved when memory runs out.
    """

    def __init__(self, model: Any, processor: Any, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.processor = processor
        self.batch_size = batch_size
        self._apart = is_encoder_decoder(model.config)
        self._plain = EncoderDecoder(model, processor) if self._apart else WholeTexts(model, processor)
        self._shared_image = None if self._apart else SharedImage.for_model(model, processor)
        self._shared_prefix = None if self._apart else SharedPrefix(model, processor)
        self._tried: set[str] = set()

    @torch.inference_mode()
    def rank(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: Scored = "text",
    ) -> list[list[float]]:
        """One score per choice, higher is better: the mean log-probability of ` (A) dog`'s tokens.

        The choice follows `The answer is` in the answer to `prompts[i]` about `images[i]`; with `scored` of
        `letter`, only ` (A)` does. Source: MLLM-DataEngine's evaluation, which takes the option of the lowest
        mean token loss.
        """
        options = [
            [f" ({LETTERS[k]})" + (f" {plain_text(self.processor, text)}" if scored == "text" else "")
             for k, text in enumerate(row)]
            for row in choices
        ]  # fmt: skip
        texts = [chat_text(self.processor, prompt)[0] for prompt in prompts]
        pieces = self._pieces(texts, prompts, PREFIX, options)
        if not pieces:
            return []
        return self._within_memory(lambda size: self._rank(list(images), texts, pieces, size))

    @torch.inference_mode()
    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        prefix: str = PREFIX,
        max_new_tokens: int = 8,
    ) -> list[str]:
        """What the student writes after `prefix` in its answer to `prompts[i]` about `images[i]`; greedy.

        `choices` are for students that can be held to them; this one has read them in its prompt.
        """
        texts = [chat_text(self.processor, prompt)[0] for prompt in prompts]
        pieces = self._pieces(texts, prompts, prefix, [[]] * len(texts))
        if not pieces:
            return []

        def write(size: int) -> list[list[int]]:
            if (by_image := self._fitting(images, pieces, size)) is not None:
                ids = [piece.shared for piece in pieces]
                return by_image.generate(list(images), ids, size, max_new_tokens)
            return self._plain.generate(images, texts, pieces, size, max_new_tokens)

        written = self._within_memory(write)
        return self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)

    def _pieces(
        self, texts: list[str], prompts: Sequence[str], said: str, options: Sequence[list[str]]
    ) -> list[Piece]:
        return [
            spell(self.processor, text, prefix_text(self.processor, prompt, said), row, apart=self._apart)
            for text, prompt, row in zip(texts, prompts, options, strict=True)
        ]

    def _rank(
        self, images: list[Image.Image], texts: list[str], pieces: list[Piece], size: int
    ) -> list[list[float]]:
        if (by_image := self._fitting(images, pieces, size)) is not None:
            return by_image.rank(images, pieces, size)
        if self._shared_prefix is not None and "prefix" not in self._tried:
            asked = self._trial(images)
            if not self._own_scores(asked, self._shared_prefix.rank(*asked, size), size):
                log.warning("the student's cache gives other scores than whole texts; ranking the slow way")
                self._shared_prefix = None
            self._tried.add("prefix")
        way = self._shared_prefix or self._plain
        return way.rank(images, texts, pieces, size)

    def _fitting(
        self, images: Sequence[Image.Image], pieces: Sequence[Piece], size: int
    ) -> SharedImage | None:
        """The shortcut by image, where it fits the questions and gives this model's own scores."""
        way = self._shared_image
        if way is None or not way.fits([piece.shared for piece in pieces]):
            return None
        if "image" not in self._tried:
            asked = shown, _, trial = self._trial(images)
            if not self._own_scores(asked, way.rank(shown, trial, size), size):
                self._shared_image = None
            self._tried.add("image")
        return self._shared_image

    def _trial(self, images: Sequence[Image.Image]) -> tuple[list[Image.Image], list[str], list[Piece]]:
        """Two questions of different length about pictures of the first call."""
        texts = [chat_text(self.processor, prompt)[0] for prompt in _TRIAL_PROMPTS]
        options = [f" ({LETTERS[k]}) {text}" for k, text in enumerate(_TRIAL_CHOICES)]
        return [images[0], images[-1]], texts, self._pieces(texts, _TRIAL_PROMPTS, PREFIX, [options] * 2)

    def _own_scores(
        self, asked: tuple[list[Image.Image], list[str], list[Piece]], scores: list[list[float]], size: int
    ) -> bool:
        # InstructBLIP's and BLIP-2's Q-Former stays in float32 when the language model is in float16
        dtype = self.model.get_input_embeddings().weight.dtype
        close = 1e-3 if dtype == torch.float32 else 0.1
        plain = self._plain.rank(*asked, size)
        return torch.allclose(torch.tensor(scores), torch.tensor(plain), rtol=0, atol=close)

    def _within_memory(self, work: Callable[[int], T]) -> T:
        """`work(batch_size)`, with half the size again and again while memory runs out.

        Raises DataEngineError when not even one question fits.
        """
        while True:
            try:
                return work(self.batch_size)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                if self.batch_size == 1:
                    raise DataEngineError(
                        "one question does not fit into memory with this student; take a smaller one, another "
                        "dtype, or device: device_map"
                    ) from error
            self.batch_size //= 2
            log.warning("out of memory; going on with %d questions in one pass", self.batch_size)
            if self._shared_image is not None:
                self._shared_image.forget()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
