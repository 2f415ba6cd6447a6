"""The Ray cluster that steps 1 and 2 share their work out on: joined when it is needed, left as it was found."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

from dataengine_lib.errors import DataEngineError


@contextmanager
def ray_cluster(workers: int | str, asked: str, otherwise: str) -> Iterator[Any]:
    """The module `ray`, connected: for `ray` to the cluster that RAY_ADDRESS names, else to one of this machine's own.

    A number of `workers` always means this machine. `asked` is the parameter that wanted Ray, `otherwise` what does
    without it. Raises DataEngineError when Ray is not installed or not reached, and the one that a task raised.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DataEngineError(
            f"{asked}: needs Ray; pip install 'mllm-dataengine[ray]', or set {otherwise}"
        ) from error
    started = not ray.is_initialized()
    if started:
        _join(ray, workers, asked)
    try:
        yield ray
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DataEngineError):
            raise error.cause from error
        raise
    finally:
        if started:
            ray.shutdown()


def node_resources(ray: Any) -> list[dict[str, float]]:
    """What every machine of the cluster that is alive has: CPUs, GPUs, …"""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


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


def _join(ray: Any, workers: int | str, asked: str) -> None:
    more: dict[str, Any] = (
        {"address": "local", "num_cpus": max(int(workers), os.cpu_count() or 1)}
        if workers != "ray"
        else ({} if os.environ.get("RAY_ADDRESS") else {"address": "local"})
    )
    # nothing is sent home, no page is served, and nothing is printed into the report
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **more)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        line = " ".join(str(error).split())[:160]
        raise DataEngineError(f"{asked}: Ray cannot be reached ({line}); check RAY_ADDRESS") from error
