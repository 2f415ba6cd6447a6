"""A student's inputs (steps 1 and 5): the text of prompt and answer, and its tensors, for every family.

Only prompts go through the processor; the answer's tokens are appended to its result. So a Q-Former that reads the
text (InstructBLIP), or a prompt with bidirectional attention (PaliGemma), never sees the answer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image

from dataengine_lib.core.text import one_line
from dataengine_lib.core.user_files.bounded_template import (
    BoundedEnvironment,
    GenerationBlocks,
    TooMuchWork,
    template_line,
)
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.interface import InputRefused

ANSWER_START = "The answer is"
_IMAGE_FIRST = ("InstructBlipProcessor", "Blip2Processor")  # these put the image before the text themselves
_TYPE_KEYS = ("token_type_ids", "mm_token_type_ids")
# Mllama: which tiles of the image a token attends to, (rows, tokens, images, tiles)
_CROSS_ATTENTION_KEY = "cross_attention_mask"
# inputs with one value per token, as against those of the image
PER_TOKEN_KEYS = ("input_ids", "attention_mask", *_TYPE_KEYS, _CROSS_ATTENTION_KEY)


def chat_text(processor: Any, instruction: str, answer: str | None = None) -> tuple[str, str]:
    """(prompt, prompt + answer + end of turn) as the processor's chat template writes one question about one image.

    Scoring and training both take their texts from here, so that what is scored is what was learnt. Special
    tokens inside `instruction` and `answer` are escaped. Without `answer` both texts are the prompt.
    Raises DataEngineError for a template that does not write the image exactly once.
    """
    instruction = escape_special_tokens(processor, instruction)
    end = processor.tokenizer.eos_token or ""
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}
    found = _templated(processor, user)
    if found is None:
        prompt = _plain_prompt(processor, instruction)
        if answer is None:
            return prompt, prompt
        return prompt, f"{prompt} {escape_special_tokens(processor, answer)}{end}"
    prompt, template = found
    if answer is None:
        return prompt, prompt
    answer = escape_special_tokens(processor, answer)
    reply = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    full = _apply(processor, [user, reply], template)
    if not full.startswith(prompt) or answer not in full[len(prompt) :]:
        # the template writes a finished answer in another way than the start of one: append it ourselves
        gap = "" if prompt[-1:].isspace() else " "
        return prompt, f"{prompt}{gap}{answer}{end}"
    # what follows the answer is the end of turn, such as "<|im_end|>\n"; its line break is dropped
    start = full.index(answer, len(prompt)) + len(answer)
    # with a template that writes no end of turn, the student would never learn to stop
    return prompt, full[:start] + (full[start:].rstrip() or end)


def _templated(processor: Any, user: dict[str, Any]) -> tuple[str, str | None] | None:
    """(prompt, template) by the processor's chat template (then the template is None), else by its tokenizer's.

    None without a template, and where the tokenizer's is for text only. Raises DataEngineError when the processor's
    does not write the image exactly once.
    """
    if getattr(processor, "chat_template", None):
        prompt = _apply(processor, [user], None, add_generation_prompt=True)
        if not _shows_image(processor, prompt, user, None):
            raise DataEngineError(
                f"{processor.tokenizer.name_or_path}: its chat template does not write {_image_token(processor)} "
                "for the image, once; put the family's own chat_template.jinja in its place, or remove it"
            )
        return prompt, None
    template = getattr(processor.tokenizer, "chat_template", None)
    if not isinstance(template, str):
        return None
    try:
        prompt = processor.apply_chat_template([user], chat_template=template, add_generation_prompt=True)
    except Exception:  # whatever a template that is not made for this computes
        return None  # a text-only template expects a string, not a list of parts
    return (prompt, template) if _shows_image(processor, prompt, user, template) else None


def _apply(processor: Any, messages: list[dict[str, Any]], template: str | None, **how: Any) -> str:
    """The messages as the chat template writes them; raises DataEngineError naming its file for whatever it raises."""
    try:
        text: str = processor.apply_chat_template(messages, chat_template=template, **how)
        return text
    except Exception as error:  # a template may raise anything: its own raise_exception, 1 / 0, 'a' + 1
        reason = one_line(f"{type(error).__name__}: {error}")[:200]
        raise DataEngineError(
            f"{processor.tokenizer.name_or_path}: its chat_template.jinja fails for a question about an image "
            f"({template_line(error)}{reason}); put the family's own chat_template.jinja in its place"
        ) from error


def check_chat_template(processor: Any) -> None:
    """Raise DataEngineError when the chat template of a student never ends, or fills the memory.

    It is rendered once within a budget, before transformers renders it without one. What else it raises is said
    when it is used, since a template for text alone is passed over.
    """
    source = getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)
    if not isinstance(source, str):
        return
    parts = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    user = {"role": "user", "content": parts}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}
    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlocks, "jinja2.ext.loopcontrols"]
    )
    for messages, start in (([user], True), ([user, reply], False)):
        environment.start()
        try:
            environment.from_string(source).render(
                messages=messages, add_generation_prompt=start, **processor.tokenizer.special_tokens_map
            )
        except TooMuchWork as error:
            raise DataEngineError(
                f"{processor.tokenizer.name_or_path}: its chat_template.jinja cannot be used ({error}); put the "
                "family's own chat_template.jinja in its place"
            ) from error
        except Exception:  # such as a name that only transformers gives
            return


def _shows_image(processor: Any, prompt: str, user: dict[str, Any], template: str | None) -> bool:
    """Whether the image is in the prompt exactly once; BLIP-2's and PaliGemma's processors add it later."""
    if _family(processor) in (*_IMAGE_FIRST, "PaliGemmaProcessor"):
        return True
    # Gemma 3's template writes the begin-of-image token, which its processor expands
    marks = (_image_token(processor), getattr(processor, "boi_token", None))
    counts = [prompt.count(mark) for mark in marks if mark]
    if any(counts):
        return 1 in counts
    # another mark: the image must add something to the prompt, but not the printed message part itself
    text_only = user | {"content": user["content"][1:]}
    text_prompt = _apply(processor, [text_only], template, add_generation_prompt=True)
    return text_prompt != prompt and "'type': 'image'" not in prompt


def _plain_prompt(processor: Any, instruction: str) -> str:
    if _family(processor) in _IMAGE_FIRST:
        return f"###Human: {instruction} ###Assistant:"
    image = _image_token(processor)
    if _family(processor) == "PaliGemmaProcessor":  # its text begins behind the image
        return f"{image}###Human: {instruction} ###Assistant:"
    return f"###Human: {image}\n{instruction} ###Assistant:"


def prompt_with_answer_start(processor: Any, instruction: str, answer_start: str = ANSWER_START) -> str:
    """The prompt and the start of its answer, exactly as `chat_text` writes them for training."""
    prompt, full = chat_text(processor, instruction, answer_start)
    return full[: full.index(answer_start, len(prompt)) + len(answer_start)]


def escape_special_tokens(processor: Any, text: str) -> str:
    """`text` with a space inside each special token, so that data cannot act as one: `< image>`, `< /s>`."""
    for token in {*processor.tokenizer.all_special_tokens, _image_token(processor)}:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def encode_prompts(processor: Any, prompts: list[str], images: Sequence[Image.Image]) -> Any:
    """The model's inputs for prompts of `chat_text`, one image each, as tensors `(prompts, tokens)`; padded right.

    Raises InputRefused for whatever error the processor raises.
    """
    # do not add a beginning-of-text token that the chat template has written
    # (one template has written all prompts, so the first one tells)
    more = {"add_special_tokens": False} if _begins_with_bos(processor, prompts[0]) else {}
    with refusals():
        inputs = processor(
            text=prompts,
            # GOT-OCR2 takes a flat list of images, the others a list of images for each prompt
            images=list(images)
            if _family(processor) == "GotOcr2Processor"
            else [[image] for image in images],
            padding=True,
            padding_side="right",
            return_tensors="pt",
            **more,
        )
    inputs.pop("labels", None)  # PaliGemma's processor adds some; ours are made in training/examples.py
    return inputs


@contextmanager
def refusals() -> Iterator[None]:
    """Raise InputRefused for an error of the processor in the block: Qwen's refuses images of more than 200 to 1."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # processors raise whatever their arithmetic runs into
        name = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise InputRefused(one_line(f"{name}{error}")[:200]) from error


