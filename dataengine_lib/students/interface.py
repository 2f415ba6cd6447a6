"""The Student interface: what step 1 calls to get scores of options and written answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.chat.reply import AskFailed

ScoredText = Literal["text", "letter"]  # of an option: ` (A) dog`, or ` (A)` alone
RankedText = ScoredText | Literal["words"]  # ` dog` alone: yes/no questions show no letters


class InputRefused(ValueError):
    """The student's processor raises an error for an image or its text; other questions can still be asked."""


class Student(Protocol):
    """Answers `prompts[i]` about `images[i]`, in batches.

    Questions about one image are given the same Image object, so that an implementation can process it once.
    """

    def rank(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "text",
    ) -> list[list[float]]:
        """One score per choice of each question, higher is better: of letter and text, or of one of them alone."""

    def generate(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> "Sequence[str | AskFailed]":
        """What follows `The answer is`; `choices` are the options in the prompt, one of which it should name."""


@runtime_checkable
class LimitedStudent(Protocol):
    """A student that can read texts up to a length only; one behind a server is bounded there."""

    def length_fault(self, image: "Image", question: str, choices: Sequence[str]) -> str:
        """Why this question is too long to be asked, empty when it is not."""


@runtime_checkable
class CopiedStudent(Protocol):
    """A student that copies of its process can ask as well, with the same answers."""

    @property
    def processes(self) -> int:
        """How many of them are worth it: those that the machine has cores for, or 1."""
