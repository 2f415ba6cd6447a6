"""What Linux offers a process about those that it starts (all steps): Python has no calls for it."""

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


def adopt_orphans() -> None:
    """Make this process the parent of those below it whose own parent ends; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
