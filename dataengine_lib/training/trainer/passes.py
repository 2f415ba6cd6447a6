"""Step 5: the training steps divided into passes, one of them on a device at a time, and the loader of their tensors.

The loss of a step is the mean over the answer tokens of all its rows, however it is divided: each pass is weighted by
its share of these tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from dataengine_lib.training.examples import Example, ExampleEncoder

LEARNT = "learnt"  # the key among a pass's inputs of (its answer tokens, those of its step)
Steps = Sequence[Sequence[Example]]


class _Passed(NamedTuple):
    """A row of a pass; the answer tokens of the pass and those of its step."""

    example: Example
    learnt: tuple[int, int]


@dataclass(frozen=True)
class Passes(Sampler[list[int]]):
    """The passes of one process in order, each as places in `rows`.

    Every step has `accumulate` passes in each of `world` processes. A step with fewer rows is filled up with passes
    over its first row that count nothing, since all processes have to take part in each pass.
    """

    rows: list[_Passed] = field(default_factory=list)
    places: list[list[int]] = field(default_factory=list)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def passes_of(steps: Steps, accumulate: int, world: int = 1, rank: int = 0) -> Passes:
    """The passes of the process `rank` of `world`."""
    made, parts = Passes(), accumulate * world
    for batch in steps:
        learnt = sum(example.answer for example in batch)
        for part in range(rank * accumulate, (rank + 1) * accumulate):
            chosen = batch[part * len(batch) // parts : (part + 1) * len(batch) // parts]
            counted = (sum(example.answer for example in chosen), learnt)
            begin = len(made.rows)
            made.rows.extend(_Passed(example, counted) for example in chosen or batch[:1])
            made.places.append(list(range(begin, len(made.rows))))
    return made


class _Rows(Dataset[_Passed]):
    def __init__(self, rows: list[_Passed]) -> None:
        self._rows = rows

    def __getitem__(self, place: int) -> _Passed:
        return self._rows[place]


class _Collate:
    """The model's inputs of a pass, with LEARNT; a class, since workers may have to pickle it."""

    def __init__(self, examples: ExampleEncoder) -> None:
        self._examples = examples

    def __call__(self, rows: list[_Passed]) -> dict[str, Any]:
        inputs = self._examples.batch([row.example for row in rows])
        return inputs | {LEARNT: rows[0].learnt}


def examples_of(passes: Passes) -> list[list[Example]]:
    """The rows of each pass, in order."""
    return [[passes.rows[place].example for place in places] for places in passes.places]


def pass_inputs(examples: ExampleEncoder, passes: Passes, number: int) -> dict[str, Any]:
    """The inputs of one pass, as `pass_loader` gives them."""
    return _Collate(examples)([passes.rows[place] for place in passes.places[number]])


def pass_loader(examples: ExampleEncoder, passes: Passes, workers: int) -> DataLoader[_Passed]:
    """Gives the inputs of each pass in order, made in `workers` processes; 0 makes them in this one."""
    return DataLoader(
        _Rows(passes.rows),
        batch_sampler=passes,
        collate_fn=_Collate(examples),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        # a generator of its own: the loader draws a number for its workers, and dropout must not depend on that
        generator=torch.Generator().manual_seed(0),
    )
