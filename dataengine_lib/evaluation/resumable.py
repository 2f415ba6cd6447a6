"""Step 1: all the questions, a part at a time, by one student or many; a run that was killed goes on."""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec

from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.evaluation.answers import Said
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


class _Row(msgspec.Struct):
    """One part's outcomes, under a key of everything that they depend on."""

    key: str
    outcomes: list[tuple[Said | None, Skipped | None]]


class AnswerProgress:
    """The finished parts in `file`, which one run holds at a time; a torn last line, of a kill, is dropped.

    Raises DataEngineError when it cannot be written, another run has it, or a line is no row.
    """

    def __init__(self, file: Path) -> None:
        self._rows = AppendFile(file, file)
        try:
            rows: Iterator[_Row] = self._rows.rows(msgspec.json.Decoder(_Row).decode)
            self._found = {row.key: row.outcomes for row in rows}
        except BaseException:
            self._rows.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()

    def get(self, key: str) -> list[Said | Skipped] | None:
        """What was said of the part."""
        found = self._found.get(key)
        return (
            None if found is None else [outcome for pair in found for outcome in pair if outcome is not None]
        )

    def add(self, key: str, outcomes: list[Said | Skipped]) -> None:
        """Keep a part's outcomes."""
        pairs: list[tuple[Said | None, Skipped | None]] = [
            (o, None) if isinstance(o, Said) else (None, o) for o in outcomes
        ]
        self._rows.add(_Row(key, pairs))


def fingerprint(*parts: object) -> str:
    """A key of what an answer depends on; files of a folder count by name, size and time of change."""
    content: list[object] = []
    for part in parts:
        if isinstance(part, Path):
            files = sorted(file for file in part.rglob("*") if file.is_file()) if part.is_dir() else [part]
            content += [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        else:
            content.append(part)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
