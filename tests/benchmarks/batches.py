"""Step 3 through the Batch API: 120,000 requests in three files, with failures, an expiry and kills at calls.

Ends with figures, or with an AssertionError: every id once in results or failures, no line answered twice.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from table.results import Row, write_result

from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.playground.server import serve

REQUESTS, KILLS = 120_000, 12
SCRIPT = """
import sys
from pathlib import Path
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
folder = Path(sys.argv[1])
generate_qa(GenerateQaConfig(input=folder / "q.json", output=folder / "r.jsonl", teacher="openai:gpt-4o-mini",
                             base_url=sys.argv[2], mode="batch", batch_poll_s=0.5, max_attempts=3))
"""


def fault(body: dict[str, Any]) -> str | None:
    return random.choice(("500", "429")) if random.random() < 0.01 else None


def main() -> None:
    random.seed(0)
    with tempfile.TemporaryDirectory() as name, serve(lambda messages: "Question: Which?", fault) as server:
        folder = Path(name)
        rows = [
            Query(image_id=i, prompt=f"query {i}", question_type="image_topic", query_id=f"r-{i}")
            for i in range(REQUESTS)
        ]
        write_json(folder / "q.json", rows)
        server.batches.expires_after = lambda number: 30_000 if number == 1 else None
        killed, start = 0, time.monotonic()
        while True:
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, name, server.base_url], stderr=subprocess.PIPE
            )
            calls = 0

            def before(path: str, pid: int = process.pid, number: int = killed) -> None:
                nonlocal calls
                calls += 1
                if number < KILLS and calls == number % 5 + 1:
                    os.kill(pid, signal.SIGKILL)

            server.before_answer = before
            _, stderr = process.communicate()
            if process.returncode != -signal.SIGKILL:
                break
            killed += 1
        assert process.returncode == 0, stderr
        seconds = time.monotonic() - start
        results = [row["query_id"] for row in read_jsonl(folder / "r.jsonl")]
        failed = [row["query_id"] for row in read_jsonl(folder / "gptvqa_failed.jsonl")]
        assert Counter(results + failed) == Counter(row.query_id for row in rows), "an id is missing or twice"
        assert max(Counter(server.batches.answered).values()) == 1, "a line was paid for twice"
        sizes = [
            len(server.batches.files[batch["input_file_id"]].splitlines())
            for batch in server.batches.batches.values()
        ]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{REQUESTS} requests in batches of {sizes}, {killed} kills: {len(results)} results, {len(failed)} failures, "
          f"nothing twice; {seconds:.0f} s, the client at most {memory:.0f} MB")  # fmt: skip
    write_result("batches", [
        Row(f"step 3 by the Batch API, {REQUESTS:,} requests, {killed} kills", "every id once, nothing paid for twice",
            f"{len(results):,} results, {len(failed):,} failures; {seconds:.0f} s, at most {memory:.0f} MB")
    ])  # fmt: skip


if __name__ == "__main__":
    main()
