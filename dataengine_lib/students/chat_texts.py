"""The text of a student's prompts and answers (steps 1 and 5), as the chat template of its processor writes them.

Scoring and training both take their texts from here, so that what is scored is what was learnt.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

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
_IMAGE_FIRST = (
    "InstructBlipProcessor",
    "Blip2Processor",
    "Florence2Processor",
)  # these put the image before the text themselves


class ChatText(NamedTuple):
    """A whole conversation as a text.

    `prompt` is the text before the first answer; `text` begins with it. `answers` is where each answer begins and ends
    in `text` with its end of turn, in characters.
    """

    prompt: str
    text: str
    answers: tuple[tuple[int, int], ...]


def chat_text(
    processor: Any, instruction: str, answer: str | None = None, *, image: bool = True
) -> tuple[str, str]:
    """(prompt, prompt + answer + end of turn) as the processor's chat template writes one question about one image.

    Special tokens inside `instruction` and `answer` are escaped. Without `answer` both texts are the prompt; without
    `image` the question is about no image.
    Raises DataEngineError for a template that does not write the image exactly once.
    """
    instruction = escape_special_tokens(processor, instruction)
    end = processor.tokenizer.eos_token or ""
    user = _user_message(instruction, image)
    found = _templated(processor, user)
    if found is None:
        prompt = _plain_prompt(processor, instruction, image)
        if answer is None:
            return prompt, prompt
        return prompt, f"{prompt} {escape_special_tokens(processor, answer)}{end}"
    prompt, template = found
    if answer is None:
        return prompt, prompt
    answer = escape_special_tokens(processor, answer)
    full = _apply(processor, [user, _assistant_message(answer)], template)
    if not full.startswith(prompt) or answer not in full[len(prompt) :]:
        # the template writes a finished answer in another way than the start of one: append it ourselves
        gap = "" if prompt[-1:].isspace() else " "
        return prompt, f"{prompt}{gap}{answer}{end}"
    # what follows the answer is the end of turn, such as "<|im_end|>\n"; its line break is dropped
    start = full.index(answer, len(prompt)) + len(answer)
    # with a template that writes no end of turn, the student would never learn to stop
    return prompt, full[:start] + (full[start:].rstrip() or end)


def conversation_text(processor: Any, turns: Sequence[tuple[str, str]], *, image: bool = True) -> ChatText:
    """The (instruction, answer) of each turn as one text; with `image` the first instruction shows it.

    A single turn is written as by `chat_text`. Several are what the chat template writes for the whole conversation;
    where it writes no end of turn, only the last answer gets one. Raises InputRefused for a template that does not
    write the turns one after the other, DataEngineError as `chat_text`.
    """
    if len(turns) == 1:
        prompt, text = chat_text(processor, *turns[0], image=image)
        return ChatText(prompt, text, ((len(prompt), len(text)),))
    turns = [
        (escape_special_tokens(processor, asked), escape_special_tokens(processor, answer))
        for asked, answer in turns
    ]
    found = _templated(processor, _user_message(turns[0][0], image))
    if found is None:
        return _plain_conversation(processor, turns, image)
    template = found[1]
    messages: list[dict[str, Any]] = []
    for number, (asked, answer) in enumerate(turns):
        messages += [_user_message(asked, image and not number), _assistant_message(answer)]
    full = _apply(processor, messages, template)
    places = [
        _answer_place(processor, full, messages[: 2 * number + 1], answer, template)
        for number, (_, answer) in enumerate(turns)
    ]
    # as in `chat_text`: the end of turn is what follows the last answer, without its line break
    last = places[-1][1]
    mark = full[last:].rstrip()
    answers = [(start, end + len(mark) * full.startswith(mark, end)) for start, end in places[:-1]]
    text = full[:last] + (mark or processor.tokenizer.eos_token or "")
    answers.append((places[-1][0], len(text)))
    return ChatText(text[: answers[0][0]], text, tuple(answers))


def _answer_place(
    processor: Any, full: str, before: list[dict[str, Any]], answer: str, template: str | None
) -> tuple[int, int]:
    """Where the text after the messages `before` starts in the conversation `full`, and where `answer` ends.

    Raises InputRefused when `full` does not begin with these messages, or the answer does not follow them.
    """
    # a template may start earlier answers in another way than the one to be written, as those with thoughts do
    for how in ({"add_generation_prompt": True}, {}):
        start = _apply(processor, before, template, **how)
        if full.startswith(start):
            place = full.find(answer, len(start))
            if place >= 0:
                return len(start), place + len(answer)
    raise InputRefused("the chat template does not write the turns of this conversation one after the other")


def _plain_conversation(processor: Any, turns: Sequence[tuple[str, str]], image: bool) -> ChatText:
    end, text, answers = processor.tokenizer.eos_token or "", "", []
    for number, (asked, answer) in enumerate(turns):
        text += _plain_prompt(processor, asked, image and not number)
        start = len(text)
        text += f" {answer}{end}"
        answers.append((start, len(text)))
    return ChatText(text[: answers[0][0]], text, tuple(answers))


def _user_message(instruction: str, image: bool) -> dict[str, Any]:
    parts = [{"type": "image"}] if image else []
    return {"role": "user", "content": [*parts, {"type": "text", "text": instruction}]}


def _assistant_message(answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def _templated(processor: Any, user: dict[str, Any]) -> tuple[str, str | None] | None:
    """(prompt, template) by the processor's chat template (then the template is None), else by its tokenizer's.

    None without a template, and where the tokenizer's is for text only, whether or not `user` shows an image. Raises
    DataEngineError when the processor's does not write the image exactly once.
    """
    if user["content"][0]["type"] != "image":
        # a text without an image is written by the template that writes those with one
        found = _templated(processor, _user_message("", image=True))
        if found is None:
            return None
        return _apply(processor, [user], found[1], add_generation_prompt=True), found[1]
    if getattr(processor, "chat_template", None):
        prompt = _apply(processor, [user], None, add_generation_prompt=True)
        if not _shows_image(processor, prompt, user, None):
            raise DataEngineError(
                f"{processor.tokenizer.name_or_path}: its chat template does not write {image_token(processor)} "
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
    """The messages as the chat template writes them; raises DataEngineError, naming its file, for any error of it."""
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
    if processor_family(processor) in (*_IMAGE_FIRST, "PaliGemmaProcessor"):
        return True
    # Gemma 3's template writes the begin-of-image token, which its processor expands
    marks = (image_token(processor), getattr(processor, "boi_token", None))
    counts = [prompt.count(mark) for mark in marks if mark]
    if any(counts):
        return 1 in counts
    # another mark: the image must add something to the prompt, but not the printed message part itself
    text_only = user | {"content": user["content"][1:]}
    text_prompt = _apply(processor, [text_only], template, add_generation_prompt=True)
    return text_prompt != prompt and "'type': 'image'" not in prompt


def _plain_prompt(processor: Any, instruction: str, image: bool) -> str:
    if not image or processor_family(processor) in _IMAGE_FIRST:
        return f"###Human: {instruction} ###Assistant:"
    token = image_token(processor)
    if processor_family(processor) == "PaliGemmaProcessor":  # its text begins behind the image
        return f"{token}###Human: {instruction} ###Assistant:"
    return f"###Human: {token}\n{instruction} ###Assistant:"


def prompt_with_answer_start(
    processor: Any, instruction: str, answer_start: str = ANSWER_START
) -> tuple[str, str]:
    """(prompt, prompt + the start of its answer), exactly as `chat_text` writes them for training."""
    prompt, full = chat_text(processor, instruction, answer_start)
    return prompt, full[: full.index(answer_start, len(prompt)) + len(answer_start)]


def escape_special_tokens(processor: Any, text: str) -> str:
    """`text` with a space inside each special token, so that data cannot act as one: `< image>`, `< /s>`."""
    for token in {*processor.tokenizer.all_special_tokens, image_token(processor)}:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def image_token(processor: Any) -> str:
    """The token that stands for an image in the text."""
    return str(getattr(processor, "image_token", None) or "<image>")


def processor_family(processor: Any) -> str:
    """The name of the processor's class, such as `PaliGemmaProcessor`."""
    return type(processor).__name__
