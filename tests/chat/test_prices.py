"""Price tables as people write them, and what a reply costs by what the server says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.ledger import LedgerRow
from dataengine_lib.chat.prices import Price, read_prices
from dataengine_lib.errors import ParameterError

PRICE = Price(input=1_000_000, output=2_000_000, cached_input=100_000)  # a dollar a token of a prompt


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{input: -1, output: 1}", ">= 0"),
        ("{input: one, output: 1}", "Expected `float`, got `str`"),
        ("{input: .nan, output: 1}", ">= 0"),
        ("{input: 1, output: .inf}", "< 1000000000"),
        ("{input: 1}", "missing required field `output`"),
        ("{input: 1, output: 1, image_tokens: -5}", ">= 0"),
        ("{input: 1, output: null}", "Expected `float`, got `null`"),
        ("cheap", "Expected `object`, got `str`"),
    ],
)
def test_an_odd_price_is_one_line_with_its_model(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(f"date: 2026-01-01\nmodels:\n  good: {{input: 1, output: 1}}\n  mine: {line}\n")
    with pytest.raises(ParameterError, match=r"^[^\n]*$") as caught:
        read_prices(file)
    assert f"{file}: mine: " in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"\xff\xfe\x00",
        b"- a\n",
        b"models: {}\n",
        b"date: soon\nmodels: {}\n",
        b"a: &a [*a]\n",
        b"[" * 5000,
    ],
)
def test_a_file_that_is_no_price_table_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "prices.yaml"
    file.write_bytes(content)
    with pytest.raises(ParameterError, match=r"^[^\n]*$") as caught:
        read_prices(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_model_without_a_price_names_the_nearest_line() -> None:
    table = read_prices()
    assert "(the nearest line is gpt-4o-mini)" in table.note("openai:gpt-4o-mnii")[0]
    assert table.near("openai:something else") == ""


def completion(usage: Any, **fields: Any) -> bytes:
    choice = {"message": {"content": "A"}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": usage, **fields}).encode()


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, 20),
        # more than the whole from the cache: no more than the prompt
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}, 11),
        # thoughts that only the total counts
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 25}, 40),
        # more than the limit of the request: billed all the same
        ({"prompt_tokens": 10, "completion_tokens": 5000}, 10010),
        ({"prompt_tokens": "10", "completion_tokens": 5.0}, 20),
    ],
)
def test_a_reply_costs_what_its_usage_says_at_worst(usage: Any, usd: float) -> None:
    reply = read_completion(completion(usage))
    assert reply.has_token_counts and PRICE.of(reply) == pytest.approx(usd)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"prompt_tokens": 10},
        {"completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": -10, "completion_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": {"text": 5}},
        {"prompt_tokens": 10, "completion_tokens": 1e300},
    ],
)
def test_usage_that_cannot_be_read_is_no_price(usage: Any) -> None:
    assert not read_completion(completion(usage)).has_token_counts


@pytest.mark.parametrize(
    ("asked", "served", "tier", "usd"),
    [
        ("flex", "flex", "flex", 10),
        ("flex", "default", "", 20),
        ("", "priority", "priority", 50),
        ("flex", None, "flex", 10),
        ("batch", "default", "batch", 10),
    ],
)
def test_the_tier_that_served_a_request_is_counted(
    asked: str, served: str | None, tier: str, usd: float
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    reply = read_completion(completion(usage, **({"service_tier": served} if served else {})))
    row = LedgerRow.of("k", reply, tier=asked)
    assert row.tier == tier and PRICE.of(row, row.tier) == usd


def test_flex_is_reserved_at_the_price_at_which_it_may_be_served() -> None:
    assert [PRICE.most(10, 5, tier) for tier in ("", "flex", "batch")] == [20, 20, 10]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),  # a snapshot with a price of its own
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-1", "claude-opus-4-1"),
        ("claude-opus-4-1-2", ""),
    ],
)
def test_a_snapshot_has_the_price_of_its_model(name: str, line: str) -> None:
    table = read_prices()
    assert table.of(f"openai:{name}") == table.models.get(line)
    assert not line or line in table.models
