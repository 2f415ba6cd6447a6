"""The student of step 1: any Hugging Face vision-language model; ranks options, writes answers."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size
from PIL import Image

from dataengine_lib.core.records import LETTERS
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.encoder_decoder import EncoderDecoder, is_encoder_decoder
from dataengine_lib.students.image_kv_cache import SharedImage
from dataengine_lib.students.inputs import PREFIX, chat_text, plain_text, prefix_text
from dataengine_lib.students.option_scores import Piece, spell
from dataengine_lib.students.prefix_kv_cache import SharedPrefix
from dataengine_lib.students.uncached import WholeTexts

Scored = Literal["text", "letter"]
T = TypeVar("T")
_TRIAL_PROMPTS = [
    "What is it?",
    "Which of these words is the best for what stands in the middle of the picture?",
]
_TRIAL_CHOICES = ["a dog", "yes", "a red car", "2"]
_NO_MEMORY = ("cuda error: out of memory", "cublas_status_alloc_failed")
log = logging.getLogger(__name__)


class Student:
    """A loaded student; `batch_size` is the number of questions, and of distinct images, in one pass.

    Pass the same Image object for questions about one image: where the family allows, it is then prepared and
    looked at once. Results come in the order of the questions. In float32 they do not depend on the batch size,
    which is halved when memory runs out; in half precision a score moves in its third digit with its batch.
    """

    def __init__(self, model: Any, processor: Any, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.processor = processor
        self.batch_size = batch_size
        self._apart = is_encoder_decoder(model.config)
        self._plain = EncoderDecoder(model, processor) if self._apart else WholeTexts(model, processor)
        self._shared_image = None if self._apart else _shared_image(model, processor)
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
        if (prefix := self._shared_prefix) is not None and "prefix" not in self._tried:
            asked = self._trial(images)
            if not self._own_scores(asked, lambda: prefix.rank(*asked, size), size, "cache"):
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
            if not self._own_scores(asked, lambda: way.rank(shown, trial, size), size, "cache of images"):
                self._shared_image = None
            self._tried.add("image")
        return self._shared_image

    def _trial(self, images: Sequence[Image.Image]) -> tuple[list[Image.Image], list[str], list[Piece]]:
        """Two questions of different length about pictures of the first call."""
        texts = [chat_text(self.processor, prompt)[0] for prompt in _TRIAL_PROMPTS]
        options = [f" ({LETTERS[k]}) {text}" for k, text in enumerate(_TRIAL_CHOICES)]
        return [images[0], images[-1]], texts, self._pieces(texts, _TRIAL_PROMPTS, PREFIX, [options] * 2)

    def _own_scores(
        self,
        asked: tuple[list[Image.Image], list[str], list[Piece]],
        rank: Callable[[], list[list[float]]],
        size: int,
        name: str,
    ) -> bool:
        """Whether the shortcut `rank` gives the scores of whole texts; a line in the log says why not."""
        try:
            scores = rank()
        except Exception as error:  # a family's own code may raise anything at a cache that is not its kind
            if is_lack_of_memory(error):
                raise
            log.warning("the student's %s cannot be used (%s); going the slow way", name, _line(error))
            return False
        # InstructBLIP's and BLIP-2's Q-Former stays in float32 when the language model is in float16
        dtype = self.model.get_input_embeddings().weight.dtype
        close = 1e-3 if dtype == torch.float32 else 0.1
        plain = self._plain.rank(*asked, size)
        same = torch.allclose(torch.tensor(scores), torch.tensor(plain), rtol=0, atol=close)
        if not same:
            log.warning("the student's %s gives other scores than whole texts; going the slow way", name)
        return same

    def _within_memory(self, work: Callable[[int], T]) -> T:
        """`work(batch_size)`, with half the size again and again while memory runs out, then without shortcuts.

        Raises DataEngineError when not even one option fits.
        """
        while True:
            try:
                return work(self.batch_size)
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
                shortcuts = self._shared_image is not None or self._shared_prefix is not None
                if self.batch_size == 1 and not shortcuts:
                    raise DataEngineError(
                        "one question does not fit into memory with this student; take a smaller one, another "
                        "dtype, or device: device_map"
                    ) from error
            if self._shared_image is not None:
                self._shared_image.forget()
            if self.batch_size > 1:
                self.batch_size //= 2
                log.warning("out of memory; going on with %d questions in one pass", self.batch_size)
            else:  # all options of a question together take more than one by one
                self._shared_image = self._shared_prefix = None
                log.warning("out of memory; going on with one option in one pass")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help; CUDA and cuBLAS say so in other words than torch's own allocator."""
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or should_reduce_batch_size(error)
        or (isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY))
    )


def _shared_image(model: Any, processor: Any) -> SharedImage | None:
    try:
        return SharedImage.for_model(model, processor)
    except Exception as error:  # processors differ in what they take, and this one is only tried out
        log.warning("the student's images cannot be shared (%s); each question reads its own", _line(error))
        return None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
