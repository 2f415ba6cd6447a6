"""Step 1 on more than one process or machine: batches of questions on Ray actors, each with its own student."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.core.machine.ray_cluster import most_on_one_node, node_resources, ray_cluster, shares
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.questioner import Outcome, Questioner
from dataengine_lib.evaluation.tasks import Task

_RESTARTS = 3  # of one worker; if it dies more often, another restart would not help


def ask_with_workers(
    batches: Sequence[list[Task]], make_questioner: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """(number of a batch, its outcomes) as they are done; `make_questioner` loads a student in each worker.

    `workers` is how many to start on this machine, or `ray`: one for each GPU, else for each CPU, of the cluster
    that RAY_ADDRESS names (this machine without it). A worker that dies is restarted and its batch is asked once
    more. Raises DataEngineError when Ray is not installed or workers keep dying.
    """
    with ray_cluster(workers, "workers", "workers to 1") as ray:
        try:
            yield from _ask_on_actors(ray, batches, make_questioner, workers)
        except ray.exceptions.RayActorError as error:
            raise DataEngineError(
                f"workers: a worker died {_RESTARTS + 1} times ({_one_line(error)}); its answers so far are kept, "
                "check memory, lower workers or batch_size, and run again"
            ) from error


def _ask_on_actors(
    ray: Any, batches: Sequence[list[Task]], make_questioner: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """Every worker has one batch at a time and gets the next when it is done with it."""
    nodes = node_resources(ray)
    count, share = shares(nodes, workers, len(batches))
    actor_class = ray.remote(max_restarts=_RESTARTS, max_task_retries=_RESTARTS, **share)(_Worker)
    folder = str(Path.cwd())
    waiting = iter(enumerate(batches))
    running: dict[Any, tuple[int, Any]] = {}  # by Ray's reference to the coming result
    # shares() starts no more workers than there are batches, so next() finds one for each
    at_once = most_on_one_node(nodes, count, share)
    for actor in [actor_class.remote(make_questioner, folder, at_once) for _ in range(count)]:
        number, batch = next(waiting)
        running[actor.ask.remote(batch)] = (number, actor)
    while running:
        # ray.wait returns when the first result is there
        (ready, *_), _ = ray.wait(list(running))
        number, actor = running.pop(ready)
        outcomes = ray.get(ready)
        if (following := next(waiting, None)) is not None:
            running[actor.ask.remote(following[1])] = (following[0], actor)
        yield number, outcomes


class _Worker:
    """Holds a student; `folder` is where relative paths start; at most `at_once` workers are on its machine."""

    def __init__(self, make_questioner: Callable[[], Questioner], folder: str, at_once: int) -> None:
        os.chdir(folder)
        self.make_questioner, self.at_once = make_questioner, at_once
        self.questioner: Questioner | None = None

    def ask(self, batch: list[Task]) -> list[Outcome]:
        # loaded here and not in __init__, so that an error about the student arrives as itself
        if self.questioner is None:
            self.questioner = self.make_questioner()
            self.questioner.at_once = self.at_once
        return self.questioner.ask(batch)


def _one_line(error: BaseException) -> str:
    return one_line(str(error))[:160]
