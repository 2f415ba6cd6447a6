"""Makes step 1 fast: the student reads an image once for all its questions, a question once for all options.

The tokens of image, questions and options form a tree; keys and values of an image are kept, and an attention
mask keeps the options of a question apart. The scores are those of one plain pass per option.
"""

from collections.abc import Iterator
from typing import Any, Self

import torch
from PIL import Image
from transformers import DynamicCache

from dataengine_lib.students.inputs import padding
from dataengine_lib.students.option_scores import Piece, Place, mean_log_probability

_KEYS = {"input_ids", "attention_mask", "pixel_values"}


class SharedImage:
    """For models that take one run of image tokens and nothing but pixels, as LLaVA does."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.image_token = int(processor.image_token_id)
        self._run: list[int] | None = None
        self._images: list[Image.Image] = []
        self._cache: DynamicCache | None = None
        self._head: list[int] = []

    @classmethod
    def for_model(cls, model: Any, processor: Any) -> Self | None:
        """None where keys and values cannot simply be shared: other positions, windows or image inputs."""
        text = model.config.get_text_config(decoder=True)
        plain_layers = set(getattr(text, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        rotary = getattr(text, "rope_parameters", None) or {}
        token = getattr(processor, "image_token_id", None)
        if (
            token is None
            or not plain_layers
            or "mrope_section" in rotary
            or getattr(text, "sliding_window", None)
        ):
            return None
        tiny = Image.new("RGB", (32, 32))
        inputs = processor(text=[processor.image_token], images=[[tiny]], return_tensors="pt")
        if (
            set(inputs) - {"token_type_ids", "mm_token_type_ids"} != _KEYS
            or inputs["pixel_values"].dim() != 4
        ):
            return None
        found = cls(model, processor)
        ids = inputs["input_ids"][0].tolist()
        # other sizes of image must not change the run, or the places of the text would move
        other = processor(text=[processor.image_token], images=[[tiny.resize((48, 24))]], return_tensors="pt")
        if other["input_ids"].tolist() != [ids] or found.image_token not in ids:
            return None
        first, last = ids.index(found.image_token), len(ids) - ids[::-1].index(found.image_token)
        found._run = ids[first:last]
        return found if set(found._run) == {found.image_token} else None

    def fits(self, prefixes: list[list[int]]) -> bool:
        """Every prefix has one image, and the same tokens before it."""
        if any(ids.count(self.image_token) != 1 for ids in prefixes):
            return False
        heads = {tuple(ids[: ids.index(self.image_token)]) for ids in prefixes}
        return len(heads) == 1 and all(ids[-1] != self.image_token for ids in prefixes)

    def rank(self, images: list[Image.Image], pieces: list[Piece], batch_size: int) -> list[list[float]]:
        """One score per option of every piece."""
        scores: list[list[float]] = [[] for _ in pieces]
        size = [len(piece.shared) + sum(map(len, piece.options)) for piece in pieces]
        for rows, cache, which in self._batches(images, [piece.shared for piece in pieces], size, batch_size):
            for i, row in zip(rows, self._rank_batch([pieces[i] for i in rows], cache, which), strict=True):
                scores[i] = row
        return scores

    def generate(
        self, images: list[Image.Image], prefixes: list[list[int]], batch_size: int, max_new_tokens: int
    ) -> list[list[int]]:
        """Greedy continuations, without the end token."""
        written: list[list[int]] = [[] for _ in prefixes]
        size = [len(ids) for ids in prefixes]
        for rows, cache, which in self._batches(images, prefixes, size, batch_size):
            tails = [self._tail(prefixes[i]) for i in rows]
            for i, ids in zip(rows, self._continue(tails, cache, which, max_new_tokens), strict=True):
                written[i] = ids
        return written

    def _batches(
        self, images: list[Image.Image], prefixes: list[list[int]], size: list[int], batch_size: int
    ) -> Iterator[tuple[list[int], DynamicCache, list[int]]]:
        """(questions of similar length, the cache of the images at hand, each question's image in it)."""
        number: dict[int, int] = {}
        for image in images:
            number.setdefault(id(image), len(number))
        distinct = {number[id(image)]: image for image in images}
        for first in range(0, len(distinct), batch_size):
            shown = [distinct[n] for n in range(first, min(first + batch_size, len(distinct)))]
            cache = self._read_images(shown, prefixes[0])
            mine = [i for i, image in enumerate(images) if 0 <= number[id(image)] - first < len(shown)]
            mine.sort(key=lambda i: (size[i], i))
            for at in range(0, len(mine), batch_size):
                rows = mine[at : at + batch_size]
                yield rows, cache, [number[id(images[i])] - first for i in rows]

    def _read_images(self, images: list[Image.Image], prefix: list[int]) -> DynamicCache:
        """Keys and values of all up to the images' end; kept for the next call about the same images."""
        head = prefix[: prefix.index(self.image_token)] + (self._run or [])
        same = len(images) == len(self._images) and all(
            a is b for a, b in zip(images, self._images, strict=True)
        )
        if self._cache is None or not same or head != self._head:
            self.forget()  # before the new one is made
            pixels = self.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
            cache = DynamicCache()
            self.model(
                input_ids=torch.tensor([head] * len(images), device=self.model.device),
                pixel_values=pixels.to(self.model.device, self.model.dtype),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            # together and only now: an interrupt in between must not leave one image's cache for another's
            self._cache, self._images, self._head = cache, images, head
        return self._cache

    def forget(self) -> None:
        """Let go of the images' keys and values."""
        self._cache, self._images = None, []

    def _tail(self, prefix: list[int]) -> list[int]:
        return prefix[prefix.index(self.image_token) + 1 :]

    def _rank_batch(self, pieces: list[Piece], cache: DynamicCache, which: list[int]) -> list[list[float]]:
        """Rows of `[padding, question, option A, option B, …, padding]` behind their images, in one pass."""
        tails = [self._tail(piece.shared) for piece in pieces]
        asked = max(map(len, tails))
        offered = max(sum(map(len, piece.options)) for piece in pieces)
        head, size = len(self._head), (len(pieces), asked + offered)
        ids = torch.full(size, padding(self.processor))
        positions = torch.zeros(size, dtype=torch.long)
        part = torch.full(size, -1)  # 0 the question, 1.. its options, -1 padding
        places: list[Place] = []
        option = 0
        for r, (tail, piece) in enumerate(zip(tails, pieces, strict=True)):
            ids[r, asked - len(tail) : asked] = torch.tensor(tail)
            positions[r, asked - len(tail) : asked] = torch.arange(head, head + len(tail))
            part[r, asked - len(tail) : asked] = 0
            at, start = asked, head + len(tail)
            for k, tokens in enumerate(piece.options, 1):
                end = at + len(tokens)
                ids[r, at:end] = torch.tensor(tokens)
                positions[r, at:end] = torch.arange(start, start + len(tokens))
                part[r, at:end] = k
                # the kept logits begin with the question's last token, which predicts any option's first
                places += [(r, at - asked + j if j else 0, token, option) for j, token in enumerate(tokens)]
                at, option = end, option + 1
        logits = self.model(
            input_ids=ids.to(self.model.device),
            position_ids=positions.to(self.model.device),
            attention_mask=self._tree_mask(part.to(self.model.device)),
            past_key_values=_rows_of(cache, which),
            use_cache=True,
            logits_to_keep=offered + 1,
        ).logits
        scores = iter(mean_log_probability(logits, places, option))
        return [[next(scores) for _ in piece.options] for piece in pieces]

    def _tree_mask(self, part: torch.Tensor) -> torch.Tensor:
        """(rows, 1, new, head + new), to add to the attention: image, question and itself, backwards."""
        new = part.shape[1]
        backwards = torch.ones(new, new, dtype=torch.bool, device=part.device).tril()
        related = (part[:, None, :] == 0) | (part[:, None, :] == part[:, :, None])
        seen = related & backwards & (part[:, None, :] >= 0)
        head = torch.ones(*part.shape, len(self._head), dtype=torch.bool, device=part.device)
        seen = torch.cat([head, seen], dim=2)[:, None]
        low = torch.finfo(self.model.dtype).min
        return torch.zeros(seen.shape, dtype=self.model.dtype, device=part.device).masked_fill_(~seen, low)

    def _continue(
        self, tails: list[list[int]], cache: DynamicCache, which: list[int], max_new_tokens: int
    ) -> list[list[int]]:
        device, head, asked = self.model.device, len(self._head), max(map(len, tails))
        pad = padding(self.processor)
        ids = torch.tensor([[pad] * (asked - len(tail)) + tail for tail in tails], device=device)
        lengths = torch.tensor([len(tail) for tail in tails], device=device)
        place = torch.arange(asked, device=device)[None] - (asked - lengths)[:, None]
        mask = torch.cat([torch.ones(len(tails), head, device=device), place >= 0], dim=1).long()
        positions = head + place.clamp(min=0)
        ends = torch.tensor(self._ends(), device=device)
        past = _rows_of(cache, which)
        written, open_ = [], torch.ones(len(tails), dtype=torch.bool, device=device)
        for _ in range(max_new_tokens):
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            token = out.logits[:, -1].argmax(-1)
            open_ = open_ & ~torch.isin(token, ends)
            written.append(torch.where(open_, token, -1))
            if not open_.any():
                break
            ids, positions = token[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(tails), 1)], dim=1)
        return [[token for token in row if token >= 0] for row in torch.stack(written, 1).tolist()]

    def _ends(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        found = ends if isinstance(ends, list) else [ends]
        return [int(end) for end in [*found, self.processor.tokenizer.eos_token_id] if end is not None]


def _rows_of(cache: DynamicCache, which: list[int]) -> DynamicCache:
    """A copy that holds the given rows, to be grown without touching the original."""
    layers: list[Any] = cache.layers
    rows = torch.tensor(which)  # indices on the CPU select from layers on any device
    return DynamicCache(ddp_cache_data=[(layer.keys[rows], layer.values[rows]) for layer in layers])
