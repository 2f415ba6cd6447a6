"""Step 1: rows that cannot be used, counted by reason; too many of them stop the step."""

from collections import Counter
from pathlib import Path

import msgspec

from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import Skipped
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK


class SkippedRows(msgspec.Struct):
    """Rows that could not be used, of how many, by reason and one by one."""

    total: int
    of: int
    by_reason: dict[str, int]
    rows: list[Skipped]


class Skips:
    """Rows left out of `of`; over `max_share` of them, `add` raises DataEngineError naming the first.

    SEED-Bench's questions about videos are left out too, but there is nothing wrong with them.
    """

    def __init__(self, file: Path, max_share: float, of: int) -> None:
        self.file, self.max_share, self.of = file, max_share, of
        self.rows: list[Skipped] = []

    def add(self, rows: list[Skipped], *, more: int = 0) -> None:
        """Leave out `rows`; `more` of them had not been counted among all rows."""
        self.rows += rows
        self.of += more
        bad = [row for row in self.rows if row.kind != NO_IMAGE_TASK]
        if len(bad) > self.max_share * self.of:
            raise DataEngineError(
                f"{self.file}: {bad[0].row}: {bad[0].reason}; {len(bad)} of {self.of} rows cannot be used: "
                f"mend them, check image_root, or raise max_bad_share ({self.max_share})"
            )

    def summary(self) -> SkippedRows:
        """The counts by reason, and the rows."""
        reasons = Counter(row.kind for row in self.rows)
        return SkippedRows(len(self.rows), self.of, dict(sorted(reasons.items())), self.rows)
