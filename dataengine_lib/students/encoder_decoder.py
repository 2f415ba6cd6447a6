"""Step 1 for encoder-decoders (BLIP-2 and InstructBLIP on T5): the encoder reads image and prompt once a question.

The decoder writes the answer, beginning with its start token; all options go on from what the encoder has read.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from dataengine_lib.students.inputs import encode, padding
from dataengine_lib.students.option_scores import Piece, option_scores
from dataengine_lib.students.uncached import greedy


def is_encoder_decoder(config: Any) -> bool:
    """Whether a model of this config reads its prompt in one part and writes its answer in another."""
    return bool(config.get_text_config(decoder=True).is_encoder_decoder)


class EncoderDecoder:
    """Ranks and writes; in the pieces it takes, all of the answer is in `lead` and `options`."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self.start = int(model.language_model.config.decoder_start_token_id)

    def rank(
        self, images: Sequence[Image.Image], prompts: Sequence[str], pieces: Sequence[Piece], batch_size: int
    ) -> list[list[float]]:
        """One score per option of every piece; questions of similar length go together."""
        order = sorted(range(len(pieces)), key=lambda i: (len(prompts[i]), i))
        scores: list[list[float]] = [[] for _ in pieces]
        for at in range(0, len(order), batch_size):
            rows = order[at : at + batch_size]
            inputs = self._inputs([images[i] for i in rows], [prompts[i] for i in rows])
            for i, row in zip(rows, self._rank_batch(inputs, [pieces[i] for i in rows]), strict=True):
                scores[i] = row
        return scores

    def _inputs(self, images: list[Image.Image], prompts: list[str]) -> Any:
        return encode(self.processor, prompts, images).to(self.model.device, self.model.dtype)

    def _rank_batch(self, inputs: Any, pieces: list[Piece]) -> list[list[float]]:
        start = torch.full((len(pieces), 1), self.start, device=self.model.device)
        read = self.model(**inputs, decoder_input_ids=start, use_cache=True).language_model_outputs
        # indices on the CPU select from layers on any device
        which = torch.tensor([n for n, piece in enumerate(pieces) for _ in piece.options])
        behind = [piece.lead + option for piece in pieces for option in piece.options]
        logits = read.logits[which]
        if (new := max(map(len, behind)) - 1) > 0:
            cache, pad = read.past_key_values, padding(self.processor)
            cache.batch_select_indices(which)
            # padding on the right comes after all that is scored, and changes nothing before it
            ids = [tokens[:-1] + [pad] * (new - len(tokens) + 1) for tokens in behind]
            later = self.model.language_model(
                decoder_input_ids=torch.tensor(ids, device=self.model.device),
                encoder_outputs=(read.encoder_last_hidden_state[which],),
                attention_mask=inputs["attention_mask"][which],
                past_key_values=cache,
                use_cache=True,
            ).logits
            logits = torch.cat([logits, later], dim=1)
        return option_scores(logits, pieces)

    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        pieces: Sequence[Piece],
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """What the model's own greedy search writes behind each piece's beginning."""
        order = sorted(range(len(pieces)), key=lambda i: (len(pieces[i].lead), len(prompts[i]), i))
        written: list[list[int]] = [[] for _ in pieces]
        at = 0
        while at < len(order):
            said = len(pieces[order[at]].lead)  # beginnings of one length need no padding
            rows = [i for i in order[at : at + batch_size] if len(pieces[i].lead) == said]
            inputs = self._inputs([images[i] for i in rows], [prompts[i] for i in rows])
            start = torch.tensor([[self.start, *pieces[i].lead] for i in rows], device=self.model.device)
            with greedy(self.model):
                ids = self.model.generate(
                    **inputs, decoder_input_ids=start, decoder_start_token_id=self.start,
                    max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=padding(self.processor),
                )  # fmt: skip
            for i, row in zip(rows, ids[:, start.shape[1] :].tolist(), strict=True):
                written[i] = row
            at += len(rows)
        return written
