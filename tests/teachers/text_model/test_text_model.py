"""A chat model asked with texts: its requests' keys stay those of earlier versions, each reply has its model's price."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.teachers.text_model.text_model import TextModel

ROWS = [
    {"key": "a", "asked": "openai:dear", "text": "x", "prompt_tokens": 3, "completion_tokens": 2},
    {"key": "b", "asked": "openai:mine", "text": "", "finish_reason": "empty", "prompt_tokens": 5},
]


def model(folder: Path, rows: list[dict[str, Any]] = ROWS, **more: Any) -> TextModel:
    ledger, table = folder / "ledger.jsonl", folder / "prices.yaml"
    ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prices = "  mine: {input: 0, output: 0}\n  dear: {input: 1000000, output: 2000000}\n"
    table.write_text(f"date: 2026-01-01\nmodels:\n{prices}")
    settings = more.pop("settings", ChatSettings())
    schema = {"type": "object"}
    return TextModel("causes", "openai:mine", settings, ledger, [schema], prices=table, **more)


def test_keys_are_those_of_earlier_versions(tmp_path: Path) -> None:
    changed = ChatSettings(base_url="http://127.0.0.1:9/v1", temperature=0.5, max_output_tokens=70, seed=3)
    keys = []
    for settings in (ChatSettings(), changed, changed.model_copy(update={"concurrency": 2})):
        one = TextModel("causes", "openai:gpt-4o-mini", settings, tmp_path / "l.jsonl", [{}])
        keys.append(one.key("Name the causes."))
    assert keys[0] == "99fbbd750ac5479f95ebfd98047fdadfd55186d7da67a32bbc0dc272cf0d61c3"
    assert keys[1] == keys[2] == "82fae3dbe7ad88fc96630f06b2ea7b29c5b02ba4ad88e29339d4dd3c24c8d4cb"


@pytest.mark.parametrize("budget", [None, 10.0])
def test_replies_of_another_model_cost_what_that_one_costs(tmp_path: Path, budget: float | None) -> None:
    asked = model(tmp_path, budget_usd=budget)
    with asked.ledger:
        assert asked.ledger.spent_usd == 3 + 2 * 2
        assert asked.reply("a") is not None and asked.reply("b") is None and asked.reply("c") is None
    assert asked.usage(["a", "c", "a"]) == StudentUsage(1, 3, 0, 2, 7.0)
    assert asked.usage([]) == StudentUsage(0, 0, 0, 0, 0.0)


def test_a_budget_counts_no_reply_without_a_price(tmp_path: Path) -> None:
    asked = model(tmp_path, [ROWS[0] | {"asked": "openai:unknown"}], budget_usd=10.0)
    with (
        pytest.raises(ParameterError, match=r"no price is known for openai:unknown, of which .*ledger.jsonl"),
        asked.ledger,
    ):
        pass
