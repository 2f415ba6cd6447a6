"""Step 1's local student: any Hugging Face vision-language model; ranks options and generates answers."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from PIL import Image

from dataengine_lib.core.machine.forks import processes_for
from dataengine_lib.core.machine.threads import parameter_count, threads_for
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.chat_texts import (
    ANSWER_START,
    escape_special_tokens,
    prompt_with_answer_start,
)
from dataengine_lib.students.encoder_decoder import EncoderDecoderBackend, is_encoder_decoder
from dataengine_lib.students.image_reuse.image_prefix_cache import ImagePrefixBackend
from dataengine_lib.students.image_reuse.vision_features import VisionFeatures
from dataengine_lib.students.interface import RankedText
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.students.memory_errors import is_out_of_memory
from dataengine_lib.students.option_scores import TokenizedQuestion, tokenize_question
from dataengine_lib.students.prefix_kv_cache import PrefixCacheBackend
from dataengine_lib.students.uncached import UncachedBackend

# two prompts of different length and options of different length: a wrong mask or position changes their scores
_TRIAL_PROMPTS = [
    "What is it?",
    "Which of these words is the best for what stands in the middle of the picture?",
]
_TRIAL_CHOICES = ["a dog", "yes", "a red car", "2"]
_log = logging.getLogger(__name__)
_R = TypeVar("_R")


class _Batch(NamedTuple):
    """What a backend ranks."""

    images: list[Image.Image]
    prompts: list[str]
    questions: list[TokenizedQuestion]


class HuggingFaceStudent:
    """A loaded student; `batch_size` is the number of questions, and of distinct images, in one pass.

    Pass the same Image object for questions about one image: where the family allows, it is then processed once.
    Results come in the order of the questions. In float32 they do not depend on the batch size, which is halved
    when memory runs out; in half precision a score changes in its third digit with the batch it is in.

    A cache of keys and values is used after a trial has shown that it gives this model's own scores.
    """

    def __init__(self, model: Any, processor: Any, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.processor = processor
        self.batch_size = batch_size
        self._parameters = parameter_count(model)
        self._is_encoder_decoder = is_encoder_decoder(model.config)
        self._uncached: EncoderDecoderBackend | UncachedBackend
        self._image_cache: ImagePrefixBackend | None = None
        self._prefix_cache: PrefixCacheBackend | None = None
        if self._is_encoder_decoder:  # its encoder output plays the part of a cache
            self._uncached = EncoderDecoderBackend(model, processor)
        else:
            self._uncached = UncachedBackend(model, processor)
            self._image_cache = _image_cache_for(model, processor)
            self._prefix_cache = PrefixCacheBackend(model, processor)
        self._features = VisionFeatures.for_model(model, self.processes)
        self._tried: set[str] = set()  # caches that have had their trial
        self._length_limit = LengthLimit(model, processor)

    @property
    def processes(self) -> int:
        """How many processes may answer with this student at the same time: several for a small one on a processor."""
        return processes_for(self._parameters) if self.model.device.type == "cpu" else 1

    @property
    def image_reuse(self) -> Literal["keys and values", "features", "none"]:
        """What of an image its questions share: keys and values, the vision tower's features, or none, read for each one.

        It is certain after the first call, when caches have had their trial.
        """
        if self._image_cache is not None:
            return "keys and values"
        return "none" if self._features is None else "features"

    def length_fault(self, image: Image.Image, question: str, choices: Sequence[str]) -> str:
        """Why this question is too long to be asked, empty when it is not."""
        return self._length_limit.fault(image, question, choices)

    @torch.inference_mode()
    def rank(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "text",
    ) -> list[list[float]]:
        """One score per choice, higher is better: the mean log-probability of ` (A) dog`'s tokens.

        The choice follows `The answer is` in the answer to `prompts[i]` about `images[i]`; with `scored` of
        `letter`, only ` (A)` does, with `words` only ` dog`. Raises DataEngineError when one question does not fit into
        memory.
        Source: MLLM-DataEngine's evaluation, which takes the option of the lowest mean token cross-entropy.
        """
        # ` (A) dog`, ` (A)` or ` dog`, as `The answer is` continues in training texts
        options = [
            [(f" ({LETTERS[k]})" if scored != "words" else "")
             + (f" {escape_special_tokens(self.processor, text)}" if scored != "letter" else "")
             for k, text in enumerate(row)]
            for row in choices
        ]  # fmt: skip
        texts, questions = self._tokenize(prompts, ANSWER_START, options)
        if not questions:
            return []
        batch = _Batch(list(images), texts, questions)
        return self._within_memory(batch.images, lambda batch_size: self._rank(batch, batch_size))

    @torch.inference_mode()
    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        prefix: str = ANSWER_START,
        max_new_tokens: int = 8,
    ) -> list[str]:
        """What the student writes after `prefix` in its answer to `prompts[i]` about `images[i]`; greedy.

        `choices` is for servers that can restrict an answer to them, and is not used here: they are in the prompt.
        Raises DataEngineError when one question does not fit into memory.
        """
        # without options, the tokens of `prefix` become the `answer_start`
        texts, questions = self._tokenize(prompts, prefix, [[]] * len(prompts))
        if not questions:
            return []

        def write(batch_size: int) -> list[list[int]]:
            if (image_cache := self._usable_image_cache(images, texts, questions, batch_size)) is not None:
                return image_cache.generate(images, texts, questions, batch_size, max_new_tokens)
            # the prefix cache can only rank
            return self._uncached.generate(images, texts, questions, batch_size, max_new_tokens)

        written = self._within_memory(images, write)
        return self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)

    def _tokenize(
        self, prompts: Sequence[str], answer_start: str, options: Sequence[list[str]]
    ) -> tuple[list[str], list[TokenizedQuestion]]:
        """The prompts as the chat template writes them, and their tokens with those of the options."""
        written = [prompt_with_answer_start(self.processor, prompt, answer_start) for prompt in prompts]
        tokens = [
            tokenize_question(self.processor, text, start, row, separate_answer=self._is_encoder_decoder)
            for (text, start), row in zip(written, options, strict=True)
        ]
        return [text for text, _ in written], tokens

    def _rank(self, batch: _Batch, batch_size: int) -> list[list[float]]:
        """Ranked by the fastest backend that is right for this model: by image, by prefix, else uncached."""
        image_cache = self._usable_image_cache(*batch, batch_size)
        if image_cache is not None:
            return image_cache.rank(*batch, batch_size)
        # a cache has one trial, on first use; if it fails, the cache is dropped for good
        if (prefix_cache := self._prefix_cache) is not None and "prefix" not in self._tried:
            trial = self._trial(batch.images)
            if not self._same_scores(
                trial, lambda: [prefix_cache.rank(*trial, batch_size)], batch_size, "cache"
            ):
                self._prefix_cache = None
            self._tried.add("prefix")
        backend = self._prefix_cache or self._uncached
        return backend.rank(*batch, batch_size)

    def _usable_image_cache(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> ImagePrefixBackend | None:
        """The cache by image, where it supports the questions and gives this model's own scores."""
        image_cache = self._image_cache
        if image_cache is None or not image_cache.supports(texts, questions):
            return None
        if "image" not in self._tried:
            trial = self._trial(images)
            if not self._same_scores(
                trial,
                lambda: [image_cache.rank(*trial, batch_size)],
                batch_size,
                "cache of images",
            ):
                self._image_cache = None
            self._tried.add("image")
        return self._image_cache

    def _usable_features(self, images: Sequence[Image.Image], batch_size: int) -> VisionFeatures | None:
        """The features of images, where they give this model's own scores, and no keys and values are reused."""
        features = self._features
        if features is None or self._image_cache is not None:
            return None
        if "features" not in self._tried:
            trial = self._trial(images)

            def rank() -> list[list[list[float]]]:
                with features.reused():
                    self._uncached.rank(*trial, batch_size)
                    of_one_pass = self._uncached.rank(*trial, batch_size)  # of features that are kept
                    features.clear()
                    for image, prompt, question in zip(*trial, strict=True):
                        self._uncached.rank([image], [prompt], [question], batch_size)
                    return [of_one_pass, self._uncached.rank(*trial, batch_size)]  # joined of two passes

            if not self._same_scores(trial, rank, batch_size, "features of images"):
                self._features = None
            self._tried.add("features")
        return self._features

    def _trial(self, images: Sequence[Image.Image]) -> _Batch:
        """Two questions of different length about images of the first call."""
        options = [f" ({LETTERS[k]}) {text}" for k, text in enumerate(_TRIAL_CHOICES)]
        texts, questions = self._tokenize(_TRIAL_PROMPTS, ANSWER_START, [options] * 2)
        # usually two different images, so that rows mixed up between images show as well
        return _Batch([images[0], images[-1]], texts, questions)

    def _same_scores(
        self, trial: _Batch, rank: Callable[[], list[list[list[float]]]], batch_size: int, name: str
    ) -> bool:
        """Whether all cached scores that `rank` gives of the trial are the uncached ones; a log line says why not."""
        try:
            cached = rank()
        except Exception as error:  # a family's own code may raise anything at a cache that is not its kind
            # this says nothing about the cache: _within_memory tries again with less in one pass
            if is_out_of_memory(error):
                raise
            _log.warning("the student's %s cannot be used (%s); ranking without it", name, _one_line(error))
            return False
        # more than rounding changes, and less than a wrong mask or position does.
        # InstructBLIP's and BLIP-2's Q-Former stays in float32 when the language model is in float16
        dtype = self.model.get_input_embeddings().weight.dtype
        tolerance = 1e-3 if dtype == torch.float32 else 0.1
        uncached = torch.tensor(self._uncached.rank(*trial, batch_size))
        same = all(
            torch.allclose(torch.tensor(scores), uncached, rtol=0, atol=tolerance) for scores in cached
        )
        if not same:
            _log.warning("the student's %s changes its scores; ranking without it", name)
        return same

    def _within_memory(self, images: Sequence[Image.Image], work: Callable[[int], _R]) -> _R:
        """`work(batch_size)`; when memory runs out, with half the batch size as often as needed, then without caches.

        Raises DataEngineError when not even one option fits.
        """
        while True:
            try:
                with threads_for(self._parameters):
                    features = self._usable_features(images, self.batch_size)
                    with features.reused() if features else nullcontext():
                        return work(self.batch_size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                caches = (self._image_cache, self._prefix_cache, self._features)
                has_cache = any(cache is not None for cache in caches)
                if self.batch_size == 1 and not has_cache:
                    raise DataEngineError(
                        "one question does not fit into memory with this student; take a smaller one, another "
                        "dtype, or device: device_map"
                    ) from error
            # outside of `except`, where the error's traceback would keep the failed pass's tensors alive
            for cache in (self._image_cache, self._features):
                if cache is not None:
                    cache.clear()
            if self.batch_size > 1:
                # stays halved for later calls, which would run out of memory too
                self.batch_size //= 2
                _log.warning("out of memory; continuing with %d questions in one pass", self.batch_size)
            else:  # a cache holds all options of a question at once, which takes more than one option
                self._image_cache = self._prefix_cache = self._features = None
                _log.warning("out of memory; continuing with one option in one pass")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _image_cache_for(model: Any, processor: Any) -> ImagePrefixBackend | None:
    try:
        return ImagePrefixBackend.for_model(model, processor)
    except Exception as error:  # processors differ in what they accept, and this only asks whether it works
        _log.warning(
            "the student's images cannot be cached (%s); their keys and values are not reused",
            _one_line(error),
        )
        return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(str(error))[:160]}"
