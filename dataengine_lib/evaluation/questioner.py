"""Step 1: asks a student questions by a rank rule, in whatever process that runs, and records its answers."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.machine.memory import memory_share, one_at_a_time
from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, options_text, shows_options
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer, read_answer
from dataengine_lib.evaluation.direct_answers import extract_direct_answer
from dataengine_lib.evaluation.paired.circular import rotated
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.images.decode import image_size, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataengine_lib.students.interface import Student
    from dataengine_lib.students.on_server.api_student import ApiStudent
    from dataengine_lib.students.on_vllm.vllm_student import VllmStudent

RankRule = Literal["text", "letter", "generate"]
Robust = Literal["off", "reverse", "circular"]  # the other orders in which options are asked
Outcome = StudentAnswer | BadRow
_Ask = Callable[[list[Task], "list[Image]"], list[Outcome]]  # the outcomes of questions of one kind
_DIRECT_TOKENS = 8  # A-OKVQA's direct answers are one to three words
_CHOICE_TOKENS = 24  # a letter and an option, or a short sentence around them
_WORD_TOKENS = 16  # of the answer to a question without options, as lmms-eval has it for VQAv2, GQA and MME
TEXTS = "texts"  # the kind of a question whose choices are ranked as texts after it, as the contamination probe asks
_YES_NO = ["Yes", "No"]  # as they are ranked, in the order of a yes/no question's choices
_DECODERS = 4  # threads that decode images
_PIXELS = 200_000_000  # decoded at a time, of three bytes each: a batch may be of 20-megapixel photos
_PIXEL_BYTES = 6  # of a pixel while it is decoded: the image as it is stored, and as RGB


@dataclass(frozen=True)
class AskOptions:
    """How every question is asked.

    `rank` is the rule by which the choice is found; `robust` asks once more with the options in reverse order, or in each
    of their rotations; `direct` asks also without the options.
    """

    rank: RankRule = "text"
    robust: Robust = "off"
    direct: bool = True


class Questioner:
    """Asks one student; its results hold no image and no tensor, so that they can be sent between processes.

    `name` (the student's) and `file` (the questions') are for messages; `image_root` is where image paths start.
    `at_once` is how many processes of this machine ask at the same time: images that take more than a process's share of
    the memory are decoded by one of them at a time.
    """

    at_once = 1

    def __init__(
        self,
        student: "Student | ApiStudent | VllmStudent",
        name: str,
        options: AskOptions,
        image_root: Path,
        file: Path,
    ) -> None:
        self.student, self.name, self.options = student, name, options
        self.image_root, self.file = image_root, file

    @property
    def processes(self) -> int:
        """How many copies of this process may ask at the same time, each with the student as it is here."""
        from dataengine_lib.students.interface import CopiedStudent

        return self.student.processes if isinstance(self.student, CopiedStudent) else 1

    def ask(self, tasks: Sequence[Task]) -> list[Outcome]:
        """The student's answer to each question, or why that question could not be asked.

        Questions about one image must follow each other. Raises DataEngineError for a student that is broken.
        """
        # by place: questions are asked image by image, and returned in the order of the tasks
        outcomes: dict[int, Outcome] = {}
        # closed also on an error, which would keep its turn
        with closing(self._in_turn(tasks)) as groups:
            for group in groups:
                readable, images = [], []
                for task, image in group:
                    if isinstance(image, str):
                        outcomes[task.place] = BadRow(task.row, image, "image cannot be read")
                    elif fault := self._length_fault(task, image):
                        outcomes[task.place] = BadRow(task.row, fault, "question too long")
                    else:
                        readable.append(task)
                        images.append(image)
                for task, outcome in zip(readable, self._answers(readable, images), strict=True):
                    outcomes[task.place] = outcome
                del group, images  # before the next ones are decoded
        return [outcomes[task.place] for task in tasks]

    def _in_turn(self, tasks: Sequence[Task]) -> Generator[list[tuple[Task, "Image | str"]], None, None]:
        """`_with_images`, beside other processes only as far as memory for all of them is there."""
        # groups are the same in any case, so that answers do not depend on the machine
        turn = one_at_a_time("images") if self.at_once > 1 and self._exceeds_share(tasks) else nullcontext()
        with turn:
            yield from self._with_images(tasks)

    def _exceeds_share(self, tasks: Sequence[Task]) -> bool:
        sizes = (image_size(self.image_root / name) for name in dict.fromkeys(task.image for task in tasks))
        pixels = [width * height for width, height in sizes]
        largest = group = 0
        # as `_with_images` makes groups
        for at in range(0, len(pixels), _DECODERS):
            group += sum(pixels[at : at + _DECODERS])
            largest = max(largest, group)
            if group > _PIXELS:
                group = 0
        return largest * _PIXEL_BYTES > memory_share(self.at_once)

    def _with_images(self, tasks: Sequence[Task]) -> Iterator[list[tuple[Task, "Image | str"]]]:
        """The tasks with their images (or why one cannot be read), as many at a time as memory should hold.

        Every image is read once, and questions about it get the same Image object.
        """
        names = list(dict.fromkeys(task.image for task in tasks))
        by_image: dict[str, list[Task]] = {name: [] for name in names}
        for task in tasks:
            by_image[task.image].append(task)
        group: list[tuple[Task, Image | str]] = []
        pixels = 0
        with ThreadPoolExecutor(_DECODERS) as pool:
            # a group grows by _DECODERS images at a time, decoded in parallel, until it passes _PIXELS;
            # pool.map keeps their order, and an image counts once, however many questions are about it
            for at in range(0, len(names), _DECODERS):
                few = names[at : at + _DECODERS]
                for name, image in zip(few, pool.map(self._read_image, few), strict=True):
                    group += [(task, image) for task in by_image[name]]
                    pixels += 0 if isinstance(image, str) else image.width * image.height
                if pixels > _PIXELS:
                    yield group
                    group, pixels = [], 0
        if group:
            yield group

    def _read_image(self, name: str) -> "Image | str":
        return read_image(self.image_root / name)

    def _length_fault(self, task: Task, image: "Image") -> str:
        from dataengine_lib.students.interface import InputRefused, LimitedStudent

        if not isinstance(self.student, LimitedStudent):
            return ""
        try:
            question, choices = task.question.question, task.question.choices
            if task.question.answer_kind == TEXTS:  # each text follows the question by itself
                question, choices = f"{question} {max(choices, key=len)}", []
            # the options in another order, or none at all, make no longer question
            shown = choices if shows_options(task.question.answer_kind) else []
            return self.student.length_fault(image, question, shown)
        except InputRefused:
            return ""  # `_answers` finds it, too

    def _answers(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """The outcomes of readable questions, asked by their kinds."""
        asks = {
            CHOICE: self._asked_choices,
            YES_NO: self._asked_yes_no,
            OPEN: self._asked_open,
            TEXTS: self._ranked_texts,
        }
        outcomes: dict[int, Outcome] = {}
        for kind, ask in asks.items():
            places = [n for n, task in enumerate(tasks) if (task.question.answer_kind or CHOICE) == kind]
            if places:
                found = self._asked(ask, [tasks[n] for n in places], [images[n] for n in places])
                outcomes |= zip(places, found, strict=True)
        return [outcomes[n] for n in range(len(tasks))]

    def _asked(self, ask: _Ask, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """The outcomes of questions of one kind; one that the processor refuses is a bad row, found by halving them."""
        from dataengine_lib.students.interface import InputRefused

        try:
            return ask(tasks, images)
        except InputRefused as error:
            if len(tasks) == 1:
                reason = f"image {self.image_root / tasks[0].image} is refused by the student's processor ({error})"
                return [BadRow(tasks[0].row, reason, "refused by the student's processor")]
        half = len(tasks) // 2
        return self._asked(ask, tasks[:half], images[:half]) + self._asked(ask, tasks[half:], images[half:])

    def _asked_yes_no(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """`Yes` or `No` is ranked as a text after the question alone, or read from what the student writes."""
        prompts = [task.question.question for task in tasks]
        if self.options.rank == "generate":
            texts = self.student.generate(images, prompts, max_new_tokens=_WORD_TOKENS)
            return [_read_text(*written) for written in zip(tasks, texts, strict=True)]
        scores = self.student.rank(images, prompts, [_YES_NO] * len(tasks), "words")
        return [self._best_choice(task, row) for task, row in zip(tasks, scores, strict=True)]

    def _ranked_texts(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """Each choice is scored as a text after the question alone."""
        prompts, texts = zip(
            *((task.question.question, task.question.choices) for task in tasks), strict=True
        )
        scores = self.student.rank(images, prompts, texts, "words")
        return [self._best_choice(task, row) for task, row in zip(tasks, scores, strict=True)]

    def _asked_open(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """The answer is what the student writes, by any rank rule: there is nothing to rank."""
        prompts = [task.question.question for task in tasks]
        texts = self.student.generate(images, prompts, max_new_tokens=_WORD_TOKENS)
        return [_read_text(*written) for written in zip(tasks, texts, strict=True)]

    def _asked_choices(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """Asks with the options, with them in reverse order or in all rotations, and without them."""
        choices = [task.question.choices for task in tasks]
        in_reverse: list[Outcome | None] = [None] * len(tasks)
        if self.options.robust == "circular":
            as_asked = self._choose_rotated(tasks, images)
        else:
            as_asked = self._choose(tasks, images, choices)
        if self.options.robust == "reverse":
            in_reverse = [*self._choose(tasks, images, [row[::-1] for row in choices])]
        direct: Sequence[str | AskFailed | None] = [None] * len(tasks)
        if self.options.direct:
            questions = [task.question.question for task in tasks]
            direct = self.student.generate(images, questions, max_new_tokens=_DIRECT_TOKENS)
        rows = zip(tasks, as_asked, in_reverse, direct, strict=True)
        return [_combined(*row) for row in rows]

    def _choose_rotated(self, tasks: list[Task], images: "list[Image]") -> list[Outcome]:
        """The answers in the given order, with those in all other rotations; asked in one call, image by image."""
        turns = [range(len(task.question.choices)) for task in tasks]
        asked = [(task, image, by) for task, image, of in zip(tasks, images, turns, strict=True) for by in of]
        shown = [rotated(task.question.choices, by) for task, _, by in asked]
        found = iter(self._choose([task for task, _, _ in asked], [image for _, image, _ in asked], shown))
        return [_turned_back(list(islice(found, len(of)))) for of in turns]

    def _choose(self, tasks: list[Task], images: "list[Image]", choices: list[list[str]]) -> list[Outcome]:
        """The option that the student takes of each question; `choices` are in the order to ask them in."""
        prompts = [
            f"{task.question.question}\n{options_text(row)}" for task, row in zip(tasks, choices, strict=True)
        ]
        # the student writes an answer from which the option is read; by other rules it scores every option
        if self.options.rank == "generate":
            texts = self.student.generate(images, prompts, choices=choices, max_new_tokens=_CHOICE_TOKENS)
            return [_read_choice(*written) for written in zip(tasks, texts, choices, strict=True)]
        scores = self.student.rank(images, prompts, choices, self.options.rank)
        return [self._best_choice(task, row) for task, row in zip(tasks, scores, strict=True)]

    def _best_choice(self, task: Task, scores: list[float] | AskFailed) -> Outcome:
        if isinstance(scores, AskFailed):
            return _no_answer(task, scores)
        if not all(map(isfinite, scores)):
            raise DataEngineError(
                f"{self.file}: {task.row}: student {self.name} scores {scores}; "
                "its weights are broken or overflow in half precision, set device to cpu to find out which"
            )
        # rounding to four decimals removes what depends on the batch that a question came in
        rounded = [round(score, 4) for score in scores]
        # of equal scores the first one wins
        return StudentAnswer(rounded.index(max(rounded)), rounded)


def _turned_back(outcomes: list[Outcome]) -> Outcome:
    """One outcome of a question's rotations, by 0, 1, …: every choice and score at its place in the original order."""
    if failed := next((one for one in outcomes if isinstance(one, BadRow)), None):
        return failed
    count = len(outcomes)
    answers = [
        msgspec.structs.replace(
            one,
            # place p of a rotation by 1 shows option p + 1; the last place shows option 0
            choice=None if one.choice is None else (one.choice + by) % count,
            scores=rotated(one.scores, count - by),
        )
        for by, one in enumerate(outcomes)
        if isinstance(one, StudentAnswer)
    ]
    return msgspec.structs.replace(answers[0], rotated=answers[1:])


