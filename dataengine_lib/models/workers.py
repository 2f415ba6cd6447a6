"""Step 1 on more than one process or machine: parts of the questions on Ray actors, one student each."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.questioning import Outcome, Questioner, Task

_RESTARTS = 3  # of one worker; one that dies again and again has a fault that another start does not mend


def answered_by_workers(
    parts: Sequence[list[Task]], make: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """(number of a part, its outcomes) as they are done; `make` loads a student in each worker.

    `workers` is how many to start on this machine, or `ray`: one for each GPU, else for each CPU, of the cluster
    that RAY_ADDRESS names (this machine without it). A worker that dies is started again and its part asked
    again. Raises DataEngineError when Ray is not there or workers keep dying.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        _join(ray, workers)
    try:
        yield from _answered(ray, parts, make, workers)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DataEngineError):
            raise error.cause from error
        raise
    except ray.exceptions.RayActorError as error:
        raise DataEngineError(
            f"workers: a worker died {_RESTARTS + 1} times ({_line(error)}); its answers so far are kept, check "
            "memory, lower workers or batch_size, and run again"
        ) from error
    finally:
        if started:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DataEngineError(
            "workers: needs Ray; pip install 'mllm-dataengine[ray]', or set workers to 1"
        ) from error
    return ray


def _join(ray: Any, workers: int | str) -> None:
    """The cluster that RAY_ADDRESS names for `ray`, else one of this machine's own."""
    more: dict[str, Any] = (
        {"address": "local", "num_cpus": max(int(workers), os.cpu_count() or 1)}
        if workers != "ray"
        else ({} if os.environ.get("RAY_ADDRESS") else {"address": "local"})
    )
    # nothing is sent home, no page is served, and nothing is printed into the report
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **more)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise DataEngineError(
            f"workers: Ray cannot be reached ({_line(error)}); check RAY_ADDRESS"
        ) from error


def _answered(
    ray: Any, parts: Sequence[list[Task]], make: Callable[[], Questioner], workers: int | str
) -> Iterator[tuple[int, list[Outcome]]]:
    """Every worker has one part at a time and gets the next when it is done with it."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    count, share = shares(nodes, workers, len(parts))
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


def shares(
    nodes: Sequence[Mapping[str, float]], workers: int | str, parts: int
) -> tuple[int, dict[str, float]]:
    """How many workers, and what each is given: all of them find room, for one without would wait for ever.

    A worker is on one node, and uses as many threads as it is given CPUs there.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if total := sum(gpus):
        count = min(total if workers == "ray" else int(workers), parts)
        each = ceil(count / total)  # on one GPU
        room = all(has >= gpu * each for has, gpu in zip(cpus, gpus, strict=True))
        return count, {"num_gpus": 1 / each, "num_cpus": 1 if room else 0}
    total = max(1, sum(cpus))
    count = min(total if workers == "ray" else int(workers), parts, total)
    fitting = (some for some in range(total // count, 1, -1) if sum(has // some for has in cpus) >= count)
    return count, {"num_cpus": next(fitting, 1)}


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
