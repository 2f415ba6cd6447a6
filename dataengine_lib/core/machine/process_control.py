"""What a system offers a process about itself and those that it starts (all steps), where Python has no call for it."""

import ctypes
import os
import signal
import sys

# of <linux/prctl.h>
_SET_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36


def end_with_parent(parent: int) -> bool:
    """Have this process killed when the process `parent`, which has started it, ends in any way; False where it has."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    return os.getppid() == parent


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def adopt_orphans() -> None:
    """Make this process the parent of those below it whose own parent ends; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
