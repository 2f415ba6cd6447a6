"""The report of step 5: the data sets of a training, and what was left out of each."""

from collections.abc import Sequence
from typing import Any

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.report.tables import Figure, Html, percent, table


def sets_table(parts: Sequence[Any]) -> Html:
    """A row for each data set: usable rows, draws of them, share of all draws, and the rows left out by reason.

    `parts` are those of the training's log: `name`, `file`, `rows`, `text_only`, `drawn`, `share` and `left_out`.
    """
    rows = [
        [
            part.name,
            part.file,
            Figure(f"{part.rows:,}"),
            Figure(f"{part.text_only:,}"),
            Figure(f"{part.drawn:,}"),
            percent(part.share),
            counted_reasons(part.left_out) or "none",
        ]
        for part in parts
    ]
    head = [
        "data set",
        "file",
        "rows",
        "of these without an image",
        "draws",
        "share of draws",
        "rows left out",
    ]
    return table(rows, head, f"{sum(part.drawn for part in parts):,} draws from {len(parts)} data sets")
