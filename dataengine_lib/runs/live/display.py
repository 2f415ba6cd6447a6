"""What is seen of a step while it works (all steps): lines on a terminal, a line now and then in a log, the run's page.

The step works in the kernel of its notebook; a thread of the run reads the file in which the kernel keeps its bar.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from tqdm.std import tqdm

from dataengine_lib.core.progress.bar import read_bar
from dataengine_lib.core.progress.bar_state import bar_seconds
from dataengine_lib.core.text import duration
from dataengine_lib.runs.live.step_status import StepStatus
from dataengine_lib.runs.live.time_left import TimeLeft

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 30.0


class StatusView(Protocol):
    """A place where the status of a step is seen; `seconds` pass between two updates."""

    seconds: float

    def show(self, status: StepStatus) -> None:
        """Show the newest status."""

    def end(self) -> None:
        """The step has ended."""


class _TerminalLines:
    """Two lines of standard error above those of papermill: the step's bar, and the run."""

    seconds = _TERMINAL_SECONDS

    def __init__(self) -> None:
        self._step, self._run = (
            tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, file=sys.stderr) for _ in range(2)
        )

    def show(self, status: StepStatus) -> None:
        # the width at this moment, as the window may have been changed; a longer line would be broken
        columns = self._run.format_dict["ncols"]
        self._step.set_description_str(status.meter(columns))
        self._run.set_description_str(status.run_words[:columns])

    def end(self) -> None:
        self._run.close()
        self._step.close()


class _LogLines:
    """A line of the log every half minute; none in a shorter step."""

    seconds = _LOG_SECONDS

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print_line = print_line

    def show(self, status: StepStatus) -> None:
        self._print_line(status.line)

    def end(self) -> None:
        pass


class StepDisplay:
    """Shows each step of a run while it works: on the terminal if standard error is one, else by `print_line`.

    `page` is a further view.
    """

    def __init__(
        self, times: TimeLeft, print_line: Callable[[str], None], page: StatusView | None = None
    ) -> None:
        self.times, self._print_line, self._page = times, print_line, page

    @contextmanager
    def step(self, title: str, label: str, waiting: Sequence[str]) -> Iterator[Path]:
        """Show the step `label` while the block works; the file that a kernel keeps its bar in.

        `waiting` are the labels of the steps after it. Raises what a view raised, such as BrokenPipeError, after the block.
        """
        on_terminal = sys.stderr.isatty()
        lines: StatusView = _TerminalLines() if on_terminal else _LogLines(self._print_line)
        views = [lines, self._page] if self._page else [lines]
        # after Ctrl-C a kernel may still write into it
        with TemporaryDirectory(prefix="dataengine-", ignore_cleanup_errors=True) as folder:
            file, began = Path(folder, "bar.json"), time.monotonic()

            def status() -> StepStatus:
                bar, elapsed = read_bar(file), time.monotonic() - began
                left = self.times.seconds(label, elapsed, bar_seconds(bar) if bar else None, waiting)
                return StepStatus(title, elapsed, bar, left)

            shown = _Shown(views, status)
            shown.start()
            try:
                yield file
            finally:
                shown.end()
        if shown.error:
            raise shown.error
        if on_terminal:  # in place of the lines that have gone
            self._print_line(f"{title}: {duration(time.monotonic() - began)}")


class _Shown(threading.Thread):
    """Updates views, each in its own time, until `end`; an error ends it and is kept."""

    def __init__(self, views: Sequence[StatusView], status: Callable[[], StepStatus]) -> None:
        super().__init__(daemon=True)
        self.views, self.status = views, status
        self.error: Exception | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        now = time.monotonic()
        due = [now + view.seconds for view in self.views]
        while not self._ended.wait(max(0.0, min(due) - time.monotonic())):
            try:
                for number, view in enumerate(self.views):
                    if due[number] <= time.monotonic():
                        view.show(self.status())
                        due[number] = time.monotonic() + view.seconds
            except Exception as error:  # raised by the run itself, at the end of the step
                self.error = error
                return

    def end(self) -> None:
        """Stop, and let the views know."""
        self._ended.set()
        self.join()
        for view in self.views:
            view.end()
