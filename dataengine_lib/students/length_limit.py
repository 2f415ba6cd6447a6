"""Steps 1 and 5: texts that are too long for a student, found before they are asked or trained on.

A model with learned positions raises an IndexError behind its last one; others need memory by the square of the length.
"""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from dataengine_lib.core.records import options_text
from dataengine_lib.students.chat_texts import ANSWER_START, chat_text
from dataengine_lib.students.inputs import encode_prompts

# of text alone, whatever the model allows: questions with choices have up to a few hundred tokens
_MOST_TEXT_TOKENS = 4096
_CHARACTERS_A_TOKEN = 8  # at most, of ordinary text in any tokenizer; a text beyond is not tokenized at all
_ANSWER_TOKENS = 32  # for the start of the answer, and those that the student writes


class LengthLimit:
    """How many tokens a student can read: its positions, with those of the image, and a limit of text.

    `max_length` is the most that a training row may have, with the image; None for the student's own limit alone.
    """

    def __init__(self, model: Any, processor: Any, max_length: int | None = None) -> None:
        self._processor, self.max_length = processor, max_length
        text = model.config.get_text_config(decoder=True)
        # T5's positions are relative, and its config names none
        found = getattr(text, "max_position_embeddings", None)
        self.positions: int | None = found if isinstance(found, int) and found > 0 else None
        # the Q-Former of InstructBLIP reads the question as well, with positions of its own
        q_former = getattr(model.config, "qformer_config", None)
        reads_text = hasattr(processor, "qformer_tokenizer")
        self.q_former_positions: int | None = (
            getattr(q_former, "max_position_embeddings", None) if reads_text else None
        )
        most = max(_MOST_TEXT_TOKENS, max_length or 0)
        self._most_text = min(most, self.positions or most)

    def fault(self, image: Image.Image, question: str, choices: Sequence[str]) -> str:
        """Why the question about `image` cannot be asked, empty when it can."""
        prompt = f"{question}\n{options_text(list(choices))}" if choices else question
        longest = max((f" ({choice}) " for choice in choices), key=len, default="")
        # no token is shorter than a byte, so most questions need not be tokenized to see that they fit
        smallest = min(self._most_text, self.q_former_positions or self._most_text)
        if _bytes(prompt + longest) + _ANSWER_TOKENS <= smallest // 4:
            return ""
        if found := self._too_many_characters(prompt):
            return f"question too long: {found}"
        text = chat_text(self._processor, prompt)[0]
        answer = self._tokens(f"{ANSWER_START}{longest}")
        if found := self._too_many_tokens(self._tokens(text) + answer):
            return f"question too long: {found}"
        inputs = encode_prompts(self._processor, [text], [image])
        read = inputs["qformer_input_ids"].shape[1] if "qformer_input_ids" in inputs else 0
        found = self.inputs_fault(inputs["input_ids"].shape[1] + answer + _ANSWER_TOKENS, read)
        return f"question too long: {found}" if found else ""

    def text_fault(self, text: str) -> str:
        """Why a training text, a question with its answer, cannot be learned; empty when it may be."""
        if _bytes(text) <= self._most_text:
            return ""
        return self._too_many_characters(text) or self._too_many_tokens(self._tokens(text))

    def inputs_fault(self, tokens: int, q_former_tokens: int) -> str:
        """The same of a whole row: its tokens with image and answer, and those that the Q-Former reads (0 without one)."""
        if self.positions is not None and tokens > self.positions:
            return f"{tokens:,} tokens with the image, where this student has {self.positions:,}"
        if self.q_former_positions is not None and q_former_tokens > self.q_former_positions:
            return f"{q_former_tokens:,} tokens for the Q-Former, which has {self.q_former_positions:,} positions"
        return ""

    def max_length_fault(self, tokens: int) -> str:
        """How many tokens a training row has beyond `max_length`, empty when it is not longer."""
        if self.max_length is None or tokens <= self.max_length:
            return ""
        return f"{tokens:,} tokens with the image, where max_length is {self.max_length:,}"

    def _tokens(self, text: str) -> int:
        return len(self._processor.tokenizer(text, add_special_tokens=False).input_ids)

    def _too_many_characters(self, text: str) -> str:
        if len(text) <= _CHARACTERS_A_TOKEN * self._most_text:
            return ""
        return f"{len(text):,} characters, where this student reads {self._most_text:,} tokens"

    def _too_many_tokens(self, tokens: int) -> str:
        if tokens <= self._most_text:
            return ""
        return f"{tokens:,} tokens of text, where this student reads {self._most_text:,}"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
