"""Step 1, ranking: the tokens of a question and its options, and the score of each option.

An option's score is the mean log-probability of its tokens behind the prompt and `The answer is`, at most 0.
Source: MLLM-DataEngine's evaluation, which takes the option of the lowest mean token cross-entropy.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from dataengine_lib.students.inputs import has_bidirectional_prompt, token_ids

# (row, position) of the logits that predict the token, the token's id, and the number of its option in the batch
ScoredToken = tuple[int, int, int, int]


class TokenizedQuestion(NamedTuple):
    """A question's token ids, split where its options begin to differ.

    `[prompt, answer_start, option]` is the whole text of one option. `prompt` holds an image as one token and lacks
    its own last `dropped` tokens, which change when an answer follows (a tokenizer may merge over the seam).
    """

    prompt: list[int]
    dropped: int
    answer_start: list[int]
    options: list[list[int]]

    @property
    def prefix(self) -> list[int]:
        """The tokens that all options have in common."""
        return self.prompt + self.answer_start


def tokenize_question(
    processor: Any, prompt: str, prefix: str, options: Sequence[str], *, separate_answer: bool = False
) -> TokenizedQuestion:
    """The tokens of `prompt`, of `prefix` (the prompt and the start of the answer), and of the options behind it.

    Each text is tokenized as a whole, as in training; where a tokenizer merges characters of two parts, the seam
    between them moves forward. With `separate_answer` (an encoder-decoder) the answer is tokenized by itself, and
    the result holds no token of the prompt.
    """
    if separate_answer or has_bidirectional_prompt(processor):
        # the white space that separates prompt and answer belongs to neither
        start = prefix[len(prompt) :].lstrip()
        tokenizer = processor.tokenizer
        ids = tokenizer([start, *(start + option for option in options)], add_special_tokens=False).input_ids
        return _split_at_seams([], *ids)
    return _split_at_seams(*token_ids(processor, [prompt, prefix, *(prefix + option for option in options)]))


def _split_at_seams(prompt: list[int], prefix: list[int], *texts: list[int]) -> TokenizedQuestion:
    """Split where the token ids stop being equal: prompt against all texts, prefix against the options' texts."""
    # prompt [1, 2, 3], prefix [1, 2, 7], text [1, 2, 7, 8]: the prompt ends after [1, 2], one token is dropped
    prompt_end = min(common_length(prompt, ids) for ids in [prefix, *texts])
    prefix_end = max(prompt_end, min((common_length(prefix, ids) for ids in texts), default=len(prefix)))
    return TokenizedQuestion(
        prompt[:prompt_end],
        len(prompt) - prompt_end,
        prefix[prompt_end:prefix_end],
        [ids[prefix_end:] for ids in texts],
    )


def common_length(one: list[int], other: list[int]) -> int:
    """How many leading token ids two texts share."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def option_scores(logits: torch.Tensor, questions: Sequence[TokenizedQuestion]) -> list[list[float]]:
    """One score per option of every question.

    `logits` is `(options, tokens, vocabulary)`, one row an option, in the order of the questions. A row's first
    logits predict the first token of `answer_start`, the next ones the tokens that follow it.
    """
    targets: list[ScoredToken] = []
    row = 0
    for question in questions:
        start = len(question.answer_start)
        for option in question.options:
            targets += [(row, start + j, token, row) for j, token in enumerate(option)]
            row += 1
    scores = iter(mean_log_probabilities(logits, targets, row))
    return [[next(scores) for _ in question.options] for question in questions]


def mean_log_probabilities(
    logits: torch.Tensor, targets: Sequence[ScoredToken], n_options: int
) -> list[float]:
    """Mean log-probability of the tokens of each option, `(n_options,)`, computed in float32.

    `logits` is `(rows, positions, vocabulary)`.
    """
    # only the logits of scored tokens are taken to float32: a vocabulary has up to 256,000 entries
    row, position, token, option = torch.tensor(targets, device=logits.device).T
    loss = F.cross_entropy(logits[row, position].float(), token, reduction="none")
    total = torch.zeros(n_options, device=logits.device).index_add_(0, option, loss)
    count = torch.bincount(option, minlength=n_options)
    return (-total / count).tolist()
