"""Steps 1 and 2: the Ray cluster on which work is shared out; joined when needed, left as it was found."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError, install_command

_SLOW_START = (
    "timed out during startup"  # in Ray's exception, a plain one, when a busy machine needs more than 30 s
)


@contextmanager
def ray_cluster(workers: int | str, parameter: str, without_ray: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster until the block ends.

    With `workers` "ray" it is the cluster that RAY_ADDRESS names, or one started on this machine where that is not
    set; with a number always one started on this machine. `parameter` is the one that asked for Ray and `without_ray`
    the setting that needs none, both for messages. Raises DataEngineError when Ray is not installed or not reached,
    and the DataEngineError that a task raised.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DataEngineError(
            f"{parameter}: needs Ray; run: {install_command('ray')}, or set {without_ray}"
        ) from error
    # a cluster that the caller has connected to stays connected afterwards
    started = not ray.is_initialized()
    if started:
        _connect(ray, workers, parameter, without_ray)
    try:
        yield ray
    except ray.exceptions.RayTaskError as error:  # wraps what was raised in a worker
        if isinstance(error.cause, DataEngineError):
            raise error.cause from error
        raise
    finally:
        if started:
            ray.shutdown()


def node_resources(ray: Any) -> list[dict[str, float]]:
    """The resources (CPUs, GPUs, …) of each machine of the cluster that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def shares(
    nodes: Sequence[Mapping[str, float]], workers: int | str, parts: int
) -> tuple[int, dict[str, float]]:
    """How many workers to start for `parts` pieces of work, and each one's `num_cpus` and `num_gpus`.

    All of them fit on the nodes at once: Ray would let a worker that does not fit wait for ever. A worker runs on one
    node and uses as many threads as it has CPUs, at most. With GPUs there is a worker for each, or several share one.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if total := sum(gpus):
        count = min(total if workers == "ray" else int(workers), parts)
        # 3 workers on 2 GPUs: two may share one, so each asks for half a GPU
        per_gpu = ceil(count / total)
        enough_cpus = all(cpu >= gpu * per_gpu for cpu, gpu in zip(cpus, gpus, strict=True))
        # num_cpus 0: on a machine with fewer CPUs than workers, Ray would not start all of them
        return count, {"num_gpus": 1 / per_gpu, "num_cpus": 1 if enough_cpus else 0}
    total = max(1, sum(cpus))
    count = min(total if workers == "ray" else int(workers), parts, total)
    # the most CPUs for each worker with which all workers fit on the nodes
    fitting = (each for each in range(total // count, 1, -1) if sum(cpu // each for cpu in cpus) >= count)
    return count, {"num_cpus": next(fitting, 1)}


def most_on_one_node(nodes: Sequence[Mapping[str, float]], count: int, share: Mapping[str, float]) -> int:
    """How many of `count` workers may be on the same node, each with its `share` of it."""
    places = [
        min(
            node.get("GPU", 0) // gpus if (gpus := share.get("num_gpus", 0)) else count,
            node.get("CPU", 0) // cpus if (cpus := share.get("num_cpus", 0)) else count,
        )
        for node in nodes
    ]
    return max(1, min(count, int(max(places, default=1))))


def _connect(ray: Any, workers: int | str, parameter: str, without_ray: str) -> None:
    # with RAY_ADDRESS set, ray.init connects there by itself
    # num_cpus: with more workers than CPUs, Ray gets a higher CPU count, so that it starts all of them
    where: dict[str, Any] = (
        {"address": "local", "num_cpus": max(int(workers), os.cpu_count() or 1)}
        if workers != "ray"
        else ({} if os.environ.get("RAY_ADDRESS") else {"address": "local"})
    )
    # no usage statistics are sent, no dashboard is served, and nothing is printed into the report
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for last in (False, True):
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **where)
            return
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            line = one_line(str(error))[:160]
            raise DataEngineError(
                f"{parameter}: Ray cannot be reached ({line}); check RAY_ADDRESS"
            ) from error
        except Exception as error:
            if _SLOW_START not in str(error):
                raise
            if last:
                raise DataEngineError(
                    f"{parameter}: Ray did not start within its 30 s, twice; end other programs, or set {without_ray}"
                ) from error
            ray.shutdown()
