"""Step 1 for encoder-decoders (BLIP-2, InstructBLIP, Florence-2): the encoder reads image and prompt once a question.

The decoder writes the answer, beginning with its start token; all options continue from the same encoder output.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutput

from dataengine_lib.students.inputs import encode_prompts, padding_token_id
from dataengine_lib.students.option_scores import TokenizedQuestion, option_scores
from dataengine_lib.students.uncached import greedy_generation


def is_encoder_decoder(config: Any) -> bool:
    """Whether a model of this config reads its prompt in an encoder and writes its answer in a decoder."""
    return bool(config.get_text_config(decoder=True).is_encoder_decoder)


def answer_begin(processor: Any) -> list[int]:
    """The special tokens that stand before an answer's text: `<s>` of BART (Florence-2), none of T5.

    The decoder writes them behind its start token.
    """
    tokenizer = processor.tokenizer
    ids: list[int] = tokenizer("").input_ids
    return [token for token in ids if token != tokenizer.eos_token_id]


class EncoderDecoderBackend:
    """Ranks and generates; in the questions it takes, the answer alone is tokenized (`prompt` is empty)."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        text = model.config.get_text_config(decoder=True)
        self.start = [int(text.decoder_start_token_id), *answer_begin(processor)]
        # BLIP-2's outer model gives what its language model made, and takes no encoder output
        self.language_model = model.language_model if hasattr(model.config, "qformer_config") else model

    def rank(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> list[list[float]]:
        """One score per option of every question; prompts of similar length share a batch."""
        order = sorted(range(len(questions)), key=lambda i: (len(prompts[i]), i))
        scores: list[list[float]] = [[] for _ in questions]
        for at in range(0, len(order), batch_size):
            batch = order[at : at + batch_size]
            inputs = self._inputs([images[i] for i in batch], [prompts[i] for i in batch])
            found = self._rank_batch(inputs, [questions[i] for i in batch])
            for i, row in zip(batch, found, strict=True):
                scores[i] = row
        return scores

    def _inputs(self, images: list[Image.Image], prompts: list[str]) -> Any:
        return encode_prompts(self.processor, prompts, images).to(self.model.device, self.model.dtype)

    def _rank_batch(self, inputs: Any, questions: list[TokenizedQuestion]) -> list[list[float]]:
        start = torch.tensor([self.start] * len(questions), device=self.model.device)
        found = self.model(**inputs, decoder_input_ids=start, use_cache=True)
        first = getattr(found, "language_model_outputs", found)
        # the question of each option; indices on the CPU select from layers on any device
        # (for two questions with two and three options: [0, 0, 1, 1, 1])
        question_of = torch.tensor([n for n, question in enumerate(questions) for _ in question.options])
        answers = [question.answer_start + option for question in questions for option in question.options]
        logits = first.logits[question_of, -1:]
        # the logits of the start predict the first token of each answer, a second pass predicts the others
        if (width := max(map(len, answers)) - 1) > 0:
            cache, pad = first.past_key_values, padding_token_id(self.processor)
            cache.batch_select_indices(question_of)
            # padding on the right comes after all that is scored, and changes nothing before it
            ids = [tokens[:-1] + [pad] * (width - len(tokens) + 1) for tokens in answers]
            later = self.language_model(
                decoder_input_ids=torch.tensor(ids, device=self.model.device),
                encoder_outputs=BaseModelOutput(first.encoder_last_hidden_state[question_of]),
                attention_mask=inputs["attention_mask"][question_of],
                past_key_values=cache,
                use_cache=True,
            ).logits
            logits = torch.cat([logits, later], dim=1)
        return option_scores(logits, questions)

    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """The token ids that the model's own greedy search writes behind each question's `answer_start`."""
        order = sorted(
            range(len(questions)), key=lambda i: (len(questions[i].answer_start), len(prompts[i]), i)
        )
        written: list[list[int]] = [[] for _ in questions]
        at = 0
        while at < len(order):
            length = len(questions[order[at]].answer_start)  # starts of one length need no padding
            # the order is by this length, so the questions that have it are the first of the slice
            batch = [i for i in order[at : at + batch_size] if len(questions[i].answer_start) == length]
            inputs = self._inputs([images[i] for i in batch], [prompts[i] for i in batch])
            start = torch.tensor(
                [[*self.start, *questions[i].answer_start] for i in batch], device=self.model.device
            )
            with greedy_generation(self.model):
                ids = self.model.generate(
                    **inputs, decoder_input_ids=start, decoder_start_token_id=self.start[0],
                    max_new_tokens=max_new_tokens, do_sample=False,
                    pad_token_id=padding_token_id(self.processor),
                )  # fmt: skip
            for i, new_ids in zip(batch, ids[:, start.shape[1] :].tolist(), strict=True):
                written[i] = new_ids
            at += len(batch)
        return written
