"""The plain way of step 1: one whole text per option through the model. Slower, and right for every family."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image
from transformers import GenerationConfig

from dataengine_lib.students.inputs import Part, encode, joined, padding
from dataengine_lib.students.option_scores import Piece, mean_log_probability


class WholeTexts:
    """Ranks and writes without anything kept between passes."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    def rank(
        self, images: Sequence[Image.Image], prompts: Sequence[str], pieces: Sequence[Piece], batch_size: int
    ) -> list[list[float]]:
        """One score per option of every piece."""
        texts = [(i, k) for i, piece in enumerate(pieces) for k in range(len(piece.options))]
        texts.sort(
            key=lambda text: (len(pieces[text[0]].shared) + len(pieces[text[0]].options[text[1]]), text)
        )
        scores = [[0.0] * len(piece.options) for piece in pieces]
        for at in range(0, len(texts), batch_size):
            rows = texts[at : at + batch_size]
            encoded = encode(self.processor, [prompts[i] for i, _ in rows], [images[i] for i, _ in rows])
            parts = [
                Part(n, pieces[i].drop, pieces[i].lead + pieces[i].options[k])
                for n, (i, k) in enumerate(rows)
            ]
            inputs = joined(self.processor, encoded, parts).to(self.model.device, self.model.dtype)
            logits = self.model(**inputs, use_cache=False).logits
            places = []
            for n, (i, k) in enumerate(rows):
                option = pieces[i].options[k]
                start = int(inputs["attention_mask"][n].sum()) - len(option)
                places += [(n, start + j - 1, token, n) for j, token in enumerate(option)]
            for (i, k), score in zip(rows, mean_log_probability(logits, places, len(rows)), strict=True):
                scores[i][k] = score
        return scores

    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        pieces: Sequence[Piece],
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """What the model's own greedy search writes behind each piece's beginning."""
        order = sorted(range(len(prompts)), key=lambda i: (len(pieces[i].shared), len(prompts[i]), i))
        written: list[list[int]] = [[] for _ in prompts]
        for at in range(0, len(order), batch_size):
            rows = order[at : at + batch_size]
            encoded = encode(self.processor, [prompts[i] for i in rows], [images[i] for i in rows])
            parts = [Part(n, pieces[i].drop, pieces[i].lead) for n, i in enumerate(rows)]
            inputs = joined(self.processor, encoded, parts, "left").to(self.model.device, self.model.dtype)
            with greedy(self.model):
                ids = self.model.generate(
                    **inputs, max_new_tokens=max_new_tokens, do_sample=False,
                    pad_token_id=padding(self.processor),
                )  # fmt: skip
            for i, row in zip(rows, ids[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                written[i] = row
        return written


@contextmanager
def greedy(model: Any) -> Iterator[None]:
    """`model.generate` takes the likeliest token each time, whatever the checkpoint's own settings say.

    Only its end, padding and start tokens stay. A config handed to `generate` would be filled up with the model's
    own penalties; and the model keeps its settings, which are saved with it.
    """
    # BLIP-2's and InstructBLIP's outer model leaves the writing to the inner one
    parts = [model, *([model.language_model] if hasattr(model.config, "qformer_config") else [])]
    own = [part.generation_config for part in parts]
    for part, settings in zip(parts, own, strict=True):
        kept = {key: getattr(settings, key, None) for key in ("eos_token_id", "pad_token_id", "bos_token_id")}
        part.generation_config = GenerationConfig(**kept)
    try:
        yield
    finally:
        for part, settings in zip(parts, own, strict=True):
            part.generation_config = settings