class RowSuffix(NamedTuple):
    """What to append to an encoded row: its last `dropped` tokens are removed, then `tokens` follow."""

    row: int
    dropped: int
    tokens: list[int]


def append_tokens(processor: Any, inputs: Any, suffixes: Sequence[RowSuffix], side: str = "right") -> Any:
    """`inputs` with one row `[prompt, suffix]` per suffix, padded on `side`; the image inputs are not changed.

    `inputs` is what `encode_prompts` gives. A row may be used by one suffix only, since the images are not repeated.
    """
    tensors = {key: inputs[key] for key in PER_TOKEN_KEYS if key in inputs}
    # PaliGemma: type 0 is the prompt, with bidirectional attention, and 1 the answer; elsewhere 0 is text
    appended_type = {
        key: 1 if key == "token_type_ids" and has_bidirectional_prompt(processor) else 0 for key in _TYPE_KEYS
    }
    rows: dict[str, list[torch.Tensor]] = {key: [] for key in tensors}
    for suffix in suffixes:
        not_padding = inputs["attention_mask"][suffix.row].bool()
        # the prompt without padding and dropped tokens, then the suffix
        for key, tensor in tensors.items():
            prompt = tensor[suffix.row][not_padding]
            prompt = prompt[: len(prompt) - suffix.dropped]
            if key == _CROSS_ATTENTION_KEY:  # appended tokens see the tiles that the prompt's last token sees
                last = prompt[-1:].repeat_interleave(len(suffix.tokens), dim=0)
                rows[key].append(torch.cat([prompt, last]))
                continue
            values = {"input_ids": suffix.tokens, "attention_mask": [1] * len(suffix.tokens)}
            more = values.get(key, [appended_type.get(key, 0)] * len(suffix.tokens))
            rows[key].append(torch.cat([prompt, prompt.new_tensor(more)]))
    pad = {"input_ids": padding_token_id(processor)}
    found = type(inputs)(dict(inputs))
    for key, made in rows.items():
        longest = max(map(len, made))
        found[key] = torch.stack([_padded(row, longest, pad.get(key, 0), side) for row in made])
    return found


