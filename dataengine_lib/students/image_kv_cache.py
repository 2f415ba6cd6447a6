"""Fast ranking and generation (step 1): an image is read once for all its questions, a question once for all options.

The tokens of image, question and options form a tree. Keys and values of the images are kept, and an attention mask
hides a question's options from each other. The scores are those of one plain pass per option.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from PIL import Image
from transformers import DynamicCache

from dataengine_lib.students.image_reuse.image_groups import image_groups, same_images
from dataengine_lib.students.inputs import padding_token_id, refusals
from dataengine_lib.students.option_scores import ScoredToken, TokenizedQuestion, mean_log_probabilities

_LLAVA_INPUTS = {"input_ids", "attention_mask", "pixel_values"}
# in `_rank_batch`, the part of a row that a token belongs to; options are numbered from 1
_PADDING, _QUESTION = -1, 0


class ImageCacheBackend:
    """For models that take one run of image tokens per image and no image input but pixels, as LLaVA does.

    The cache holds `[tokens before the image, image tokens]` of up to one batch of images.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.image_token = int(processor.image_token_id)
        self._image_tokens: list[int] = []  # what the processor makes of one image
        self._images: list[Image.Image] = []
        self._cache: DynamicCache | None = None
        self._cached_ids: list[int] = []  # token ids of each cache row

    @classmethod
    def for_model(cls, model: Any, processor: Any) -> Self | None:
        """A backend, or None where keys and values cannot simply be shared.

        That is so for models with multi-dimensional positions, sliding windows or further image inputs.
        """
        # 1. by the configuration: every layer attends to all tokens before, and positions count them
        text = model.config.get_text_config(decoder=True)
        full_attention = set(getattr(text, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        rotary = getattr(text, "rope_parameters", None) or {}
        token = getattr(processor, "image_token_id", None)
        if (
            token is None
            or not full_attention
            or "mrope_section" in rotary
            or getattr(text, "sliding_window", None)
        ):
            return None
        # 2. by what the processor makes of one image: no other image input than pixels of the shape
        # (images, channels, height, width); tiles of an image would be a fifth dimension
        tiny = Image.new("RGB", (32, 32))
        inputs = processor(text=[processor.image_token], images=[[tiny]], return_tensors="pt")
        if (
            set(inputs) - {"token_type_ids", "mm_token_type_ids"} != _LLAVA_INPUTS
            or inputs["pixel_values"].dim() != 4
        ):
            return None
        backend = cls(model, processor)
        ids = inputs["input_ids"][0].tolist()
        # images of another size must give as many tokens, or the positions of the text would move
        other = processor(text=[processor.image_token], images=[[tiny.resize((48, 24))]], return_tensors="pt")
        if other["input_ids"].tolist() != [ids] or backend.image_token not in ids:
            return None
        first, last = ids.index(backend.image_token), len(ids) - ids[::-1].index(backend.image_token)
        backend._image_tokens = ids[first:last]
        # a separator within the run (rows of tiles) would need the image's size
        return backend if set(backend._image_tokens) == {backend.image_token} else None

    def supports(self, texts: Sequence[str], questions: Sequence[TokenizedQuestion]) -> bool:
        """Whether every question's prefix has exactly one image, the same tokens before it and some text after it."""
        prefixes = [question.prefix for question in questions]
        if any(ids.count(self.image_token) != 1 for ids in prefixes):
            return False
        before = {tuple(ids[: ids.index(self.image_token)]) for ids in prefixes}
        return len(before) == 1 and all(ids[-1] != self.image_token for ids in prefixes)

    def rank(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> list[list[float]]:
        """One score per option of every question; `texts` are in the questions already."""
        scores: list[list[float]] = [[] for _ in questions]
        prefixes = [question.prefix for question in questions]
        lengths = [len(question.prefix) + sum(map(len, question.options)) for question in questions]
        for batch, cache, cache_rows in self._batches(images, prefixes, lengths, batch_size):
            found = self._rank_batch([questions[i] for i in batch], cache, cache_rows)
            for i, row in zip(batch, found, strict=True):
                scores[i] = row
        return scores

    def generate(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """Token ids of greedy continuations of each question's prefix, without the end token."""
        prefixes = [question.prefix for question in questions]
        written: list[list[int]] = [[] for _ in prefixes]
        lengths = [len(ids) for ids in prefixes]
        for batch, cache, cache_rows in self._batches(images, prefixes, lengths, batch_size):
            behind = [self._after_image(prefixes[i]) for i in batch]
            continued = self._generate_batch(behind, cache, cache_rows, max_new_tokens)
            for i, ids in zip(batch, continued, strict=True):
                written[i] = ids
        return written

    def _batches(
        self, images: Sequence[Image.Image], prefixes: list[list[int]], lengths: list[int], batch_size: int
    ) -> Iterator[tuple[list[int], DynamicCache, list[int]]]:
        """(indices of questions of similar length, the cache of their images, each question's row in it).

        At most `batch_size` images are cached at a time, and all questions about them come before the next images.
        """
        for group, places in image_groups(images, batch_size):
            cache = self._cache_of(group, prefixes[0])
            by_length = sorted(places, key=lambda i: (lengths[i], i))
            for at in range(0, len(by_length), batch_size):
                batch = by_length[at : at + batch_size]
                yield batch, cache, [places[i] for i in batch]

    def _cache_of(self, images: list[Image.Image], prefix: list[int]) -> DynamicCache:
        """Keys and values up to the end of each image; the last result is reused for the same Image objects.

        One row an image; `prefix` is that of any question, since all have the same tokens before the image.
        """
        ids = prefix[: prefix.index(self.image_token)] + self._image_tokens
        if self._cache is None or not same_images(images, self._images) or ids != self._cached_ids:
            self.clear()  # free its memory before the new one is made
            with refusals():
                pixels = self.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
            cache = DynamicCache()
            self.model(
                input_ids=torch.tensor([ids] * len(images), device=self.model.device),
                pixel_values=pixels.to(self.model.device, self.model.dtype),
                past_key_values=cache,
                use_cache=True,
                # no logits are needed, but 0 would compute those of all tokens
                logits_to_keep=1,
            )
            # assigned together and only now: after an interrupt one image's cache must not pass for another's
            self._cache, self._images, self._cached_ids = cache, images, ids
        return self._cache

    def clear(self) -> None:
        """Drop the images' keys and values."""
        self._cache, self._images = None, []

    def _after_image(self, prefix: list[int]) -> list[int]:
        return prefix[prefix.index(self.image_token) + 1 :]

    def _rank_batch(
        self, questions: list[TokenizedQuestion], cache: DynamicCache, cache_rows: list[int]
    ) -> list[list[float]]:
        """Scores of all options, from one pass over rows `[padding, question, option A, option B, …, padding]`.

        Each option has the positions that it would have directly behind the question.
        """
        texts = [self._after_image(question.prefix) for question in questions]
        text_width = max(map(len, texts))
        options_width = max(sum(map(len, question.options)) for question in questions)
        n_cached, shape = len(self._cached_ids), (len(questions), text_width + options_width)
        # filled row by row on the CPU, and moved to the device once
        ids = torch.full(shape, padding_token_id(self.processor))
        positions = torch.zeros(shape, dtype=torch.long)
        part = torch.full(shape, _PADDING)
        targets: list[ScoredToken] = []
        n_options = 0
        for row, (text, question) in enumerate(zip(texts, questions, strict=True)):
            # questions end in one column, so that the options of every row begin in column `text_width`
            text_columns = slice(text_width - len(text), text_width)
            ids[row, text_columns] = torch.tensor(text)
            positions[row, text_columns] = torch.arange(n_cached, n_cached + len(text))
            part[row, text_columns] = _QUESTION
            at, start = text_width, n_cached + len(text)
            for number, tokens in enumerate(question.options, 1):
                end = at + len(tokens)
                ids[row, at:end] = torch.tensor(tokens)
                positions[row, at:end] = torch.arange(start, start + len(tokens))
                part[row, at:end] = number
                # kept logits begin at the question's last token (index 0), which predicts any option's first token
                targets += [
                    (row, at - text_width + j if j else 0, token, n_options) for j, token in enumerate(tokens)
                ]
                at, n_options = end, n_options + 1
        logits = self.model(
            input_ids=ids.to(self.model.device),
            position_ids=positions.to(self.model.device),
            attention_mask=self._tree_mask(part.to(self.model.device)),
            past_key_values=_copied_rows(cache, cache_rows),
            use_cache=True,
            logits_to_keep=options_width + 1,
        ).logits
        scores = iter(mean_log_probabilities(logits, targets, n_options))
        return [[next(scores) for _ in question.options] for question in questions]

    def _tree_mask(self, part: torch.Tensor) -> torch.Tensor:
        """Attention mask `(rows, 1, new, cached + new)`, added to the attention scores: 0 or the dtype's minimum.

        A token sees the cached image, the question and its own option, each up to itself. `part` is `(rows, new)`.
        """
        new = part.shape[1]
        causal = torch.ones(new, new, dtype=torch.bool, device=part.device).tril()
        # [row, query, key]: the key is of the question, or of the same part as the query
        related = (part[:, None, :] == _QUESTION) | (part[:, None, :] == part[:, :, None])
        # the last condition hides padding from all tokens, from other padding too
        seen = related & causal & (part[:, None, :] > _PADDING)
        cached = torch.ones(*part.shape, len(self._cached_ids), dtype=torch.bool, device=part.device)
        seen = torch.cat([cached, seen], dim=2)[:, None]
        low = torch.finfo(self.model.dtype).min
        return torch.zeros(seen.shape, dtype=self.model.dtype, device=part.device).masked_fill_(~seen, low)

    def _generate_batch(
        self, texts: list[list[int]], cache: DynamicCache, cache_rows: list[int], max_new_tokens: int
    ) -> list[list[int]]:
        """Greedy continuations of `texts` (token ids behind the image), padded on the left."""
        device, n_cached, width = self.model.device, len(self._cached_ids), max(map(len, texts))
        pad = padding_token_id(self.processor)
        ids = torch.tensor([[pad] * (width - len(text)) + text for text in texts], device=device)
        lengths = torch.tensor([len(text) for text in texts], device=device)
        # offset of each column from the first token of the row's text; negative on padding
        offset = torch.arange(width, device=device)[None] - (width - lengths)[:, None]
        # in each row 1 for the cached image, 0 for padding, 1 for the text
        mask = torch.cat([torch.ones(len(texts), n_cached, device=device), offset >= 0], dim=1).long()
        positions = n_cached + offset.clamp(min=0)
        ends = torch.tensor(self._end_tokens(), device=device)
        past = _copied_rows(cache, cache_rows)
        written, unfinished = [], torch.ones(len(texts), dtype=torch.bool, device=device)
        for _ in range(max_new_tokens):
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            token = out.logits[:, -1].argmax(-1)
            unfinished = unfinished & ~torch.isin(token, ends)
            # -1 stands for the end token and all after it, and is removed below
            written.append(torch.where(unfinished, token, -1))
            if not unfinished.any():
                break
            # from the second pass on only the new token is fed, one position further
            ids, positions = token[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(texts), 1)], dim=1)
        return [[token for token in row if token >= 0] for row in torch.stack(written, 1).tolist()]

    def _end_tokens(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        found = ends if isinstance(ends, list) else [ends]
        return [int(end) for end in [*found, self.processor.tokenizer.eos_token_id] if end is not None]


def _copied_rows(cache: DynamicCache, rows: list[int]) -> DynamicCache:
    """A copy that holds the given rows; it grows with the questions, the original stays as it is."""
    layers: list[Any] = cache.layers
    index = torch.tensor(rows)  # indices on the CPU select from layers on any device
    return DynamicCache(ddp_cache_data=[(layer.keys[index], layer.values[index]) for layer in layers])
