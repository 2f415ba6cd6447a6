"""Step 1 without any cache: the whole text of every option in a pass of its own. Slower, and right for every family."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image
from transformers import GenerationConfig

from dataengine_lib.students.inputs import RowSuffix, append_tokens, encode_prompts, padding_token_id
from dataengine_lib.students.option_scores import ScoredToken, TokenizedQuestion, mean_log_probabilities


class UncachedBackend:
    """Ranks and generates; keeps nothing between passes."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    def rank(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
    ) -> list[list[float]]:
        """One score per option of every question; texts of similar length share a batch, for little padding."""
        # (question, option) of every text
        texts = [(i, k) for i, question in enumerate(questions) for k in range(len(question.options))]
        texts.sort(
            key=lambda text: (
                len(questions[text[0]].prefix) + len(questions[text[0]].options[text[1]]),
                text,
            )
        )
        scores = [[0.0] * len(question.options) for question in questions]
        for at in range(0, len(texts), batch_size):
            batch = texts[at : at + batch_size]
            inputs = self._inputs(
                [images[i] for i, _ in batch],
                [prompts[i] for i, _ in batch],
                [
                    RowSuffix(row, questions[i].dropped, questions[i].answer_start + questions[i].options[k])
                    for row, (i, k) in enumerate(batch)
                ],
                padding_side="right",
            )
            logits = self.model(**inputs, use_cache=False).logits
            targets: list[ScoredToken] = []
            for row, (i, k) in enumerate(batch):
                option = questions[i].options[k]
                # with padding on the right, the option is the last of the tokens that the mask counts
                start = int(inputs["attention_mask"][row].sum()) - len(option)
                # the logits at a position predict the token after it
                targets += [(row, start + j - 1, token, row) for j, token in enumerate(option)]
            found = mean_log_probabilities(logits, targets, len(batch))
            for (i, k), score in zip(batch, found, strict=True):
                scores[i][k] = score
        return scores

    def generate(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        questions: Sequence[TokenizedQuestion],
        batch_size: int,
        max_new_tokens: int,
    ) -> list[list[int]]:
        """The token ids that the model's own greedy search writes behind each question's `answer_start`."""
        order = sorted(range(len(prompts)), key=lambda i: (len(questions[i].prefix), len(prompts[i]), i))
        written: list[list[int]] = [[] for _ in prompts]
        for at in range(0, len(order), batch_size):
            batch = order[at : at + batch_size]
            inputs = self._inputs(
                [images[i] for i in batch],
                [prompts[i] for i in batch],
                [
                    RowSuffix(row, questions[i].dropped, questions[i].answer_start)
                    for row, i in enumerate(batch)
                ],
                padding_side="left",  # generation goes on from the last column of every row
            )
            with greedy_generation(self.model):
                ids = self.model.generate(
                    **inputs, max_new_tokens=max_new_tokens, do_sample=False,
                    pad_token_id=padding_token_id(self.processor),
                )  # fmt: skip
            for i, new_ids in zip(batch, ids[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                written[i] = new_ids
        return written

    def _inputs(
        self, images: list[Image.Image], prompts: list[str], suffixes: list[RowSuffix], padding_side: str
    ) -> Any:
        encoded = encode_prompts(self.processor, prompts, images)
        inputs = append_tokens(self.processor, encoded, suffixes, padding_side)
        return inputs.to(self.model.device, self.model.dtype)


@contextmanager
def greedy_generation(model: Any) -> Iterator[None]:
    """Within the block `model.generate` takes the likeliest token each time, whatever the checkpoint's settings say.

    Only the end, padding and start tokens of its settings are kept. The settings are replaced on the model, since
    `generate` would fill up a config that it is handed with the model's own penalties; they are restored
    afterwards, because they are saved with the model.
    """
    # BLIP-2's and InstructBLIP's outer model leaves generation to the inner language model
    models = [model, *([model.language_model] if hasattr(model.config, "qformer_config") else [])]
    own = [each.generation_config for each in models]
    for each, settings in zip(models, own, strict=True):
        kept = {key: getattr(settings, key, None) for key in ("eos_token_id", "pad_token_id", "bos_token_id")}
        each.generation_config = GenerationConfig(**kept)
    try:
        yield
    finally:
        for each, settings in zip(models, own, strict=True):
            each.generation_config = settings
