"""Step 1: questions that are too long for a student, found before they are asked.

A model with learned positions raises an IndexError behind its last one; others need memory by the square of the length.
"""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from dataengine_lib.core.records import options_text
from dataengine_lib.students.inputs import ANSWER_START, chat_text, encode_prompts

# of text alone, whatever the model allows: questions with choices have up to a few hundred tokens
_MOST_TEXT_TOKENS = 4096
_CHARACTERS_A_TOKEN = 8  # at most, of ordinary text in any tokenizer; a text beyond is not tokenized at all
_ANSWER_TOKENS = 32  # for the start of the answer, and those that the student writes


class LengthLimit:
    """How many tokens a student can read: its positions, with those of the image, and a limit of text."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._processor = processor
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
        self._most_text = min(_MOST_TEXT_TOKENS, self.positions or _MOST_TEXT_TOKENS)

    def fault(self, image: Image.Image, question: str, choices: Sequence[str]) -> str:
        """Why the question about `image` cannot be asked, empty when it can."""
        prompt = f"{question}\n{options_text(list(choices))}"
        longest = max((f" ({choice}) " for choice in choices), key=len, default="")
        # no token is shorter than a byte, so most questions need not be tokenized to see that they fit
        smallest = min(self._most_text, self.q_former_positions or self._most_text)
        if len((prompt + longest).encode("utf-8", "replace")) + _ANSWER_TOKENS <= smallest // 4:
            return ""
        if len(prompt) > _CHARACTERS_A_TOKEN * self._most_text:
            return f"question too long: {len(prompt):,} characters, where this student reads {self._most_text:,} tokens"
        text = chat_text(self._processor, prompt)[0]
        tokenizer = self._processor.tokenizer
        answer = len(tokenizer(f"{ANSWER_START}{longest}", add_special_tokens=False).input_ids)
        tokens = len(tokenizer(text, add_special_tokens=False).input_ids) + answer
        if tokens > self._most_text:
            return (
                f"question too long: {tokens:,} tokens of text, where this student reads {self._most_text:,}"
            )
        inputs = encode_prompts(self._processor, [text], [image])
        whole = inputs["input_ids"].shape[1] + answer + _ANSWER_TOKENS
        if self.positions is not None and whole > self.positions:
            return f"question too long: {whole:,} tokens with the image, where this student has {self.positions:,}"
        read = inputs["qformer_input_ids"].shape[1] if "qformer_input_ids" in inputs else 0
        if self.q_former_positions is not None and read > self.q_former_positions:
            return f"question too long: {read:,} tokens for the Q-Former, which has {self.q_former_positions:,} positions"
        return ""
