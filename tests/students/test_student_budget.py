"""A student behind a server within a budget: reserved before each request, one line at the end, nothing is paid twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.students.on_server.api_student import ApiStudent

PRICE = Price(input=10, output=1000, image_tokens=100)
CHOICES = ["dog", "cat"]
# of one request: text and schema at ten dollars a million tokens, forty tokens of a reply at a thousand
MOST = 0.05


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def student(folder: Path, server: PlaygroundServer, budget_usd: float | None, **more: Any) -> ApiStudent:
    settings = ChatSettings(base_url=server.base_url, max_output_tokens=40, concurrency=3)
    found = ApiStudent(
        "m", settings, ledger=folder / "ledger.jsonl", budget_usd=budget_usd, **{"price": PRICE} | more
    )
    found._chat.shown_url = "http://here/v1"  # whatever the port
    return found


def ask(found: ApiStudent, count: int) -> list[Any]:
    images = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(count)]
    prompts = [f"q{number}\n(A) dog (B) cat" for number in range(count)]
    return found.generate(images, prompts, choices=[CHOICES] * count)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def test_the_budget_stops_in_one_line_and_a_higher_one_goes_on_without_paying_twice(tmp_path: Path) -> None:
    with serve(lambda messages: "A", structured=lambda messages, schema: '{"answer": "A"}') as server:
        first = student(tmp_path, server, 0.2)
        with pytest.raises(TeacherStop) as caught:
            ask(first, 40)
        assert "\n" not in str(caught.value)
        assert "student at http://here/v1: budget_usd 0.2: 0." in str(caught.value)
        assert "raise budget_usd to go on; all replies are kept" in str(caught.value)
        paid = len(server.requests)
        replies = [row for row in rows(tmp_path) if row.get("model")]
        assert 2 < paid == len(replies) < 40
        spent = sum(row["usd"] for row in replies)
        # each was reserved before it was sent, and what is left does not allow one more
        assert 0.2 - MOST < spent <= 0.2
        assert sum("reserved" in row for row in rows(tmp_path)) == paid
        with pytest.raises(TeacherStop, match=r"0\.2: 0"):
            ask(student(tmp_path, server, 0.2), 40)
        assert len(server.requests) == paid
        whole = student(tmp_path, server, 5.0)
        assert ask(whole, 40) == ["A"] * 40
        assert len(server.requests) == 40 and whole.usage().replies == 40
        # all are in the ledger: a budget that is used up stops nothing
        assert ask(student(tmp_path, server, 0.2), 40) == ["A"] * 40 and len(server.requests) == 40


def test_a_budget_that_is_too_small_or_has_no_price_sends_nothing(tmp_path: Path) -> None:
    with serve(lambda messages: "A") as server:
        with pytest.raises(ParameterError, match="budget_usd 1e-05 is less than one request may cost"):
            student(tmp_path, server, 1e-5)
        with pytest.raises(ParameterError, match=r"budget_usd 0\.03 is less than one request may cost"):
            ask(student(tmp_path, server, 0.03), 1)
        with pytest.raises(ParameterError, match="no price is known for m"):
            student(tmp_path, server, 1.0, price=None)
        assert server.requests == []
