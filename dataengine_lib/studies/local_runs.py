"""Runs of a study on this machine: several at a time, each in a process of its own."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dataengine_lib.studies.job import Event, Job

_LOG = "run.log"
# A process reads these once, when it starts; kernels inherit them. NumPy's own have one thread in every process.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
_KILL_SECONDS = 120.0  # after a first Ctrl-C: requests under way are waited for, as in a run of its own


def local_events(jobs: Sequence[Job], parallel: int) -> Iterator[Event]:
    """Carry out the jobs, `parallel` at a time and in their order; what they report, as it comes.

    When the caller closes the iterator or is interrupted, the runs in progress are interrupted and waited for.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    pool = _Processes()
    threads = [
        threading.Thread(target=_work, args=(waiting, events, pool), daemon=True)
        for _ in range(min(parallel, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        working = len(threads)
        while working:
            if (event := events.get()) is None:
                working -= 1
            else:
                yield event
    finally:
        pool.stop()
        for thread in threads:
            thread.join()


def run_job(job: Job, pool: "_Processes | None" = None) -> Iterator[Event]:
    """Carry out one job in a process; the last event is the run's end, whatever ends the process."""
    pool = pool or _Processes()
    job_out = Path(job.here) / job.out
    job_out.mkdir(parents=True, exist_ok=True)
    ended = False
    with (job_out / _LOG).open("ab") as log:
        process = pool.start(job, log.fileno())
        if process is None:  # interrupted
            return
        assert process.stdout is not None
        for line in process.stdout:
            event = msgspec.json.decode(line, type=Event)
            ended = ended or not event.step
            yield event
        status = process.wait()
        pool.ended(process)
    if not ended and not pool.stopped:
        yield Event(job.folder, error=_last_line(job_out / _LOG, status))


def _work(
    waiting: "queue.SimpleQueue[Job]", events: "queue.SimpleQueue[Event | None]", pool: "_Processes"
) -> None:
    """One place in which runs are carried out, one after the other."""
    try:
        while not pool.stopped:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                for event in run_job(job, pool):
                    events.put(event)
            except OSError as error:  # no memory for a process, a full disk
                events.put(Event(job.folder, error=str(error)))
    finally:
        events.put(None)


class _Processes:
    """The processes of the runs in progress."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.stopped = False

    def start(self, job: Job, log: int) -> "subprocess.Popen[bytes] | None":
        """The process of a job, which has been given to it; None after `stop`."""
        # -P: a queue.py in the working folder is not Python's
        command = [sys.executable, "-P", "-m", "dataengine_lib.studies.child"]
        with self._lock:
            if self.stopped:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=job.here,
                env=os.environ | dict.fromkeys(_THREADS, str(job.threads)),
                # Ctrl-C in a terminal reaches this process alone, which then interrupts the runs
                start_new_session=True,
            )
            self._running.add(process)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()  # and stays open: the process ends when it is closed
        return process

    def ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Forget a process."""
        with self._lock:
            self._running.discard(process)
        if process.stdin is not None:
            process.stdin.close()

    def stop(self) -> None:
        """Interrupt all runs and wait for them; a second Ctrl-C, or a long wait, ends them at once."""
        with self._lock:
            self.stopped, running = True, list(self._running)
        for process in running:
            process.send_signal(signal.SIGTERM)  # Ctrl-C may be ignored, as after `nohup`
        try:
            for process in running:
                process.wait(_KILL_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            for process in running:
                process.kill()
            raise


def _last_line(log: Path, status: int) -> str:
    """Why a process ended that has not said so itself."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    reason = next((line for line in reversed(lines) if line), "nothing was printed")
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return f"its process ended with {how} ({reason[:200]}); see {log}"
