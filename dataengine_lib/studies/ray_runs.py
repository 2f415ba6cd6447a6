"""Runs of a study on a Ray cluster whose machines share the file system of the study's folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataengine_lib.core.machine.ray_cluster import node_resources, ray_cluster, shares
from dataengine_lib.errors import DataEngineError
from dataengine_lib.studies.job import Event, Job
from dataengine_lib.studies.local_runs import run_job

_PARAMETER = "parallel: ray"


def ray_events(jobs: Sequence[Job]) -> Iterator[Event]:
    """Carry out the jobs on a Ray cluster, as many at a time as it has GPUs, or CPUs where it has none.

    Gives the end of each run, as it comes. Raises DataEngineError when a machine does not see the study's folder.
    """
    with ray_cluster("ray", _PARAMETER, "parallel: 1") as ray:
        _, share = shares(node_resources(ray), "ray", len(jobs))
        # a run that fails is reported by its event, and a machine that goes away is another one's turn
        task = ray.remote(max_retries=1, **share)(_carry_out)
        # the file says on other machines that the folder is the same
        mark = Path(jobs[0].here) / jobs[0].study / "study.json"
        waiting = {task.remote(job, str(mark)): job for job in jobs}
        try:
            while waiting:
                (done,), _ = ray.wait(list(waiting), num_returns=1)
                job = waiting.pop(done)
                try:
                    yield ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, DataEngineError):
                        raise
                    yield Event(job.folder, error=str(error.cause))
                except ray.exceptions.RayError as error:  # its machine or process has ended
                    yield Event(job.folder, error=str(error).splitlines()[0])
        finally:
            for task_left in waiting:
                ray.cancel(task_left, force=True)


def _carry_out(job: Job, mark: str) -> Event:
    """In a process of the cluster: one run, in a process of its own, which ends with this one."""
    if not Path(mark).is_file():
        raise DataEngineError(
            f"{_PARAMETER}: machine {os.uname().nodename} does not see {mark}; all machines need the study's folder on a "
            "file system that they share"
        )
    *_, last = run_job(job)
    return last
