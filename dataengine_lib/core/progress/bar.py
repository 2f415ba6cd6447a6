"""The progress bar of every step: tqdm's on a terminal and in JupyterLab, a small file in a notebook that a run executes.

The terminal belongs to the run and the step to the kernel of its notebook, and a bar that the kernel displays would stay
in the executed notebook. Therefore the kernel displays none: it keeps the state of the bar in a file that the run reads.
"""

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from tqdm.std import tqdm as ProgressBar

from dataengine_lib.core.progress.bar_state import BarState, bar_words

# Names the file. Programs that a kernel starts inherit the variable, but their bars are not the step's.
BAR_VARIABLE = "DATAENGINE_BAR"
_SECONDS = 0.5  # between two states of a bar that are written
_LOG_SECONDS = 30.0  # between two lines of a log

_numbers = count()
_open_bars: dict[int, "BarState"] = {}  # by number, in the order in which they were begun


def progress_bar(items: Iterable[Any] | None = None, **options: Any) -> "ProgressBar[Any]":
    """tqdm's bar over `items`, or one that is updated by hand, with tqdm's `options` such as `total` and `desc`.

    It is drawn on a terminal and, as a widget, in a notebook that a person runs; a log gets a line every half minute.
    """
    if file := _file_of_run():
        return _FileBar(items, file=file, **options)
    if not (_is_kernel() or sys.stderr.isatty()):
        return _LogBar(items, **options)
    # tqdm.auto imports ipywidgets in a kernel
    from tqdm.auto import tqdm

    return tqdm(items, **options)


def read_bar(file: Path) -> BarState | None:
    """The bar that was begun last of those that have not ended; None without one."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=BarState)
    except (OSError, msgspec.DecodeError):
        return None


def _file_of_run() -> Path | None:
    """The file in which the run that started this kernel looks for the bar; None in any other process."""
    file = os.environ.get(BAR_VARIABLE)
    return Path(file) if file and _is_kernel() else None


def _is_kernel() -> bool:
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()


def _state(bar: "ProgressBar[Any]") -> BarState:
    return BarState(
        what=bar.desc.removesuffix(": "),
        unit=bar.unit,
        done=int(bar.n),
        first=int(bar.initial),
        total=None if bar.total is None else int(bar.total),
        rate=bar.format_dict["rate"],
        note=bar.postfix or "",
        started=bar.start_t,
    )


class _LogBar(ProgressBar):  # type: ignore[misc]
    """A bar of a step that writes into a file or a pipe: a line of standard error now and then, none if it is quick."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._line_due = time.monotonic() + _LOG_SECONDS
        # with `gui` tqdm leaves all drawing to `display`; `miniters` keeps it from calling that by the number of items
        super().__init__(*args, gui=True, mininterval=_LOG_SECONDS, miniters=1, **options)

    def display(self, *_: Any, **__: Any) -> None:
        # also called by a new description or postfix
        if time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + _LOG_SECONDS
            print(bar_words(_state(self)), file=sys.stderr, flush=True)

    def clear(self, *_: Any, **__: Any) -> None:
        """Nothing is drawn."""


class _FileBar(ProgressBar):  # type: ignore[misc]
    """A bar that draws nothing and keeps its state in a file; the file is gone when no bar is open."""

    def __init__(self, *args: Any, file: Path, **options: Any) -> None:
        self._state_file, self._number = file, next(_numbers)
        # with `gui` tqdm leaves all drawing to `display`
        super().__init__(*args, gui=True, mininterval=_SECONDS, **options)
        if not self.disable:
            self.display()

    def display(self, *_: Any, **__: Any) -> None:
        _open_bars[self._number] = _state(self)
        # an outer bar waits for the one within it
        if max(_open_bars) == self._number:
            _write_last(self._state_file)

    def clear(self, *_: Any, **__: Any) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        super().close()
        if _open_bars.pop(self._number, None):
            _write_last(self._state_file)


def _write_last(file: Path) -> None:
    """Write the bar that was begun last; without one, remove the file."""
    # On a full disk, or after the run was killed, the bar is lost, and the step goes on.
    with suppress(OSError):
        if not _open_bars:
            file.unlink(missing_ok=True)
            return
        partial = file.with_suffix(".tmp")
        partial.write_bytes(msgspec.json.encode(_open_bars[max(_open_bars)]))
        partial.replace(file)
