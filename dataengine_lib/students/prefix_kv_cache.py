"""Fast ranking (step 1) for any family: image and question are read once, and all options reuse their keys and values.

Only the model's own forward pass and cache class are used, so that positions and attention masks are the family's own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import DynamicCache

from dataengine_lib.students.inputs import RowSuffix, append_tokens, encode_prompts, padding_token_id
from dataengine_lib.students.option_scores import TokenizedQuestion, option_scores


class PrefixCacheBackend:
    """Ranks only; the key-value cache of a batch of prompts lives for that batch."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        # InstructBLIP's and BLIP-2's outer model takes no cache; what follows the image is for the inner one
        self.inner = model.language_model if hasattr(model.config, "qformer_config") else model

    def rank(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> list[list[float]]:
        """One score per option of every question; questions of similar length share a batch."""
        # every question of a batch has the same number of options: models that compute positions themselves
        # repeat them by rows
        order = sorted(
            range(len(questions)),
            key=lambda i: (len(questions[i].options), len(questions[i].prefix), len(prompts[i]), i),
        )
        scores: list[list[float]] = [[] for _ in questions]
        at = 0
        while at < len(order):
            n_options = len(questions[order[at]].options)
            batch = [i for i in order[at : at + batch_size] if len(questions[i].options) == n_options]
            found = self._rank_batch(
                [images[i] for i in batch], [prompts[i] for i in batch], [questions[i] for i in batch]
            )
            for i, row in zip(batch, found, strict=True):
                scores[i] = row
            at += len(batch)
        return scores

    def _rank_batch(
        self, images: list[Image.Image], prompts: list[str], questions: list[TokenizedQuestion]
    ) -> list[list[float]]:
        encoded = encode_prompts(self.processor, prompts, images)
        prompts_only = [RowSuffix(row, question.dropped, []) for row, question in enumerate(questions)]
        # padded on the left, so that every row continues from the same column
        inputs = append_tokens(self.processor, encoded, prompts_only, "left")
        inputs = inputs.to(self.model.device, self.model.dtype)
        cache = DynamicCache()
        first = self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1:]
        n_options = len(questions[0].options)
        answers = [question.answer_start + option for question in questions for option in question.options]
        # the prompt's last logits predict the first token of each answer, the second pass the others
        logits = first.repeat_interleave(n_options, dim=0)
        if max(map(len, answers)) > 1:
            later = self._answer_logits(inputs["attention_mask"], cache, n_options, answers)
            logits = torch.cat([logits, later], dim=1)
        return option_scores(logits, questions)

    def _answer_logits(
        self, prompt_mask: torch.Tensor, cache: DynamicCache, n_options: int, answers: list[list[int]]
    ) -> torch.Tensor:
        """Logits `(questions * n_options, longest answer - 1, vocabulary)` at all but each answer's last token.

        The last token is not fed: its logits would predict what follows the answer. `prompt_mask` is
        `(questions, prompt tokens)`; `cache` holds the prompts and is repeated for the options in place.
        """
        width = max(len(tokens) for tokens in answers) - 1
        # rows as in `answers`: all options of the first question, then all of the second, …
        cache.batch_repeat_interleave(n_options)
        fed = [tokens[:-1] for tokens in answers]
        pad = padding_token_id(self.processor)
        ids = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens in fed], dtype=torch.long)
        mask = torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in fed])
        mask = torch.cat([prompt_mask.repeat_interleave(n_options, dim=0), mask.to(prompt_mask)], dim=1)
        more: dict[str, torch.Tensor] = {}
        # Qwen-VL: an image takes fewer positions than tokens; its last pass has noted the difference for each row.
        # The first dimension, 3, is time, height and width, which are equal for text.
        if (delta := getattr(self.inner.base_model, "rope_deltas", None)) is not None:
            positions = mask.cumsum(1)[:, -width:] - 1
            positions = positions + delta.repeat_interleave(n_options, dim=0).to(prompt_mask)
            more["position_ids"] = positions.expand(3, -1, -1)
        logits: torch.Tensor = self.inner(
            input_ids=ids.to(prompt_mask.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **more,
        ).logits
        return logits
