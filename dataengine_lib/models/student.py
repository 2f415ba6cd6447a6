"""The student of steps 1 and 5: any Hugging Face vision-language model; ranks options, writes answers."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from dataengine_lib.data.records import LETTERS
from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.shared_image import SharedImage
from dataengine_lib.models.token_scores import Piece, mean_log_probability, padded, scored_tokens

PREFIX = "The answer is"
_CHECK_CHOICES = ["a dog", "yes", "a red car", "2"]


def chat_text(processor: Any, instruction: str, answer: str | None = None) -> tuple[str, str]:
    """(prompt, prompt + answer + end) as the processor's chat template writes one question about one image.

    Scoring and training both take their texts from here, so that what is scored is what was learnt. Special
    tokens inside `instruction` and `answer` are broken up, as data. Without `answer` both are the prompt.
    """
    tokenizer = processor.tokenizer
    image = getattr(processor, "image_token", None) or "<image>"
    instruction = _plain(processor, instruction)
    end = tokenizer.eos_token or ""
    if not getattr(processor, "chat_template", None):
        prompt = f"###Human: {image}\n{instruction} ###Assistant:"
        return prompt, prompt if answer is None else f"{prompt} {_plain(processor, answer)}{end}"
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}
    prompt = processor.apply_chat_template([user], add_generation_prompt=True)
    if answer is None:
        return prompt, prompt
    answer = _plain(processor, answer)
    said = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    full = processor.apply_chat_template([user, said])
    if not full.startswith(prompt) or answer not in full[len(prompt) :]:
        gap = "" if prompt[-1:].isspace() else " "  # a template that writes finished answers in another way
        return prompt, f"{prompt}{gap}{answer}{end}"
    start = full.index(answer, len(prompt)) + len(answer)
    # a template without an end of turn would never teach the student to stop
    return prompt, full[:start] + (full[start:].rstrip() or end)


def prefix_text(processor: Any, instruction: str, said: str = PREFIX) -> str:
    """The prompt and the beginning of its answer, exactly as `chat_text` writes them for training."""
    prompt, full = chat_text(processor, instruction, said)
    return full[: full.index(said, len(prompt)) + len(said)]


def encode(
    processor: Any, texts: list[str], images: Sequence[Image.Image], padding_side: str = "right"
) -> Any:
    """The model's inputs for texts of `chat_text`, one image each, as tensors.

    A beginning-of-text token that the chat template has written is not added a second time.
    """
    return processor(
        text=texts,
        images=[[image] for image in images],
        padding=True,
        padding_side=padding_side,
        add_special_tokens=not _starts_text(processor, texts[0]),
        return_tensors="pt",
    )


def _starts_text(processor: Any, text: str) -> bool:
    start = processor.tokenizer.bos_token
    return bool(start) and text.startswith(start)


def _plain(processor: Any, text: str) -> str:
    special = {*processor.tokenizer.all_special_tokens, getattr(processor, "image_token", None) or "<image>"}
    for token in special:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


class Student:
    """A loaded student; `batch_size` is the number of questions, and of distinct images, in one pass.

    Pass the same Image object for questions about one image: it is then prepared and looked at once.
    Results come in the order of the questions and do not depend on the batch size.
    """

    def __init__(self, model: Any, processor: Any, batch_size: int = 64) -> None:
        self.model = model.eval()
        self.processor = processor
        self.batch_size = batch_size
        self._shared: SharedImage | None = SharedImage.for_model(model, processor)
        self._checked = False

    @torch.inference_mode()
    def rank(
        self, images: Sequence[Image.Image], prompts: Sequence[str], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """One score per choice, higher is better: the mean log-probability of ` (A) dog`'s tokens.

        The choice follows `The answer is` in the answer to `prompts[i]` about `images[i]`.
        Source: MLLM-DataEngine's evaluation, which takes the option of the lowest mean token loss.
        """
        prefixes = [prefix_text(self.processor, prompt) for prompt in prompts]
        options = [
            [f" ({LETTERS[k]}) {_plain(self.processor, text)}" for k, text in enumerate(row)]
            for row in choices
        ]
        if not prefixes:
            return []
        if self._may_share(images, prefixes):
            pieces = [self._pieces(prefix, row) for prefix, row in zip(prefixes, options, strict=True)]
            return self._shared.rank(list(images), pieces, self.batch_size)  # type: ignore[union-attr]
        return self._rank_apart(images, prefixes, options)

    @torch.inference_mode()
    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        prefix: str = PREFIX,
        max_new_tokens: int = 8,
    ) -> list[str]:
        """What the student writes after `prefix` in its answer to `prompts[i]` about `images[i]`; greedy."""
        prefixes = [prefix_text(self.processor, prompt, prefix) for prompt in prompts]
        if not prefixes:
            return []
        if self._may_share(images, prefixes):
            tokens = self._ids(prefixes)
            written = self._shared.generate(list(images), tokens, self.batch_size, max_new_tokens)  # type: ignore[union-attr]
        else:
            written = self._generate_apart(images, prefixes, max_new_tokens)
        return self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)

    def _may_share(self, images: Sequence[Image.Image], prefixes: list[str]) -> bool:
        """Whether the shortcut gives this model's own scores; tried once, on the first questions asked."""
        if self._shared is not None and not self._shared.fits(self._ids(prefixes)):
            return False
        if self._shared is not None and not self._checked:
            few, options = (
                prefixes[:2],
                [[f" ({LETTERS[k]}) {text}" for k, text in enumerate(_CHECK_CHOICES)]] * 2,
            )
            pieces = [self._pieces(prefix, row) for prefix, row in zip(few, options, strict=False)]
            short = torch.tensor(self._shared.rank(list(images[:2]), pieces, self.batch_size))
            plain = torch.tensor(self._rank_apart(images[:2], few, options[: len(few)]))
            close = 1e-3 if self.model.dtype == torch.float32 else 0.1
            if not torch.allclose(short, plain, rtol=0, atol=close):
                self._shared = None
            self._checked = True
        return self._shared is not None

    def _ids(self, texts: list[str]) -> list[list[int]]:
        add = not _starts_text(self.processor, texts[0])
        return self.processor.tokenizer(texts, add_special_tokens=add).input_ids

    def _pieces(self, prefix: str, options: list[str]) -> Piece:
        ids = self._ids([prefix, *(prefix + option for option in options)])
        return scored_tokens(ids[0], ids[1:])

    def _rank_apart(
        self, images: Sequence[Image.Image], prefixes: list[str], options: list[list[str]]
    ) -> list[list[float]]:
        """One whole text per option through the model: slower, and right for every family."""
        texts = [(i, prefix + option) for i, prefix in enumerate(prefixes) for option in options[i]]
        starts = [sum(len(row) for row in options[:i]) for i in range(len(options))]
        order = sorted(range(len(texts)), key=lambda t: (len(texts[t][1]), t))
        scores = [0.0] * len(texts)
        for at in range(0, len(order), self.batch_size):
            rows = order[at : at + self.batch_size]
            shown = [images[texts[t][0]] for t in rows]
            before = encode(self.processor, [prefixes[texts[t][0]] for t in rows], shown)
            inputs = encode(self.processor, [texts[t][1] for t in rows], shown).to(
                self.model.device, self.model.dtype
            )
            lengths = inputs["attention_mask"].sum(1).tolist()
            pieces = []
            for n, length in enumerate(lengths):
                ids = inputs["input_ids"][n, :length].tolist()
                head = before["input_ids"][n, : int(before["attention_mask"][n].sum())].tolist()
                pieces.append(scored_tokens(head, [ids]))
            logits = self.model(**inputs, use_cache=False).logits
            where = [
                (n, len(piece.shared) - 1 + j, token, n)
                for n, piece in enumerate(pieces)
                for j, token in enumerate(piece.options[0])
            ]
            for t, score in zip(rows, mean_log_probability(logits, where, len(rows)), strict=True):
                scores[t] = score
        return [scores[start : start + len(row)] for start, row in zip(starts, options, strict=True)]

    def _generate_apart(
        self, images: Sequence[Image.Image], prefixes: list[str], max_new_tokens: int
    ) -> list[list[int]]:
        order = sorted(range(len(prefixes)), key=lambda i: (len(prefixes[i]), i))
        written: list[list[int]] = [[] for _ in prefixes]
        for at in range(0, len(order), self.batch_size):
            rows = order[at : at + self.batch_size]
            inputs = encode(self.processor, [prefixes[i] for i in rows], [images[i] for i in rows], "left")
            inputs = inputs.to(self.model.device, self.model.dtype)
            ids = self.model.generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=padded(self.processor)
            )
            for i, row in zip(rows, ids[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                written[i] = row
        return written


def load_student(
    name: str, device: str = "auto", adapter: Path | str | None = None, batch_size: int = 64
) -> Student:
    """Load a model folder or hub name with its processor, and a LoRA adapter's weights into it.

    float32 on CPU; on a GPU the checkpoint's own precision.
    Raises DataEngineError with the remedy when it is not there.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if _is_path(name) and not Path(name).is_dir():
        raise DataEngineError(f"{name}: no such folder; student must be a model folder or hub name")
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise DataEngineError(
            f"{name}: no config.json in this folder; student must be a model folder or hub name"
        )
    with quiet_in_logs():
        try:
            # the PIL image processor with or without torchvision: their resizing differs, and scores must not
            processor = AutoProcessor.from_pretrained(name, backend="pil")
            dtype = "auto" if device.startswith("cuda") else torch.float32
            model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
        except (OSError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise DataEngineError(
                f"{name}: student cannot be loaded ({line}); give a vision-language model's folder or name"
            ) from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise DataEngineError(
            f"{name}: no processor for images and text in it; save model and processor together"
        )
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return Student(model.to(device), processor, batch_size)


def _is_path(name: str) -> bool:
    """Hub names are `name` or `owner/name`; anything else is not worth asking the hub for."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _with_adapter(model: Any, adapter: Path | str) -> Any:
    from peft import PeftModel

    if not (Path(adapter) / "adapter_config.json").is_file():
        raise DataEngineError(f"{adapter}: no adapter_config.json in it; give a folder that peft saved")
    try:
        return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise DataEngineError(
            f"{adapter}: adapter cannot be loaded ({line}); give a folder that peft saved"
        ) from error


@contextmanager
def quiet_in_logs() -> Iterator[None]:
    """transformers draws progress bars into logs too; ours stay quiet where nobody watches."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if shown and not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
