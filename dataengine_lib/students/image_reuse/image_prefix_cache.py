"""Step 1: keys and values of an image, and of the text before it, reused by all its questions, for any decoder-only family.

Only the model's own forward pass is used, so that an image may have any inputs and number of tokens (tiles, patches of its
own size, several positions at once). Its tokens must not see what comes behind them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import torch
from PIL import Image
from transformers import DynamicCache

from dataengine_lib.students.image_reuse.image_groups import image_groups, same_images
from dataengine_lib.students.image_reuse.option_tree import options_fit_a_tree, tree_scores
from dataengine_lib.students.image_reuse.read_prefixes import ReadPrefixes
from dataengine_lib.students.inputs import (
    RowSuffix,
    append_tokens,
    encode_prompts,
    has_bidirectional_prompt,
    padding_token_id,
)
from dataengine_lib.students.option_scores import TokenizedQuestion, option_scores


class _Mark(NamedTuple):
    """What stands for the image in a text: a token and its id."""

    token: str
    id: int


class ImagePrefixBackend:
    """Ranks and generates; holds the keys and values of up to one batch of images.

    All options of a question are ranked in one pass where they fit a tree, else in a row each.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self._marks = _marks(processor)
        self._as_tree = options_fit_a_tree(model)
        # a window counts padding between the image and the question's text, so that texts of one length share a pass
        self._equal_lengths = bool(
            getattr(model.config.get_text_config(decoder=True), "sliding_window", None)
        )
        self._images: list[Image.Image] = []
        self._head = ""
        self._read: ReadPrefixes | None = None

    @classmethod
    def for_model(cls, model: Any, processor: Any) -> Self | None:
        """A backend, or None where the image's keys and values depend on the question, or lie elsewhere.

        That is so for prompts with attention in both directions, a Q-Former (which may read the question), layers of
        cross-attention to the image, and layers whose state is not a list of keys.
        """
        text = model.config.get_text_config(decoder=True)
        kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
        if (
            has_bidirectional_prompt(processor)
            or hasattr(model.config, "qformer_config")
            or hasattr(text, "cross_attention_layers")
            or not kinds <= {"full_attention", "sliding_attention"}
        ):
            return None
        return cls(model, processor)

    def supports(self, texts: Sequence[str], questions: Sequence[TokenizedQuestion]) -> bool:
        """Whether every text has exactly one image, the same text before it, and a word directly behind it or none."""
        heads = {self._split(text, question) for text, question in zip(texts, questions, strict=True)}
        return len(heads) == 1 and None not in heads

    def _split(self, text: str, question: TokenizedQuestion) -> str | None:
        """The text up to the end of the image's mark; None where there is no such place.

        Tokens must not join over it: behind a processor's `<end of image>` and line breaks no white space may follow.
        """
        mark = self._mark_of(question)
        if mark is None or text.count(mark.token) != 1:
            return None
        end = text.index(mark.token) + len(mark.token)
        # only Gemma 3's processor writes more than the special tokens of the image
        begins_image = mark.token == getattr(self.processor, "boi_token", None)
        return None if begins_image and text[end : end + 1].isspace() else text[:end]

    def _mark_of(self, question: TokenizedQuestion) -> _Mark | None:
        return next((mark for mark in self._marks if question.prompt.count(mark.id) == 1), None)

    def rank(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> list[list[float]]:
        """One score per option of every question."""
        scores: list[list[float]] = [[] for _ in questions]
        if self._as_tree:
            sizes = [(0, len(one.prefix) + sum(map(len, one.options))) for one in questions]
        else:  # a row an option: questions with as many options share a pass
            sizes = [(len(one.options), len(self._tail(one))) for one in questions]
        for batch, read in self._batches(images, texts, questions, sizes, batch_size):
            found = self._rank_batch(read, [questions[i] for i in batch])
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
        written: list[list[int]] = [[] for _ in questions]
        sizes = [(0, len(one.prefix)) for one in questions]
        for batch, read in self._batches(images, texts, questions, sizes, batch_size):
            continued = self._generate_batch(read, [questions[i] for i in batch], max_new_tokens)
            for i, ids in zip(batch, continued, strict=True):
                written[i] = ids
        return written

    def clear(self) -> None:
        """Drop the images' keys and values."""
        self._images, self._read = [], None

    def _batches(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        sizes: Sequence[tuple[int, int]],
        batch_size: int,
    ) -> Iterator[tuple[list[int], ReadPrefixes]]:
        """(indices of questions that share a pass, what was read of their images).

        `sizes[i]` is (kind, length) of question i: only questions of one kind share a pass, those of similar length. At
        most `batch_size` images are held at a time, and all questions about them come before the next images.
        """
        head = self._split(texts[0], questions[0]) or ""
        for group, places in image_groups(images, batch_size):
            read = self._read_images(group, head)
            alike: dict[tuple[int, int], list[int]] = {}
            for i in sorted(places, key=lambda i: (sizes[i][1], i)):
                kind, length = sizes[i]
                alike.setdefault((kind, length if self._equal_lengths else 0), []).append(i)
            for same in alike.values():
                for at in range(0, len(same), batch_size):
                    batch = same[at : at + batch_size]
                    yield batch, read.select([places[i] for i in batch])

    def _read_images(self, images: list[Image.Image], head: str) -> ReadPrefixes:
        """The images with the text before them, one row each; the last result is reused for the same Image objects."""
        if self._read is None or not same_images(images, self._images) or head != self._head:
            self.clear()  # free its memory before the new one is made
            encoded = encode_prompts(self.processor, [head] * len(images), images)
            rows = [RowSuffix(row, 0, []) for row in range(len(images))]
            inputs = append_tokens(self.processor, encoded, rows, "left")
            inputs = inputs.to(self.model.device, self.model.dtype)
            cache = DynamicCache()
            self.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            mask = inputs["attention_mask"]
            # assigned together and only now: after an interrupt one image's cache must not pass for another's
            self._read, self._images, self._head = (
                ReadPrefixes(cache, mask, self._next_positions(mask)),
                images,
                head,
            )
        return self._read

    def _next_positions(self, mask: torch.Tensor) -> torch.Tensor:
        """The position behind each row, `(rows, 1)`."""
        delta = getattr(self.model.base_model, "rope_deltas", None)
        if delta is None:  # positions are columns, also behind padding on the left: only differences count
            return torch.full((len(mask), 1), mask.shape[1], device=mask.device)
        # Qwen-VL counts from the first token that is no padding, and an image takes fewer positions than tokens
        return mask.sum(1, keepdim=True) + delta.reshape(len(mask), 1).to(mask)

    def _tail(self, question: TokenizedQuestion) -> list[int]:
        """The tokens of the prompt behind the image."""
        mark = self._mark_of(question)
        return question.prompt[question.prompt.index(mark.id) + 1 :] if mark else []

    def _rank_batch(self, read: ReadPrefixes, questions: list[TokenizedQuestion]) -> list[list[float]]:
        if self._as_tree:
            behind = [self._tail(question) + question.answer_start for question in questions]
            return tree_scores(self.model, padding_token_id(self.processor), read, behind, questions)
        first, read = self._continue(read, [self._tail(question) for question in questions], last_only=True)
        n_options = len(questions[0].options)
        answers = [question.answer_start + option for question in questions for option in question.options]
        # the prompt's last logits predict the first token of each answer, another pass the others
        logits = first.repeat_interleave(n_options, dim=0)
        if max(map(len, answers)) > 1:
            options = read.select([row for row in range(len(questions)) for _ in range(n_options)])
            later, _ = self._continue(options, [tokens[:-1] for tokens in answers], last_only=False)
            logits = torch.cat([logits, later], dim=1)
        return option_scores(logits, questions)

    def _generate_batch(
        self, read: ReadPrefixes, questions: list[TokenizedQuestion], max_new_tokens: int
    ) -> list[list[int]]:
        ends = torch.tensor(self._end_tokens(), device=self.model.device)
        texts = [self._tail(question) + question.answer_start for question in questions]
        unfinished = torch.ones(len(questions), dtype=torch.bool, device=self.model.device)
        written = []
        for _ in range(max_new_tokens):
            logits, read = self._continue(read, texts, last_only=True)
            token = logits[:, -1].argmax(-1).to(unfinished.device)
            unfinished = unfinished & ~torch.isin(token, ends)
            # -1 stands for the end token and all after it, and is removed below
            written.append(torch.where(unfinished, token, -1))
            if not unfinished.any():
                break
            texts = [[one] for one in token.tolist()]
        return [[token for token in row if token >= 0] for row in torch.stack(written, 1).tolist()]

    def _end_tokens(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        found = ends if isinstance(ends, list) else [ends]
        return [int(end) for end in [*found, self.processor.tokenizer.eos_token_id] if end is not None]

    def _continue(
        self, read: ReadPrefixes, texts: list[list[int]], *, last_only: bool
    ) -> tuple[torch.Tensor, ReadPrefixes]:
        """Logits behind the tokens of each row, and what was read with them; the cache of `read` grows.

        With `last_only` texts end in one column, and the logits are `(rows, 1, vocabulary)`; else they begin in one, and
        the logits are `(rows, longest text, vocabulary)`.
        """
        device, width = read.mask.device, max(map(len, texts))
        pad = padding_token_id(self.processor)
        ids = torch.full((len(texts), width), pad)
        new = torch.zeros(len(texts), width, dtype=read.mask.dtype)
        for row, tokens in enumerate(texts):
            columns = slice(width - len(tokens), width) if last_only else slice(0, len(tokens))
            ids[row, columns] = torch.tensor(tokens, dtype=torch.long)
            new[row, columns] = 1
        mask = torch.cat([read.mask, new.to(device)], dim=1)
        # padding has the position of the first token; it is masked
        offsets = (new.cumsum(1) - 1).clamp(min=0).to(device)
        positions = read.positions + offsets
        if getattr(self.model.base_model, "rope_deltas", None) is not None:
            positions = positions.expand(3, -1, -1)  # time, height and width, which are equal for text
        logits: torch.Tensor = self.model(
            input_ids=ids.to(device),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=read.cache,
            use_cache=True,
            **({"logits_to_keep": 1} if last_only else {}),
        ).logits
        lengths = new.sum(1, keepdim=True).to(device)
        return logits[:, -1:] if last_only else logits, ReadPrefixes(
            read.cache, mask, read.positions + lengths
        )


def _marks(processor: Any) -> list[_Mark]:
    """The tokens that may stand for an image in a text: its own, or the one that begins it (Gemma 3)."""
    tokenizer = processor.tokenizer
    names = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    found = [_Mark(str(name), tokenizer.convert_tokens_to_ids(str(name))) for name in names if name]
    return [mark for mark in found if mark.id is not None and mark.id != tokenizer.unk_token_id]
