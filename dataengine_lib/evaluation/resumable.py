"""Step 1: all the questions, a part at a time, by one student or many; a run that was killed goes on."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from dataengine_lib.evaluation.answer_progress import AnswerProgress, fingerprint
from dataengine_lib.evaluation.questioner import Outcome, Questioner, Task
from dataengine_lib.questions.reader import Skipped

_NOT_ASKED = Skipped("", "", "")


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
) -> Generator[tuple[int, list[Outcome]], None, None]:
    """(number of a part, its outcomes) as they come; `make` loads a student, in each of the workers.

    Whoever stops in the middle must close it: a notebook keeps the last error, and with it students and workers.
    """
    if not parts:
        return
    if workers == 1:
        questioner = make()
        yield from ((number, questioner.ask(part)) for number, part in enumerate(parts))
    else:
        from dataengine_lib.evaluation.workers import answered_by_workers

        yield from answered_by_workers(parts, make, workers)


def answered_with_progress(
    parts: Sequence[list[Task]],
    make: Callable[[], Questioner],
    workers: int | str,
    file: Path,
    opinion: str,
    root: Path,
) -> Generator[tuple[int, list[Outcome]], None, None]:
    """As `answered`, with every part kept in `file`; parts kept there before come first.

    What was left out before is asked again: an image may be readable now. `opinion` says what an answer depends on
    beside question and image.
    """
    with AnswerProgress(file) as progress:
        keys = [fingerprint(opinion, *_content(part, root)) for part in parts]
        missing: list[tuple[int, list[Outcome], list[Task]]] = []
        for number, (part, key) in enumerate(zip(parts, keys, strict=True)):
            before = progress.get(key) or [_NOT_ASKED] * len(part)
            left = [task for task, outcome in zip(part, before, strict=True) if isinstance(outcome, Skipped)]
            if left:
                missing.append((number, before, left))
            else:
                yield number, before
        with closing(answered([left for _, _, left in missing], make, workers)) as coming:
            for place, found in coming:
                number, before, _ = missing[place]
                new = iter(found)
                outcomes = [next(new) if isinstance(outcome, Skipped) else outcome for outcome in before]
                progress.add(keys[number], outcomes)
                yield number, outcomes


def _content(part: Sequence[Task], root: Path) -> Iterator[object]:
    for task in part:
        image = os.stat(root / task.image)
        yield (task.row, task.question, task.image, image.st_size, image.st_mtime_ns)
