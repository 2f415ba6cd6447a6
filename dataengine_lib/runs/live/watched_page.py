"""The run's page while a person watches it (all steps): written anew while a step works, with how far it is."""

import time
from pathlib import Path

from dataengine_lib.core.progress.bar_state import bar_share, bar_words
from dataengine_lib.report.index import write_run_index
from dataengine_lib.report.pages.watched import RELOAD_SECONDS, RunningStep
from dataengine_lib.runs.live.step_status import StepStatus

_MOST_WORK = 0.01  # share of the time that writing the page may take


class WatchedPage:
    """Keeps `index.html` of the run in `folder` up to date; `seconds` pass between two updates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seconds: float = RELOAD_SECONDS

    def show(self, status: StepStatus) -> None:
        began = time.monotonic()
        bar = status.bar
        words, share = (bar_words(bar), bar_share(bar)) if bar else ("", None)
        write_run_index(self._folder, RunningStep(status.run_words, words, share))
        self.seconds = max(RELOAD_SECONDS, (time.monotonic() - began) / _MOST_WORK)

    def end(self) -> None:
        """Nothing to do: the run writes the page at the end of a step."""
