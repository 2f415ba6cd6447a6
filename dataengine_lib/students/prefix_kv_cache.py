"""Makes step 1 fast for any family: image and question are read once, the options from the cache they leave."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import DynamicCache

from dataengine_lib.students.inputs import Part, encode, joined, padding
from dataengine_lib.students.option_scores import Piece, option_scores


class SharedPrefix:
    """Uses nothing but the model's own forward and its cache, so that places and masks are the family's own."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        # InstructBLIP's and BLIP-2's outer model takes no cache; what follows the image is for the inner one
        self.inner = model.language_model if hasattr(model.config, "qformer_config") else model

    def rank(
        self, images: Sequence[Image.Image], prompts: Sequence[str], pieces: Sequence[Piece], batch_size: int
    ) -> list[list[float]]:
        """One score per option of every piece; questions of similar length go together."""
        # as many options in every row of a batch: models with places of their own repeat them by rows
        order = sorted(
            range(len(pieces)),
            key=lambda i: (len(pieces[i].options), len(pieces[i].shared), len(prompts[i]), i),
        )
        scores: list[list[float]] = [[] for _ in pieces]
        at = 0
        while at < len(order):
            width = len(pieces[order[at]].options)
            rows = [i for i in order[at : at + batch_size] if len(pieces[i].options) == width]
            found = self._rank_batch(
                [images[i] for i in rows], [prompts[i] for i in rows], [pieces[i] for i in rows]
            )
            for i, row in zip(rows, found, strict=True):
                scores[i] = row
            at += len(rows)
        return scores

    def _rank_batch(
        self, images: list[Image.Image], prompts: list[str], pieces: list[Piece]
    ) -> list[list[float]]:
        encoded = encode(self.processor, prompts, images)
        apart = [Part(n, piece.drop, []) for n, piece in enumerate(pieces)]
        # on the left, so that every row goes on from the same place
        inputs = joined(self.processor, encoded, apart, "left").to(self.model.device, self.model.dtype)
        cache = DynamicCache()
        first = self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1:]
        width = len(pieces[0].options)
        behind = [piece.lead + option for piece in pieces for option in piece.options]
        logits = first.repeat_interleave(width, dim=0)
        if max(map(len, behind)) > 1:
            later = self._continued(inputs["attention_mask"], cache, width, behind)
            logits = torch.cat([logits, later], dim=1)
        return option_scores(logits, pieces)

    def _continued(
        self, seen: torch.Tensor, cache: DynamicCache, width: int, behind: list[list[int]]
    ) -> torch.Tensor:
        """Logits (rows x options, tokens - 1, words) of all but each text's last token, which predicts nothing."""
        new = max(len(tokens) for tokens in behind) - 1
        cache.batch_repeat_interleave(width)
        fed = [tokens[:-1] for tokens in behind]
        pad = padding(self.processor)
        ids = torch.tensor([tokens + [pad] * (new - len(tokens)) for tokens in fed], dtype=torch.long)
        mask = torch.tensor([[1] * len(tokens) + [0] * (new - len(tokens)) for tokens in fed])
        mask = torch.cat([seen.repeat_interleave(width, dim=0), mask.to(seen)], dim=1)
        more: dict[str, torch.Tensor] = {}
        # Qwen-VL's places run on from the image's own, by as much as its last pass has noted for each row
        if (ahead := getattr(self.inner.base_model, "rope_deltas", None)) is not None:
            place = mask.cumsum(1)[:, -new:] - 1 + ahead.repeat_interleave(width, dim=0).to(seen)
            more["position_ids"] = place.expand(3, -1, -1)
        later: torch.Tensor = self.inner(
            input_ids=ids.to(seen.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **more,
        ).logits
        return later