def _combined(
    task: Task, as_asked: Outcome, in_reverse: Outcome | None, direct: str | AskFailed | None
) -> Outcome:
    """One outcome of a question's requests; if one of them got no answer, the whole question is skipped."""
    if isinstance(as_asked, BadRow):
        return as_asked
    if isinstance(in_reverse, BadRow):
        return in_reverse
    if isinstance(direct, AskFailed):
        # declined: an empty answer, which is wrong; not reached: the question was not asked
        if not direct.declined:
            return _not_answered(task, direct)
        direct = ""
    if in_reverse is not None:  # back to the indices of the original order
        last = len(task.question.choices) - 1
        in_reverse = StudentAnswer(
            None if in_reverse.choice is None else last - in_reverse.choice,
            in_reverse.scores[::-1],
            in_reverse.written,
        )
    return msgspec.structs.replace(
        as_asked,
        direct_answer=None if direct is None else extract_direct_answer(direct),
        reversed=in_reverse,
    )


def _read_choice(task: Task, text: str | AskFailed, choices: list[str]) -> Outcome:
    """A student that declines to answer is wrong; one that could not be reached has not been asked."""
    if isinstance(text, AskFailed):
        return _no_answer(task, text)
    return read_answer(task.question, text.strip(), choices)


def _no_answer(task: Task, failure: AskFailed) -> Outcome:
    return StudentAnswer(None, written=str(failure)) if failure.declined else _not_answered(task, failure)


def _read_text(task: Task, text: str | AskFailed) -> Outcome:
    """The answer to a question without options: that after `The answer is`, as in a direct answer."""
    if isinstance(text, AskFailed):
        return StudentAnswer(None, written=str(text)) if text.declined else _not_answered(task, text)
    if task.question.answer_kind == OPEN:
        return StudentAnswer(None, written=text.strip(), text=extract_direct_answer(text))
    return read_answer(task.question, text.strip())


def _not_answered(task: Task, failure: AskFailed) -> BadRow:
    return BadRow(task.row, f"student gave no answer: {failure}", "no answer from the student")
