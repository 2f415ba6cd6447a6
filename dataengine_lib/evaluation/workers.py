"""Step 1 on more than one process or machine: parts of the questions on Ray actors, one student each."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.core.ray_cluster import node_resources, ray_cluster, shares
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.questioner import Outcome, Questioner, Task

_RESTARTS = 3  # of one worker; one that dies again and again has a fault that another start does not mend


def answered_by_workers(
    parts: Sequence[list[Task]], make: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """(number of a part, its outcomes) as they are done; `make` loads a student in each worker.

    `workers` is how many to start on this machine, or `ray`: one for each GPU, else for each CPU, of the cluster
    that RAY_ADDRESS names (this machine without it). A worker that dies is started again and its part asked
    again. Raises DataEngineError when Ray is not there or workers keep dying.
    """
    with ray_cluster(workers, "workers", "workers to 1") as ray:
        try:
            yield from _answered(ray, parts, make, workers)
        except ray.exceptions.RayActorError as error:
            raise DataEngineError(
                f"workers: a worker died {_RESTARTS + 1} times ({_line(error)}); its answers so far are kept, check "
                "memory, lower workers or batch_size, and run again"
            ) from error


def _answered(
    ray: Any, parts: Sequence[list[Task]], make: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """Every worker has one part at a time and gets the next when it is done with it."""
    count, share = shares(node_resources(ray), workers, len(parts))
    kind = ray.remote(max_restarts=_RESTARTS, max_task_retries=_RESTARTS, **share)(_Worker)
    folder = str(Path.cwd())
    waiting = iter(enumerate(parts))
    running: dict[Any, tuple[int, Any]] = {}
    for actor in [kind.remote(make, folder) for _ in range(count)]:
        number, part = next(waiting)
        running[actor.ask.remote(part)] = (number, actor)
    while running:
        (ready, *_), _ = ray.wait(list(running))
        number, actor = running.pop(ready)
        outcomes = ray.get(ready)
        if (following := next(waiting, None)) is not None:
            running[actor.ask.remote(following[1])] = (following[0], actor)
        yield number, outcomes


class _Worker:
    """Holds a student; `folder` is where the parameters' paths start."""

    def __init__(self, make: Callable[[], Questioner], folder: str) -> None:
        os.chdir(folder)
        self.make = make
        self.questioner: Questioner | None = None

    def ask(self, part: list[Task]) -> list[Outcome]:
        # loaded here, where what is wrong with the student comes back as the error that it is
        self.questioner = self.questioner or self.make()
        return self.questioner.ask(part)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
