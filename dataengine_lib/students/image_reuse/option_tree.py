"""Step 1, ranking: all options of a question in one pass, from what was read of its image.

The tokens of image, question and options form a tree; an attention mask hides a question's options from each other. The
scores are those of one plain pass per option.
"""

from collections.abc import Sequence
from typing import Any

import torch

from dataengine_lib.students.image_reuse.read_prefixes import ReadPrefixes
from dataengine_lib.students.option_scores import ScoredToken, TokenizedQuestion, mean_log_probabilities

# the part of a row that a token belongs to; options are numbered from 1
_PADDING, _QUESTION = -1, 0


def options_fit_a_tree(model: Any) -> bool:
    """Whether every layer attends to all tokens before, and positions count them one by one."""
    text = model.config.get_text_config(decoder=True)
    rotary = getattr(text, "rope_parameters", None) or {}
    return (
        set(getattr(text, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and "mrope_section" not in rotary
        and not getattr(text, "sliding_window", None)
    )


def tree_scores(
    model: Any,
    padding: int,
    read: ReadPrefixes,
    texts: Sequence[list[int]],
    questions: Sequence[TokenizedQuestion],
) -> list[list[float]]:
    """Scores of all options, from one pass over rows `[padding, question, option A, option B, …, padding]`.

    `texts[i]` are the tokens of question i behind its image; each option has the positions that it would have directly
    behind them. The cache of `read` grows. `padding` is the id of the token that fills rows.
    """
    text_width = max(map(len, texts))
    options_width = max(sum(map(len, question.options)) for question in questions)
    shape = (len(questions), text_width + options_width)
    # filled row by row on the CPU, and moved to the device once
    ids = torch.full(shape, padding)
    offsets = torch.zeros(shape, dtype=torch.long)  # from the position behind what was read
    part = torch.full(shape, _PADDING)
    targets: list[ScoredToken] = []
    n_options = 0
    for row, (text, question) in enumerate(zip(texts, questions, strict=True)):
        # questions end in one column, so that the options of every row begin in column `text_width`
        text_columns = slice(text_width - len(text), text_width)
        ids[row, text_columns] = torch.tensor(text)
        offsets[row, text_columns] = torch.arange(len(text))
        part[row, text_columns] = _QUESTION
        at = text_width
        for number, tokens in enumerate(question.options, 1):
            end = at + len(tokens)
            ids[row, at:end] = torch.tensor(tokens)
            offsets[row, at:end] = torch.arange(len(text), len(text) + len(tokens))
            part[row, at:end] = number
            # kept logits begin at the question's last token (index 0), which predicts any option's first token
            targets += [
                (row, at - text_width + j if j else 0, token, n_options) for j, token in enumerate(tokens)
            ]
            at, n_options = end, n_options + 1
    device = model.device
    logits = model(
        input_ids=ids.to(device),
        position_ids=read.positions.to(device) + offsets.to(device),
        attention_mask=_tree_mask(part.to(device), read.mask.to(device), model.dtype),
        past_key_values=read.cache,
        use_cache=True,
        logits_to_keep=options_width + 1,
    ).logits
    scores = iter(mean_log_probabilities(logits, targets, n_options))
    return [[next(scores) for _ in question.options] for question in questions]


def _tree_mask(part: torch.Tensor, read: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Attention mask `(rows, 1, new, read + new)`, added to the attention scores: 0 or the dtype's minimum.

    A token sees what was read, the question and its own option, each up to itself. `part` is `(rows, new)`, and `read`
    `(rows, read)`, 0 for padding.
    """
    new = part.shape[1]
    causal = torch.ones(new, new, dtype=torch.bool, device=part.device).tril()
    # [row, query, key]: the key is of the question, or of the same part as the query
    related = (part[:, None, :] == _QUESTION) | (part[:, None, :] == part[:, :, None])
    # the last condition hides padding from all tokens, from other padding too
    seen = related & causal & (part[:, None, :] > _PADDING)
    before = read.bool()[:, None, :].expand(-1, new, -1)
    seen = torch.cat([before, seen], dim=2)[:, None]
    low = torch.finfo(dtype).min
    return torch.zeros(seen.shape, dtype=dtype, device=part.device).masked_fill_(~seen, low)
