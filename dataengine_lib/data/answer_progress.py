"""Step 1, killed and run again: what the student has said so far, kept as it comes."""

import hashlib
from pathlib import Path
from typing import Self

import msgspec

from dataengine_lib.data.files import append_jsonl, read_jsonl, write_jsonl
from dataengine_lib.data.questions import Skipped
from dataengine_lib.data.said import Said


class _Row(msgspec.Struct):
    """One part's outcomes, under a key of everything that they depend on."""

    key: str
    outcomes: list[tuple[Said | None, Skipped | None]]


class AnswerProgress:
    """The finished parts in `file`; a torn last line, of a kill while it was written, is dropped."""

    def __init__(self, file: Path) -> None:
        self.file = file
        rows: list[_Row] = read_jsonl(file, _Row, torn_tail=True) if file.exists() else []
        write_jsonl(file, rows)  # whole rows only: nothing is appended to a torn line
        self._found = {row.key: row.outcomes for row in rows}
        self._stream = file.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

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
        append_jsonl(self._stream, _Row(key, pairs))


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
