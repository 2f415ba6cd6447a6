"""What step 1 evaluates: `models.student.Student`, or anything that is called in the same way."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


class Answerer(Protocol):
    """Answers `prompts[i]` about `images[i]`; questions about one image are given the same Image object."""

    def rank(
        self, images: "Sequence[Image]", prompts: Sequence[str], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """One score per choice, higher is better."""

    def generate(
        self, images: "Sequence[Image]", prompts: Sequence[str], *, max_new_tokens: int = 8
    ) -> list[str]:
        """What follows `The answer is`."""
