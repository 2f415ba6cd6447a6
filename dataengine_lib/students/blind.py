"""A student without the picture (steps 1 and 4): what it still answers right, it does not answer by seeing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataengine_lib.students.interface import CopiedStudent, LimitedStudent, RankedText

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.chat.reply import AskFailed
    from dataengine_lib.students.interface import Student
    from dataengine_lib.students.on_server.api_student import ApiStudent
    from dataengine_lib.students.on_vllm.vllm_student import VllmStudent

_GREY = (127, 127, 127)


class BlindStudent:
    """A student that is shown a grey image of the same size in place of each image."""

    def __init__(self, student: "Student") -> None:
        self.student = student

    def rank(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "text",
    ) -> list[list[float]]:
        """The student's scores without the images."""
        return self.student.rank(_grey(images), prompts, choices, scored)

    def generate(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> "Sequence[str | AskFailed]":
        """The student's texts without the images."""
        return self.student.generate(_grey(images), prompts, choices=choices, max_new_tokens=max_new_tokens)

    @property
    def processes(self) -> int:
        """As of the student that is asked."""
        return self.student.processes if isinstance(self.student, CopiedStudent) else 1

    def length_fault(self, image: "Image", question: str, choices: Sequence[str]) -> str:
        """Why the question is too long for the student; a grey image takes as many tokens."""
        student = self.student
        return student.length_fault(image, question, choices) if isinstance(student, LimitedStudent) else ""


class BlindApiStudent:
    """A student that is asked in chats, behind a server or in vLLM, and is sent no image."""

    def __init__(self, student: "ApiStudent | VllmStudent") -> None:
        self.student = student

    def rank(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "letter",
    ) -> "list[list[float] | AskFailed]":
        """The student's scores by the prompts alone."""
        return self.student.rank([None] * len(images), prompts, choices, scored)

    def generate(
        self,
        images: "Sequence[Image]",
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> "Sequence[str | AskFailed]":
        """The student's texts to the prompts alone."""
        no_images = [None] * len(images)
        return self.student.generate(no_images, prompts, choices=choices, max_new_tokens=max_new_tokens)


def _grey(images: "Sequence[Image]") -> "list[Image]":
    from PIL import Image

    # one object for each size: a student processes the same object once
    made = {size: Image.new("RGB", size, _GREY) for size in {image.size for image in images}}
    return [made[image.size] for image in images]