def _padded(row: torch.Tensor, length: int, value: int, side: str) -> torch.Tensor:
    """`row` with its first dimension filled up to `length`."""
    missing = length - len(row)
    other = (0, 0) * (row.dim() - 1)  # F.pad counts from the last dimension
    return F.pad(row, (*other, missing, 0) if side == "left" else (*other, 0, missing), value=value)


def padding_token_id(processor: Any) -> int:
    """The token id to pad with; a tokenizer without one pads with its end token, else with 0."""
    tokenizer = processor.tokenizer
    found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(found or 0)


def token_ids(processor: Any, texts: list[str]) -> list[list[int]]:
    """The token ids of whole texts; an image is one token."""
    special = not _begins_with_bos(processor, texts[0])
    ids: list[list[int]] = processor.tokenizer(texts, add_special_tokens=special).input_ids
    return ids


def has_bidirectional_prompt(processor: Any) -> bool:
    """Whether the prompt's tokens all attend to each other, as PaliGemma's do.

    Prompt and answer of such a model are tokenized separately.
    """
    return _family(processor) == "PaliGemmaProcessor"


def _begins_with_bos(processor: Any, text: str) -> bool:
    """Whether the text already begins with the beginning-of-text token."""
    start = processor.tokenizer.bos_token
    return bool(start) and text.startswith(start)


def _image_token(processor: Any) -> str:
    return str(getattr(processor, "image_token", None) or "<image>")


def _family(processor: Any) -> str:
    return type(processor).__name__
