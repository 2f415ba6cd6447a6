"""What step 1 evaluates: `models.student.Student`, or anything that is called in the same way."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.chat.reply import AskFailed


class Answerer(Protocol):
    """Answers `prompts[i]` about `images[i]`; questions about one image are given the same Image object."""

    def rank(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: Literal["text", "letter"] = "text",
    ) -> list[list[float]]:
        """One score per choice, higher is better: of its letter and text, or of its letter alone."""

    def generate(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> "Sequence[str | AskFailed]":
        """What follows `The answer is`; `choices` are the options in the prompt, one of which it should name."""
