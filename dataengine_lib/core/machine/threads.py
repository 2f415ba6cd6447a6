"""How many threads torch computes with: one for a small model, so that its results are the same on every machine.

A sum that threads share out may be rounded differently with each number of threads. Beside busy programs, where the
threads of a model are seldom computing at the same time, a second one gains a small model nothing. How waiting
threads behave is set in `dataengine_lib/__init__.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Two threads on idle cores are 1.6 to 1.9 times as fast at any size (tests/benchmarks/machine/thread_worth.py). Below
# this, a step on one core takes seconds at most, and equal bytes are worth more; larger models are worth all threads.
ONE_THREAD_BELOW = 50_000_000

_replaced: list[int] = []  # what the blocks that run have replaced, the outermost first


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """While the block runs, torch has the number of threads that `model`, or one of so many parameters, is worth.

    Below 50 million parameters that is one. Larger models have torch's own number, which OMP_NUM_THREADS or
    `torch.set_num_threads` limits, else the machine's cores: what they compute may differ in the last digits with it.
    """
    import torch

    before = torch.get_num_threads()
    parameters = model if isinstance(model, int) else parameter_count(model)
    if before == 1 or parameters >= ONE_THREAD_BELOW:
        yield
        return
    torch.set_num_threads(1)
    _replaced.append(before)
    try:
        yield
    finally:
        _replaced.pop()
        torch.set_num_threads(before)


def available_threads() -> int:
    """How many threads a large model has here, also inside a block of `threads_for`."""
    import torch

    return _replaced[0] if _replaced else torch.get_num_threads()


def works_at_once(parameters: int) -> int:
    """How many pieces of a model's work on a processor are worth being computed at the same time, each in one thread.

    A small model has as many as a large one has threads (the machine's cores, or OMP_NUM_THREADS); a large one has one.
    """
    return 1 if parameters >= ONE_THREAD_BELOW else available_threads()


def parameter_count(model: Any) -> int:
    """The parameters of a torch module; packed ones (4 bits) count by their bytes."""
    return sum(parameter.numel() for parameter in model.parameters())
