"""Step 3 against a server that takes 200 ms and allows 3,000 requests a minute: how much of that is used.

Four servers: one names its limit in headers, one says how long to wait, one says nothing, one allows 3,000 a minute
of the clock. Printed for each: the share of the cap used after warm-up, refusals (429) and the client's own CPU time;
beside it the original's way, one request after another with 5 s of sleep, and curator's client on the first server,
where it is installed: in an environment of its own (`build/curator`, or CURATOR_PYTHON), as it asks for older versions
of packages that we use. Run by `make bench`; asserts nothing of speed.
"""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from table.results import PROJECT_ROOT, Row, not_installed, write_result

from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.playground.server import serve
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa

LATENCY, RPM, WARM_UP = 0.2, 3000, 20.0
KINDS = ("headers", "retry-after", "silent", "minute")
REPLY = "Question: Which?\nChoices: (A) a (B) b (C) c (D) d\nAnswer: The answer is (B): b.\nExplanation: It is so."


class Limiter:
    """A token bucket with a second's burst, or a count that begins anew each minute of the clock."""

    def __init__(self, kind: str) -> None:
        self.kind, self.lock = kind, threading.Lock()
        self.tokens, self.last, self.refused = float(RPM / 60), time.monotonic(), 0
        self.minute, self.count = -1, 0

    def __call__(self, body: dict[str, Any]) -> str | None:
        with self.lock:
            now = time.monotonic()
            if self.kind == "minute":
                if int(now // 60) != self.minute:
                    self.minute, self.count = int(now // 60), 0
                self.count += 1
                over, wait = self.count > RPM, 60 - now % 60
            else:
                self.tokens = min(RPM / 60, self.tokens + (now - self.last) * RPM / 60)
                self.last = now
                over, wait = self.tokens < 1, 1.0
                self.tokens -= not over
            self.refused += over
            if not over:
                return None
            return "429" if self.kind == "silent" else f"429 retry-after={wait:.0f}"

    def headers(self) -> dict[str, str]:
        if self.kind != "headers":
            return {}
        left = max(0, int(self.tokens))
        return {"x-ratelimit-limit-requests": str(RPM), "x-ratelimit-remaining-requests": str(left),
                "x-ratelimit-reset-requests": "20ms"}  # fmt: skip


def server(kind: str, pipe: Connection) -> None:
    limiter = Limiter(kind)
    times: list[float] = []

    def write(messages: list[dict[str, Any]]) -> str:
        times.append(time.monotonic())
        time.sleep(LATENCY)
        return REPLY

    with serve(write, limiter, headers=limiter.headers) as running:
        pipe.send(running.base_url)
        pipe.recv()
        pipe.send((times, limiter.refused))


class Flow(NamedTuple):
    """What a client made of a server's limit: percent of the cap after warm-up, percent refused, CPU ms a request."""

    number: int
    seconds: float
    used: float
    refused: float
    cpu_ms: float


CURATOR = Path(os.environ.get("CURATOR_PYTHON", PROJECT_ROOT / "build/curator/bin/python"))
INSTALL = "python -m venv build/curator && build/curator/bin/pip install bespokelabs-curator"


def measure(kind: str, seconds: float, curator: bool = False) -> Flow:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=server, args=(kind, there), daemon=True)
    process.start()
    url = here.recv()
    number = round(RPM / 60 * (seconds + WARM_UP))
    text = "rules of the prompt, the same for all " * 100
    prompts = [f"{text}{i}" for i in range(number)]
    loading = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if curator:
            write_json(folder / "prompts.json", prompts)
            client = str(Path(__file__).parent / "table/curator_client.py")
            command = [str(CURATOR), client, str(folder / "prompts.json"), url, str(RPM)]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, cwd=folder, env=environment
            )
            found = json.loads(done.stdout.strip().splitlines()[-1])
            cpu, replies = found["processor"], found["replies"]
        else:
            rows = [
                Query(image_id=i, prompt=prompt, question_type="image_topic", query_id=f"r-{i}")
                for i, prompt in enumerate(prompts)
            ]
            write_json(folder / "q.json", rows)
            cpu = time.process_time()
            importlib.import_module("dataengine_lib.teachers.openai_teacher")
            loading, cpu = time.process_time() - cpu, time.process_time()
            result = generate_qa(
                GenerateQaConfig(
                    input=folder / "q.json", output=folder / "r.jsonl", teacher="openai:local", base_url=url
                )
            )
            cpu = time.process_time() - cpu
            replies = len(read_jsonl(folder / "r.jsonl"))
            assert len(result.results) == number
        assert replies == number
    here.send("stop")
    times, refused = here.recv()
    process.join(5)
    end = times[-1]
    # The last kind lets everything through at once in two minutes of the clock, or makes it wait for the third.
    late = [t for t in times if t > times[0] + WARM_UP]
    used = 100 * len(late) / (end - late[0]) / (RPM / 60) if late[1:] else float("nan")
    flow = Flow(number, end - times[0], used, 100 * refused / (number + refused), 1000 * cpu / number)
    print(
        f"{'curator' if curator else kind:12} {number} requests, {flow.seconds:6.1f} s: {used:5.1f} % of the cap after "
        f"{WARM_UP:.0f} s, {flow.refused:5.2f} % refused, {flow.cpu_ms:.2f} ms CPU a request"
        + (f" and {loading:.2f} s to load the SDK" if loading else ""),
        flush=True,
    )
    return flow


def shown(flow: Flow) -> str:
    return (
        f"{flow.used:.0f} % of the cap, {flow.number:,} requests in {flow.seconds:.0f} s, {flow.refused:.2f} % refused, "
        f"{flow.cpu_ms:.2f} ms of processor a request"
    )


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    original = 60 / (LATENCY + 5) / RPM
    rows = []
    for kind in sys.argv[2:] or KINDS:
        row = Row(
            f"step 3 with a server of {RPM:,} requests a minute that takes {LATENCY:g} s ({kind})",
            "",
            shown(measure(kind, seconds)),
            f"one request at a time with 5 s of sleep, as MLLM-DataEngine: {100 * original:.1f} % of the cap (computed)",
        )
        if kind == KINDS[0]:
            there = CURATOR.exists()
            row.peer = (
                f"curator's client, given the limit: {shown(measure(kind, seconds, curator=True))}"
                if there
                else not_installed("curator", INSTALL)
            )
        rows.append(row)
    print(
        f"original's way (one at a time, 5 s of sleep after each, computed): {100 * original:.1f} % of the cap"
    )
    write_result("teacher_flow", rows)
