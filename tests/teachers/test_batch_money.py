"""Step 3 through the Batch API with a budget: a run that is killed leaves no money reserved that is not under way."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Query
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa
from dataengine_lib.teachers.batch_state import BatchState
from dataengine_lib.teachers.reply_files import LEDGER

SCRIPT = """
import sys
from pathlib import Path
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
folder = Path(sys.argv[1])
generate_qa(GenerateQaConfig(
    input=folder / "gptvqa_prompt.json", output=folder / "gptvqa_result.jsonl", teacher="openai:gpt-4o-mini",
    base_url=sys.argv[2], mode="batch", batch_poll_s=0.02, batch_requests=4, budget_usd=60, max_output_tokens=10,
    prices=folder / "prices.yaml"))
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def write(messages: list[dict[str, Any]]) -> str:
    return f"Question: {messages[-1]['content']}?"


def prepare(folder: Path) -> None:
    """30 queries; each reply costs five US dollars, ten at most, so that 60 are enough for 11 of them."""
    rows = [Query(image_id=n, prompt=f"query {n}", question_type="t", query_id=f"r-{n}") for n in range(30)]
    write_json(folder / "gptvqa_prompt.json", rows)
    (folder / "prices.yaml").write_text(
        "date: 2026-01-01\nmodels:\n  gpt-4o-mini: {input: 0, output: 2000000}\n"
    )


def generate(folder: Path, server: PlaygroundServer) -> GenerateQaResult:
    return generate_qa(
        GenerateQaConfig(
            input=folder / "gptvqa_prompt.json",
            output=folder / "gptvqa_result.jsonl",
            teacher="openai:gpt-4o-mini",
            base_url=server.base_url,
            mode="batch",
            batch_poll_s=0.02,
            batch_requests=4,
            budget_usd=60,
            max_output_tokens=10,
            prices=folder / "prices.yaml",
        )
    )


def check_ended(folder: Path, server: PlaygroundServer, result: GenerateQaResult) -> None:
    assert (result.usage.requests, result.usage.cost_usd, result.unasked) == (11, 55, 19)
    assert set(Counter(server.batches.answered).values()) == {1}
    with Ledger(folder / LEDGER) as ledger:
        assert (ledger.spent_usd, ledger.reserved_usd, ledger.lost_usd) == (55, 0, 0)


@pytest.mark.parametrize("call", [1, 5, 9])
def test_a_killed_run_s_batches_are_collected_with_its_reservations(tmp_path: Path, call: int) -> None:
    prepare(tmp_path)
    calls = 0
    with serve(write) as server:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), server.base_url])

        def kill(path: str) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(process.pid, signal.SIGKILL)

        server.before_answer = kill
        assert process.wait() == -signal.SIGKILL
        with Ledger(tmp_path / LEDGER) as ledger:
            assert 0 < ledger.reserved_usd <= ledger.spent_usd <= 60
        check_ended(tmp_path, server, generate(tmp_path, server))


@pytest.mark.parametrize("save", [1, 2, 7])
@pytest.mark.parametrize("written", [True, False])
def test_a_run_that_ends_at_a_save_of_its_batches_reserves_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: int, written: bool
) -> None:
    prepare(tmp_path)
    saves = 0
    real = BatchState.save

    def ends(state: BatchState) -> None:
        nonlocal saves
        saves += 1
        if saves != save or written:
            real(state)
        if saves == save:
            raise KeyboardInterrupt

    with serve(write) as server:
        monkeypatch.setattr(BatchState, "save", ends)
        with pytest.raises(KeyboardInterrupt):
            generate(tmp_path, server)
        monkeypatch.setattr(BatchState, "save", real)
        check_ended(tmp_path, server, generate(tmp_path, server))
