"""Step 1: the answers so far in a file, so that a run that was killed continues instead of starting again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.evaluation.answers import StudentAnswer


class _ProgressRow(msgspec.Struct):
    """One batch's outcomes, under a key of everything that they depend on; of each pair one is None."""

    key: str
    # pairs, since msgspec cannot tell two types without a tag apart in a union
    outcomes: list[tuple[StudentAnswer | None, BadRow | None]]


class AnswerProgress:
    """The finished batches in `file`, which one run holds at a time; a last line that a kill left torn is dropped.

    Raises DataEngineError when the file cannot be written, another run has it, or a line is not a row.
    """

    def __init__(self, file: Path) -> None:
        self._file = AppendFile(file, file)  # locked until the run ends
        try:
            rows: Iterator[_ProgressRow] = self._file.rows(msgspec.json.Decoder(_ProgressRow).decode)
            # of rows with the same key the last one counts: an earlier one may hold rows that were skipped
            self._found = {row.key: row.outcomes for row in rows}
        # whatever fails here, the lock must not stay: __exit__ is not called
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def get(self, key: str) -> list[StudentAnswer | BadRow] | None:
        """The outcomes of a batch, in the order of its tasks; None when it is not in the file."""
        found = self._found.get(key)
        if found is None:
            return None
        return [outcome for pair in found for outcome in pair if outcome is not None]

    def add(self, key: str, outcomes: list[StudentAnswer | BadRow]) -> None:
        """Append a batch's outcomes. Raises DataEngineError when they cannot be written."""
        pairs: list[tuple[StudentAnswer | None, BadRow | None]] = [
            (outcome, None) if isinstance(outcome, StudentAnswer) else (None, outcome) for outcome in outcomes
        ]
        self._file.add(_ProgressRow(key, pairs))
