"""Step 3 killed again and again against a server that misbehaves in every way: the run, and what must hold after it."""

import base64
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.playground.server import serve
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.teachers.reply_files import LEDGER
from killed.forked import forked

KEY = "sk-canary-7f3a9c"
PASSWORD = "can@ry/7"
SECRETS = (
    KEY,
    PASSWORD,
    quote(PASSWORD, safe=""),
    base64.b64encode(f"canary-user:{PASSWORD}".encode()).decode(),
)
PASSING = ("429", "429 retry-after=0.2", "500", "503", "timeout", "drop", "malformed", "half", "wrong-shape")
FINAL = ("refusal", "length", "content_filter")
SLOW_START = 15  # requests that a server that is just starting turns away


@dataclass
class Mischief:
    """What the server does to each request: a fault of its own for some prompts, passing ones for some tries."""

    seed: int
    tries: Counter[str] = field(default_factory=Counter)
    paid: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # request ids by prompt
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: int = 0

    def __call__(self, body: dict[str, Any]) -> str | None:
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.seen += 1
            self.tries[prompt] += 1
            if self.seen <= SLOW_START:
                return "503"
            rng = random.Random(f"{self.seed} {prompt} {self.tries[prompt]}")
            if rng.random() < 0.08:
                return rng.choice(PASSING)
            self.paid[prompt].append(f"req-{self.seen}")
            return self.final(prompt)

    def final(self, prompt: str) -> str | None:
        """What every answer to this prompt is like; an answer of no use is paid for too."""
        rng = random.Random(f"{self.seed} {prompt}")
        return rng.choice(FINAL) if rng.random() < 0.05 else None


def write(messages: list[dict[str, Any]]) -> str:
    time.sleep(0.02)
    return f"Question: {messages[0]['content']}?"


def kill_runs(folder: Path, requests: int, kills: int, seed: int = 0) -> dict[str, int]:
    """Ask `requests` queries, killing the process `kills` times at random moments, then to the end.

    Raises AssertionError when an id is not exactly once in results or failures, when something was paid for twice
    whose answer was not lost in a kill, or when the key is in a file. Returns figures.
    """
    rows = [
        Query(image_id=i, prompt=f"query {i}", question_type="image_topic", query_id=f"r-{i}")
        for i in range(requests)
    ]
    write_json(folder / "gptvqa_prompt.json", rows)
    rng, mischief, hit = random.Random(seed), Mischief(seed), 0
    with serve(write, mischief) as server:
        url = server.base_url.replace("//", f"//canary-user:{quote(PASSWORD, safe='')}@")
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url}
        config = GenerateQaConfig(
            input=folder / "gptvqa_prompt.json",
            output=folder / "gptvqa_result.jsonl",
            teacher="openai:gpt-4o-mini",
            concurrency=32,
            timeout_s=5,  # a busy machine's replies may take seconds
            max_attempts=4,
        )
        log = folder / "log.txt"
        for number in range(kills + 1):
            process = forked(generate_qa, config, log=log, environment=environment)
            before, moment = mischief.seen, rng.uniform(0.0, 2.0 * requests / 5000 * 30 / kills)
            process.start()
            if number < kills:
                while mischief.seen == before and process.is_alive():
                    time.sleep(0.005)
                time.sleep(moment)
                process.kill()
            process.join()
            hit += process.exitcode == -signal.SIGKILL
    assert process.exitcode == 0, log.read_text()
    return {"kills": hit} | check(folder, mischief, requests, hit)


def check(folder: Path, mischief: Mischief, requests: int, kills: int) -> dict[str, int]:
    """What must hold after a run to the end."""
    results = [row["query_id"] for row in read_jsonl(folder / "gptvqa_result.jsonl")]
    failures = read_jsonl(folder / "gptvqa_failed.jsonl")
    ids = Counter(results) + Counter(row["query_id"] for row in failures)
    assert ids == Counter(f"r-{i}" for i in range(requests)), "an id is missing or twice"
    kept: dict[str, list[str]] = defaultdict(list)
    for row in read_jsonl(folder / LEDGER):
        if "request" in row:
            kept[row["request"]["messages"][0]["content"]].append(row["request_id"])
    lost = again = 0
    for prompt, request_ids in mischief.paid.items():
        missing = set(request_ids) - set(kept[prompt])
        lost += len(missing)
        again += len(missing) > 0
        most = 2 if mischief.final(prompt) == "length" else 1  # once more with more room
        assert len(kept[prompt]) <= most, f"{prompt} was paid for {len(kept[prompt])} times"
    assert lost <= kills * 32, f"{lost} answers lost in {kills} kills of at most 32 requests at a time"
    assert kills or not lost
    for file in folder.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert not any(secret.encode() in data for secret in SECRETS), f"a secret is in {file}"
    return {
        "results": len(results),
        "failures": len(failures),
        "sent": mischief.seen,
        "lost": lost,
        "asked again": again,
    }
