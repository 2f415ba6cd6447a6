"""Step 1: all questions in batches, by one student or by several workers; a run that was killed continues."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.files import fingerprint
from dataengine_lib.core.machine.forks import ForkEnded, in_forks
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answer_progress import AnswerProgress
from dataengine_lib.evaluation.questioner import Outcome, Questioner
from dataengine_lib.evaluation.tasks import Task

# stands for each question of a batch that the file does not have
_NOT_ASKED = BadRow("", "", "")
# (number of a batch, the outcomes of its tasks), as they are done
_BatchOutcomes = Generator[tuple[int, list[Outcome]], None, None]


@dataclass(frozen=True)
class ProgressSettings:
    """Where answers are kept until all are written, and what they depend on.

    `student_key` is of everything beside question and image (the student and how it is asked); `image_root` is
    where the tasks' image paths start.
    """

    file: Path
    student_key: str
    image_root: Path


def batches_by_image(tasks: Sequence[Task], batch_size: int) -> list[list[Task]]:
    """Batches of at most `batch_size` images, each with all questions about it, in file order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.image, []).append(task)
    by_image = list(groups.values())  # images in the order of their first question
    return [
        [task for group in by_image[at : at + batch_size] for task in group]
        for at in range(0, len(by_image), batch_size)
    ]


def ask_in_batches(
    batches: Sequence[list[Task]], make_questioner: Callable[[], Questioner], workers: int | str = 1
) -> _BatchOutcomes:
    """Ask every batch; `make_questioner` loads a student, once in each worker.

    Where one worker's student is small, copies of this process ask batches at the same time. A caller that stops early
    must close the generator: a notebook keeps the last traceback, and with it students and workers. Raises
    DataEngineError when the student cannot be loaded or is broken, or workers keep dying.
    """
    if not batches:
        return
    if workers == 1:
        questioner = make_questioner()
        questioner.at_once = min(questioner.processes, len(batches))
        with closing(in_forks(questioner.ask, batches, questioner.processes)) as found:
            try:
                yield from enumerate(found)
            except ForkEnded as error:
                raise DataEngineError(
                    f"the student: {error}, most likely for lack of memory; its answers so far are kept, set "
                    "OMP_NUM_THREADS to 1 and run again"
                ) from error
    else:
        from dataengine_lib.evaluation.workers import ask_with_workers

        yield from ask_with_workers(batches, make_questioner, workers)


def ask_with_progress(
    batches: Sequence[list[Task]],
    make_questioner: Callable[[], Questioner],
    workers: int | str,
    settings: ProgressSettings,
) -> _BatchOutcomes:
    """As `ask_in_batches`, with every batch kept in a file; the batches found there come first.

    What was skipped in an earlier run is asked once more: its image may be readable now.
    """
    with AnswerProgress(settings.file) as progress:
        # a changed student, question or image changes the key, and the batch is asked once more
        # another batch size makes other batches, so none of their keys is found
        keys = [fingerprint(settings.student_key, *_content(batch, settings.image_root)) for batch in batches]
        unfinished: list[tuple[int, list[Outcome], list[Task]]] = []
        for number, (batch, key) in enumerate(zip(batches, keys, strict=True)):
            known = progress.get(key) or [_NOT_ASKED] * len(batch)
            to_ask = [task for task, outcome in zip(batch, known, strict=True) if isinstance(outcome, BadRow)]
            if to_ask:
                unfinished.append((number, known, to_ask))
            else:
                yield number, known
        asked = ask_in_batches([to_ask for _, _, to_ask in unfinished], make_questioner, workers)
        # workers end with this loop, also when the caller stops early
        with closing(asked):
            for place, found in asked:
                # `place` counts the unfinished batches only, `number` all of them
                number, known, _ = unfinished[place]
                # new outcomes take the places of those that were skipped or never asked
                new = iter(found)
                outcomes = [next(new) if isinstance(outcome, BadRow) else outcome for outcome in known]
                # written before the caller gets them, so that a kill in between loses nothing
                progress.add(keys[number], outcomes)
                yield number, outcomes


def _content(batch: Sequence[Task], image_root: Path) -> Iterator[object]:
    """What the outcomes of a batch depend on: its questions and image files."""
    for task in batch:
        image = os.stat(image_root / task.image)
        yield (task.row, task.question, task.image, image.st_size, image.st_mtime_ns)
