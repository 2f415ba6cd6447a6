"""Step 1: rows that cannot be used, counted by reason; too many of them stop the step."""

from collections import Counter
from pathlib import Path

import msgspec

from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import SkippedRow
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK


class SkippedRows(msgspec.Struct):
    """The part of `metrics.json` about skipped rows: how many of how many rows, by reason and one by one."""

    total: int
    of: int
    by_reason: dict[str, int]
    rows: list[SkippedRow]


class SkippedRowCounter:
    """Collects skipped rows of `file`, which has `n_rows` rows to use; at most a share of `max_share` may be bad.

    SEED-Bench's questions about videos are skipped too, but are not bad.
    """

    def __init__(self, file: Path, max_share: float, n_rows: int) -> None:
        self.file, self.max_share, self.n_rows = file, max_share, n_rows
        self.rows: list[SkippedRow] = []

    def add(self, rows: list[SkippedRow], *, extra: int = 0) -> None:
        """Count `rows` as skipped; `extra` of them are not among the `n_rows`.

        Raises DataEngineError naming the first bad row when there are too many.
        """
        self.rows += rows
        self.n_rows += extra
        # counted at each call: a run should stop at the first batch that makes too many
        bad = [row for row in self.rows if row.kind != NO_IMAGE_TASK]
        if len(bad) > self.max_share * self.n_rows:
            raise DataEngineError(
                f"{self.file}: {bad[0].row}: {bad[0].reason}; {len(bad)} of {self.n_rows} rows cannot be used: "
                f"correct them, check image_root, or raise max_bad_share ({self.max_share})"
            )

    def summary(self) -> SkippedRows:
        """The counts by reason, and the rows."""
        reasons = Counter(row.kind for row in self.rows)
        return SkippedRows(len(self.rows), self.n_rows, dict(sorted(reasons.items())), self.rows)
