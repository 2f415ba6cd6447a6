"""What a student reads (steps 1 and 5): the text of prompt and answer, and their tokens, for every family.

Only prompts go through the processor; the answer's tokens are joined behind them. So a Q-Former that reads the
text, or a prefix that sees itself both ways (PaliGemma), is never shown the answer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jinja2 import TemplateError
from PIL import Image

from dataengine_lib.errors import DataEngineError

PREFIX = "The answer is"
_IMAGE_FIRST = ("InstructBlipProcessor", "Blip2Processor")  # put the image before the text
_TYPES = ("token_type_ids", "mm_token_type_ids")
_SEEN = (
    "cross_attention_mask"  # which tiles of the image a token sees, (rows, tokens, images, tiles): Mllama's
)
PER_TOKEN = ("input_ids", "attention_mask", *_TYPES, _SEEN)


def chat_text(processor: Any, instruction: str, answer: str | None = None) -> tuple[str, str]:
    """(prompt, prompt + answer + end) as the processor's chat template writes one question about one image.

    Scoring and training both take their texts from here, so that what is scored is what was learnt. Special
    tokens inside `instruction` and `answer` are broken up, as data. Without `answer` both are the prompt.
    Raises DataEngineError for a template that does not write the image once.
    """
    instruction = plain_text(processor, instruction)
    end = processor.tokenizer.eos_token or ""
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}
    found = _templated(processor, user)
    if found is None:
        prompt = _plain_prompt(processor, instruction)
        return prompt, prompt if answer is None else f"{prompt} {plain_text(processor, answer)}{end}"
    prompt, template = found
    if answer is None:
        return prompt, prompt
    answer = plain_text(processor, answer)
    said = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
    full = processor.apply_chat_template([user, said], chat_template=template)
    if not full.startswith(prompt) or answer not in full[len(prompt) :]:
        gap = "" if prompt[-1:].isspace() else " "  # a template that writes finished answers in another way
        return prompt, f"{prompt}{gap}{answer}{end}"
    start = full.index(answer, len(prompt)) + len(answer)
    # a template without an end of turn would never teach the student to stop
    return prompt, full[:start] + (full[start:].rstrip() or end)


def _templated(processor: Any, user: dict[str, Any]) -> tuple[str, str | None] | None:
    """The prompt by the processor's template, else by its tokenizer's, and that template (None: its own).

    None without a template; one of a tokenizer that knows of no images does not count.
    """
    if getattr(processor, "chat_template", None):
        prompt = processor.apply_chat_template([user], add_generation_prompt=True)
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
    except (TemplateError, TypeError, ValueError):  # takes the list of image and text for one text
        return None
    return (prompt, template) if _shows_image(processor, prompt, user, template) else None


def _shows_image(processor: Any, prompt: str, user: dict[str, Any], template: str | None) -> bool:
    """Whether the image stands in the prompt once; BLIP-2 and PaliGemma put it there by themselves."""
    if _family(processor) in (*_IMAGE_FIRST, "PaliGemmaProcessor"):
        return True
    # Gemma 3's template writes the token that begins an image, from which its processor makes the image's
    marks = (_image_token(processor), getattr(processor, "boi_token", None))
    counts = [prompt.count(mark) for mark in marks if mark]
    if any(counts):
        return 1 in counts
    # a mark of the family's own: whatever the image adds, but for the message itself, printed
    text_only = user | {"content": user["content"][1:]}
    blind = processor.apply_chat_template([text_only], chat_template=template, add_generation_prompt=True)
    return blind != prompt and "'type': 'image'" not in prompt


def _plain_prompt(processor: Any, instruction: str) -> str:
    if _family(processor) in _IMAGE_FIRST:
        return f"###Human: {instruction} ###Assistant:"
    image = _image_token(processor)
    if _family(processor) == "PaliGemmaProcessor":  # begins the text behind the image
        return f"{image}###Human: {instruction} ###Assistant:"
    return f"###Human: {image}\n{instruction} ###Assistant:"


def prefix_text(processor: Any, instruction: str, said: str = PREFIX) -> str:
    """The prompt and the beginning of its answer, exactly as `chat_text` writes them for training."""
    prompt, full = chat_text(processor, instruction, said)
    return full[: full.index(said, len(prompt)) + len(said)]


def plain_text(processor: Any, text: str) -> str:
    """`text` with special tokens inside it broken up: it is data, whoever wrote it."""
    for token in {*processor.tokenizer.all_special_tokens, _image_token(processor)}:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def encode(processor: Any, prompts: list[str], images: Sequence[Image.Image]) -> Any:
    """The model's inputs for prompts of `chat_text`, one image each, as tensors; padded on the right."""
    # a beginning-of-text token that the chat template has written is not added a second time
    more = {"add_special_tokens": False} if starts_text(processor, prompts[0]) else {}
    inputs = processor(
        text=prompts,
        images=list(images) if _family(processor) == "GotOcr2Processor" else [[image] for image in images],
        padding=True,
        padding_side="right",
        return_tensors="pt",
        **more,
    )
    inputs.pop("labels", None)  # PaliGemma's, which would be all that is not its prompt
    return inputs


