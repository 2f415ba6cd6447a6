"""The Ray cluster that steps 1 and 2 share their work out on: joined when it is needed, left as it was found."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
