"""Step 1: puts questions to a student by a rank rule, in whatever process that is, and notes what it said."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.records import Question, options_text
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import Said, first_answer
from dataengine_lib.images.decode import read_image
from dataengine_lib.questions.reader import Skipped
from dataengine_lib.questions.splits import Split
from dataengine_lib.replies.answer_choice import written_choice

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.students.api_student import ApiStudent
    from dataengine_lib.students.interface import Answerer

RankRule = Literal["text", "letter", "generate"]
Outcome = Said | Skipped
_DIRECT_TOKENS = 8  # A-OKVQA's direct answers are one to three words
_CHOICE_TOKENS = 24  # a letter and an option, or a short sentence around them
_DECODERS = 4
_PIXELS = 200_000_000  # decoded at a time, in three bytes each: a part may be of 20-megapixel photos


@dataclass(frozen=True)
class Task:
    """A question to ask: where it stands, its split and its image relative to the image root."""

    row: str
    place: int
    question: Question
    split: Split
    image: str


@dataclass(frozen=True)
class Manner:
    """How every question is asked: `robust` once more with the options in reverse, `direct` also without them."""

    rank: RankRule = "text"
    robust: bool = False
    direct: bool = True


class Questioner:
    """Asks one student; what comes back has no picture and no tensor in it, so that it can cross processes."""

    def __init__(
        self, student: "Answerer | ApiStudent", name: str, manner: Manner, root: Path, file: Path
    ) -> None:
        self.student, self.name, self.manner, self.root, self.file = student, name, manner, root, file

    def ask(self, tasks: Sequence[Task]) -> list[Outcome]:
        """What the student said of each question, or why that one could not be asked.

        Questions about one image must follow each other. Raises DataEngineError for a student that is broken.
        """
        outcomes: dict[int, Outcome] = {}
        for shown in self._with_images(tasks):
            readable, images = [], []
            for task, image in shown:
                if isinstance(image, str):
                    outcomes[task.place] = Skipped(task.row, image, "image cannot be read")
                else:
                    readable.append(task)
                    images.append(image)
            for task, outcome in zip(readable, self._answers(readable, images), strict=True):
                outcomes[task.place] = outcome
        return [outcomes[task.place] for task in tasks]

    def _with_images(self, tasks: Sequence[Task]) -> Iterator[list[tuple[Task, "Image | str"]]]:
        """The tasks with their images, read once each, as many at a time as memory should hold."""
        names = list(dict.fromkeys(task.image for task in tasks))
        mine: dict[str, list[Task]] = {name: [] for name in names}
        for task in tasks:
            mine[task.image].append(task)
        shown: list[tuple[Task, Image | str]] = []
        pixels = 0
        with ThreadPoolExecutor(_DECODERS) as pool:
            for at in range(0, len(names), _DECODERS):
                few = names[at : at + _DECODERS]
                for name, image in zip(few, pool.map(self._read, few), strict=True):
                    shown += [(task, image) for task in mine[name]]
                    pixels += 0 if isinstance(image, str) else image.width * image.height
                if pixels > _PIXELS:
                    yield shown
                    shown, pixels = [], 0
        if shown:
            yield shown

    def _read(self, name: str) -> "Image | str":
        return read_image(self.root / name)

    def _answers(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        if not tasks:
            return []
        choices = [task.question.choices for task in tasks]
        found = self._choices(tasks, images, choices)
        back: list[Outcome | None] = [None] * len(tasks)
        if self.manner.robust:
            back = [*self._choices(tasks, images, [row[::-1] for row in choices])]
        direct: Sequence[str | AskFailed | None] = [None] * len(tasks)
        if self.manner.direct:
            asked = [task.question.question for task in tasks]
            direct = self.student.generate(images, asked, max_new_tokens=_DIRECT_TOKENS)
        rows = zip(tasks, found, back, direct, strict=True)
        return [_together(task, said, again, free) for task, said, again, free in rows]

    def _choices(self, tasks: list[Task], images: "list[Image]", choices: list[list[str]]) -> list[Outcome]:
        prompts = [
            f"{task.question.question}\n{options_text(row)}" for task, row in zip(tasks, choices, strict=True)
        ]
        if self.manner.rank == "generate":
            texts = self.student.generate(images, prompts, choices=choices, max_new_tokens=_CHOICE_TOKENS)
            return [_read(*written) for written in zip(tasks, texts, choices, strict=True)]
        student = cast("Answerer", self.student)  # a server's student is read: the Config sees to that
        scores = student.rank(images, prompts, choices, self.manner.rank)
        return [self._ranked(task, row) for task, row in zip(tasks, scores, strict=True)]

    def _ranked(self, task: Task, scores: list[float]) -> Said:
        if not all(map(isfinite, scores)):
            raise DataEngineError(
                f"{self.file}: {task.row}: student {self.name} scores {scores}; "
                "its weights are broken or overflow in half precision, set device to cpu to tell"
            )
        # four decimals: what is left does not depend on the batch that a question came in
        rounded = [round(score, 4) for score in scores]
        return Said(rounded.index(max(rounded)), rounded)


def _together(task: Task, said: Outcome, back: Outcome | None, direct: str | AskFailed | None) -> Outcome:
    """One outcome of a question's askings; one that got no answer is asked again as a whole."""
    if isinstance(said, Skipped):
        return said
    if isinstance(back, Skipped):
        return back
    if isinstance(direct, AskFailed):
        if not direct.declined:
            return _lost(task, direct)
        direct = ""
    if back is not None:
        last = len(task.question.choices) - 1
        back = Said(None if back.choice is None else last - back.choice, back.scores[::-1], back.written)
    return Said(
        said.choice, said.scores, said.written, None if direct is None else first_answer(direct), back
    )


def _read(task: Task, text: str | AskFailed, choices: list[str]) -> Outcome:
    """A student that would not answer is wrong; one that could not be reached has not been asked."""
    if isinstance(text, AskFailed):
        return Said(None, written=str(text)) if text.declined else _lost(task, text)
    return Said(written_choice(text, choices), written=text.strip())


def _lost(task: Task, failure: AskFailed) -> Skipped:
    return Skipped(task.row, f"student gave no answer: {failure}", "no answer from the student")
