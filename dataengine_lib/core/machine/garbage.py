"""Python's garbage collector beside long work that makes many objects (step 4)."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def older_objects_kept() -> Iterator[None]:
    """While the block runs, the collector looks at new objects alone, not at the million that imports have made.

    Saves 7 % of the time of step 4, which makes some fifty objects for each reply.
    """
    # a forked kernel's imports stay as they are: looked at once, each would take memory of its own
    frozen_before = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()
