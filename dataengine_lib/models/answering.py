"""Step 1: all the questions, a part at a time, by one student or many; a run that was killed goes on."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dataengine_lib.data.answer_progress import AnswerProgress, fingerprint
from dataengine_lib.models.questioning import Outcome, Questioner, Task


def by_image(tasks: Sequence[Task], batch_size: int) -> list[list[Task]]:
    """Parts of at most `batch_size` images, with all questions about them, in file order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.image, []).append(task)
    together = list(groups.values())
    return [
        [task for group in together[at : at + batch_size] for task in group]
        for at in range(0, len(together), batch_size)
    ]


def answered(
    parts: Sequence[list[Task]], make: Callable[[], Questioner], workers: int | str = 1
) -> Iterator[tuple[int, list[Outcome]]]:
    """(number of a part, its outcomes) as they come; `make` loads a student, in each of the workers."""
    if not parts:
        return
    if workers == 1:
        questioner = make()
        yield from ((number, questioner.ask(part)) for number, part in enumerate(parts))
    else:
        from dataengine_lib.models.workers import answered_by_workers

        yield from answered_by_workers(parts, make, workers)


def answered_with_progress(
    parts: Sequence[list[Task]],
    make: Callable[[], Questioner],
    workers: int | str,
    file: Path,
    opinion: str,
    root: Path,
) -> Iterator[tuple[int, list[Outcome]]]:
    """As `answered`, with every part kept in `file`; parts kept there before come first.

    `opinion` says what an answer depends on beside question and image.
    """
    with AnswerProgress(file) as progress:
        keys = [fingerprint(opinion, *_content(part, root)) for part in parts]
        missing = []
        for number, key in enumerate(keys):
            if (outcomes := progress.get(key)) is None:
                missing.append(number)
            else:
                yield number, outcomes
        for place, outcomes in answered([parts[number] for number in missing], make, workers):
            progress.add(keys[missing[place]], outcomes)
            yield missing[place], outcomes


def _content(part: Sequence[Task], root: Path) -> Iterator[object]:
    for task in part:
        image = os.stat(root / task.image)
        yield (task.row, task.question, task.image, image.st_size, image.st_mtime_ns)
