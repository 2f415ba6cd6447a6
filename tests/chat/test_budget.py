"""A budget holds: whatever the text, whatever the server says of tokens, and when a run is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.chat.budget import SCHEMA_TOKENS, Budget
from dataengine_lib.chat.ledger import Ledger, LedgerRow
from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.prices import Price, most_tokens
from dataengine_lib.chat.reply import Reply
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import MOST_CHOICES, QaForm, Query
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground import server as playground
from dataengine_lib.playground.server import serve
from dataengine_lib.replies.json_reply import letter_schema
from dataengine_lib.replies.qa_json import qa_schema
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa

TEXTS = {
    "tabs": "\t \n" * 2000,
    "control characters": "\x01\x02\x7f" * 2000,
    "a rare script": "ᚠᛇᚻ" * 2000,
    "combined pictures": "👩‍👩‍👧‍👦" * 300,
    "English": "What does the fox do? " * 100,
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def write_inputs(folder: Path, texts: list[str]) -> Path:
    """A price table of a dollar a token, and the query file, whose path is returned."""
    rows = [
        Query(image_id=n, prompt=text, question_type="t", query_id=f"r-{n}") for n, text in enumerate(texts)
    ]
    (folder / "prices.yaml").write_text(
        "date: 2026-01-01\nmodels:\n  m: {input: 1000000, output: 1000000, image_tokens: 0}\n"
    )
    return write_json(folder / "gptvqa_prompt.json", rows)


def generate(folder: Path, url: str, texts: list[str], **parameters: Any) -> GenerateQaResult:
    return generate_qa(
        GenerateQaConfig(
            input=write_inputs(folder, texts),
            output=folder / "gptvqa_result.jsonl",
            teacher="openai:m",
            base_url=url,
            prices=folder / "prices.yaml",
            **parameters,
        )
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_token_a_byte_does_not_cross_the_budget(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst tokenizer there is: it finds no byte that it knows together with another one."""
    monkeypatch.setattr(playground, "count_tokens", lambda text: len(text.encode()))
    limit = 2.5 * most_tokens(text)  # a dollar a token: enough for two, not for three
    with serve(lambda messages: "Question: x?") as server:
        result = generate(tmp_path, server.base_url, [f"{text}{n}" for n in range(4)], budget_usd=limit)
    spent = result.usage.cost_usd
    assert spent is not None and len(text.encode()) <= spent <= limit
    assert result.unasked >= 2 and f"budget_usd {limit:g}" in result.stopped


def test_the_bound_holds_the_schemas_of_questions_and_letters() -> None:
    most = QaForm(n_choices=MOST_CHOICES)
    longest = qa_schema("\nShort answer: ", most), qa_schema(""), letter_schema(["x"] * 26)
    assert max(len(json.dumps(schema, separators=(",", ":"))) for schema in longest) < SCHEMA_TOKENS


KILLED = """
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
generate_qa(GenerateQaConfig(input=folder / "gptvqa_prompt.json", output=folder / "gptvqa_result.jsonl",
    teacher="openai:m", base_url=url, prices=folder / "prices.yaml", budget_usd=limit))
"""


@pytest.mark.parametrize("budget", [4000.0, None])
def test_a_killed_run_has_spent_the_most_that_its_requests_can_cost(
    tmp_path: Path, budget: float | None
) -> None:
    texts = [f"query {n}" for n in range(9)]
    most = most_tokens(texts[0]) + SCHEMA_TOKENS + 600
    with serve(lambda messages: "Question: x?", ["timeout"] * 9) as server:
        write_inputs(tmp_path, texts)
        head = f"from pathlib import Path\nfolder, url, limit = Path({str(tmp_path)!r}), {server.base_url!r}, {budget}\n"
        process = subprocess.Popen([sys.executable, "-c", head + KILLED], env=dict(os.environ))
        # the first request alone finds out whether the server takes a schema; the others wait for it
        while not server.requests:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        sent = len(server.requests)
    with Ledger(tmp_path / "gptvqa_ledger.jsonl") as ledger:
        reserved = ledger.reserved_usd
        assert ledger.spent_usd == reserved >= sent * most
    if budget is None:
        assert reserved == 9 * most
        return
    # nothing is left for another request, and all that was sent is within the budget
    assert reserved == 3 * most <= budget < 4 * most
    with serve(lambda messages: "Question: x?") as server:
        result = generate(tmp_path, server.base_url, texts, budget_usd=budget)
        assert not server.requests and result.unasked == 9
        assert f"{reserved:.4f} spent, one more may cost {most:.4f}" in result.stopped


def test_a_reservation_ends_with_a_reply_a_loss_or_a_release(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    price = Price(input=1_000_000, output=1_000_000)
    with Ledger(file, lambda row: price.of(row)) as ledger:
        budget = Budget(None, price, "", ledger)
        requests = [PaidRequest(key=f"k{n}", prompt="?", subject=None) for n in range(4)]
        most = budget.most(requests[0], 10)
        for request in requests:
            assert budget.reserve(request, 10)
        assert ledger.spent_usd == 4 * most
        ledger.add(LedgerRow.of("k0", Reply("A", prompt_tokens=3, completion_tokens=1)))
        budget.settle(requests[0])
        budget.lose(requests[1])
        budget.release(requests[2])
        expected = (4.0, most, most)
        assert (ledger.cost_usd, ledger.lost_usd, ledger.reserved_usd) == expected
    with Ledger(file) as known:
        assert (known.cost_usd, known.lost_usd, known.reserved_usd) == expected
        # of an earlier run that sent it and was killed: not reserved twice
        Budget(None, price, "", known).hold(requests[3], 10)
        assert known.reserved_usd == most
        known.release("k3")
        assert known.spent_usd == 4 + most


def test_a_reply_without_token_counts_has_no_known_price(tmp_path: Path) -> None:
    with serve(lambda messages: "Question: x?", ["no-usage", None]) as server:
        result = generate(tmp_path, server.base_url, ["query 0", "query 1"], concurrency=1)
    most = most_tokens("query 0") + SCHEMA_TOKENS + 600
    usage = read_json(tmp_path / "usage.json")
    assert usage["cost_usd"] is None and usage["most_unknown_usd"] == most
    assert f"may have cost up to {most:.2f} US dollars" in " ".join(result.notes)
    rows = {row["text"]: row for row in read_jsonl(tmp_path / "gptvqa_ledger.jsonl") if "text" in row}
    assert len(rows) == 1 and all("usd" not in row for row in rows.values() if "most_usd" in row)
    with Ledger(tmp_path / "gptvqa_ledger.jsonl") as ledger:
        assert ledger.lost_usd == most and ledger.reserved_usd == 0 and ledger.cost_usd == 2 + 4


@pytest.mark.parametrize("reply", [Reply("A", completion_tokens=5), Reply("A", prompt_tokens=5)])
def test_half_of_the_token_counts_is_none(reply: Reply) -> None:
    assert not reply.has_token_counts
    assert Reply("", "refusal", prompt_tokens=5).has_token_counts


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
@pytest.mark.parametrize("config", [GenerateQaConfig, ClassifyQuestionsConfig, CheckSettings])
def test_a_budget_is_a_positive_number(config: Any, value: float) -> None:
    files = {} if config is CheckSettings else {"output": "o.json"}
    files |= {GenerateQaConfig: {"input": "i.json"}, ClassifyQuestionsConfig: {"questions": "q.json"}}.get(
        config, {}
    )
    with pytest.raises((ValueError, DataEngineError), match="budget_usd"):
        config(**files, budget_usd=value)
