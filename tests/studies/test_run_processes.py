"""Runs in processes of their own, and the lines about them; the jobs here fail before their first step."""

import signal
import time
from pathlib import Path

import psutil
import pytest
from experiments import demo_experiment

from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.studies.job import Event, Job
from dataengine_lib.studies.local_runs import local_events
from dataengine_lib.studies.progress import Progress
from dataengine_lib.studies.ray_runs import ray_events


def job(study: Path, seed: int, *sets: str) -> Job:
    experiment = demo_experiment(*sets, rounds=1)
    return Job.of(experiment, study, f"a/seed{seed}", 1, "none", notebooks_folder())


def test_each_job_ends_with_one_event_whatever_happens(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, 0, "evaluate.image_root=nowhere"),
        job(tmp_path, 1, "evaluate.image_root=nowhere"),
        # a job that cannot be read ends its process with a traceback, which goes to the log
        Job(
            **{name: getattr(job(tmp_path, 2), name) for name in Job.__struct_fields__} | {"head": {"run": 1}}
        ),
    ]
    events = sorted(local_events(jobs, 2), key=lambda event: event.folder)
    assert [(event.folder, event.step) for event in events] == [(f"a/seed{n}", "") for n in range(3)]
    assert all("nowhere" in event.error for event in events[:2])
    assert "run" in events[2].error
    assert (tmp_path / "a/seed0/run.log").is_file()


def test_the_runs_end_when_their_caller_stops_listening(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    # the playground that this run would write first is of a size that takes minutes
    sizes = "playground.sizes={base: 100000}"
    events = local_events([job(tmp_path, 0, f"playground.cache={tmp_path / 'cache'}", sizes)], 1)
    with pytest.raises(TimeoutError):
        for _ in _interrupted(events, tmp_path / "cache"):
            pass
    assert set(psutil.Process().children(recursive=True)) <= before


def _interrupted(events, folder: Path):  # type: ignore[no-untyped-def]
    """Listen until the run has begun its work, then be interrupted while waiting for its next event."""

    def interrupt(number: int, frame: object) -> None:
        if not folder.exists() and time.monotonic() < end:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            return
        raise TimeoutError

    end = time.monotonic() + 120
    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        yield from events
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        assert folder.exists(), "the run has not begun"


def test_lines_say_what_has_ended_and_the_time_that_the_others_take() -> None:
    steps = {"0_a": "k0", "5_b": "k1"}
    progress = Progress({"a/seed0": steps, "b/seed0": {"0_a": "k0", "5_b": "k2"}}, 1)

    def line(event: Event) -> str:
        progress.take(event)
        return progress.line(event)

    assert line(Event("a/seed0", "0_a", True, 4.0)) == "[0/2 runs] a/seed0 0_a: 4 s"
    # 60 s for b's step 5; its step 0 is taken over
    assert (
        line(Event("a/seed0", "5_b", True, 60.0))
        == "[0/2 runs] a/seed0 5_b: 1 min 00 s; about 1 min 00 s left"
    )
    assert line(Event("a/seed0", seconds=64.0)) == "[1/2 runs] a/seed0: 1 min 04 s; about 1 min 00 s left"
    assert (
        line(Event("b/seed0", "0_a"))
        == "[1/2 runs] b/seed0 0_a: unchanged or taken over; about 1 min 00 s left"
    )
    assert line(Event("b/seed0", error="no disk")) == "[2/2 runs] b/seed0: failed: no disk"


def test_a_cluster_carries_out_every_run_and_reports_its_end(tmp_path: Path, ray_here: None) -> None:
    jobs = [job(tmp_path, seed, "evaluate.image_root=nowhere") for seed in range(2)]
    with pytest.raises(DataEngineError, match=r"does not see .*study\.json; all machines need"):
        list(ray_events(jobs))
    (tmp_path / "study.json").write_text("{}")
    events = sorted(ray_events(jobs), key=lambda event: event.folder)
    assert [event.folder for event in events] == ["a/seed0", "a/seed1"]
    assert all("nowhere" in event.error for event in events)
