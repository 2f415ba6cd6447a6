"""Which students of a study stay on the disk."""

from pathlib import Path

from dataengine_lib.runs.execution.step_page import render_step
from dataengine_lib.runs.reuse.dropped import drop_checkpoints
from dataengine_lib.runs.summary import write_pages
from dataengine_lib.runs.workflow import Planned


def drop_as_asked(planned: list[Planned], out: Path, keep: str) -> None:
    """Remove the checkpoints of a finished run in `out` but those that `keep` names: none, last or all.

    The run's pages do not link to them afterwards.
    """
    if keep == "all":
        return
    dropped = drop_checkpoints(planned, out, keep_last=keep == "last")
    for item in dropped:
        render_step(item)
    if dropped:
        write_pages(out)
