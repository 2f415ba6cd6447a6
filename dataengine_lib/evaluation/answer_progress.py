"""Step 1, killed and run again: what the student has said so far, kept as it comes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.evaluation.said import Said
from dataengine_lib.questions.reader import Skipped


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