class Part(NamedTuple):
    """What comes behind the prompt of an encoded row: its last `drop` tokens go, `tokens` follow."""

    row: int
    drop: int
    tokens: list[int]


def joined(processor: Any, inputs: Any, parts: Sequence[Part], side: str = "right") -> Any:
    """`inputs` with rows `[prompt, part]`, one a part, padded on `side`; what belongs to images is not touched."""
    tensors = {key: inputs[key] for key in PER_TOKEN if key in inputs}
    behind = {key: 1 if key == "token_type_ids" and prompt_is_read_apart(processor) else 0 for key in _TYPES}
    rows: dict[str, list[torch.Tensor]] = {key: [] for key in tensors}
    for part in parts:
        kept = inputs["attention_mask"][part.row].bool()
        for key, tensor in tensors.items():
            prompt = tensor[part.row][kept]
            prompt = prompt[: len(prompt) - part.drop]
            if key == _SEEN:  # what follows sees what the prompt's end sees
                rows[key].append(torch.cat([prompt, prompt[-1:].repeat_interleave(len(part.tokens), dim=0)]))
                continue
            fill = {"input_ids": part.tokens, "attention_mask": [1] * len(part.tokens)}
            more = fill.get(key, [behind.get(key, 0)] * len(part.tokens))
            rows[key].append(torch.cat([prompt, prompt.new_tensor(more)]))
    pad = {"input_ids": padding(processor)}
    found = type(inputs)(dict(inputs))
    for key, made in rows.items():
        longest = max(map(len, made))
        found[key] = torch.stack([_padded(row, longest, pad.get(key, 0), side) for row in made])
    return found


def _padded(row: torch.Tensor, length: int, value: int, side: str) -> torch.Tensor:
    missing = length - len(row)
    other = (0, 0) * (row.dim() - 1)  # counted from the last dimension
    return F.pad(row, (*other, missing, 0) if side == "left" else (*other, 0, missing), value=value)


def padding(processor: Any) -> int:
    """The token to pad with; a tokenizer without one pads with its end token."""
    tokenizer = processor.tokenizer
    found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(found or 0)


def token_ids(processor: Any, texts: list[str]) -> list[list[int]]:
    """The tokens of whole texts, with an image as its one token."""
    special = not starts_text(processor, texts[0])
    ids: list[list[int]] = processor.tokenizer(texts, add_special_tokens=special).input_ids
    return ids


def prompt_is_read_apart(processor: Any) -> bool:
    """Whether prompt and answer are tokenised apart, and the prompt's tokens see each other both ways."""
    return _family(processor) == "PaliGemmaProcessor"


def starts_text(processor: Any, text: str) -> bool:
    """Whether the text already begins with the beginning-of-text token."""
    start = processor.tokenizer.bos_token
    return bool(start) and text.startswith(start)


def _image_token(processor: Any) -> str:
    return str(getattr(processor, "image_token", None) or "<image>")


def _family(processor: Any) -> str:
    return type(processor).__name__
