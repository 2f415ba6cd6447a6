"""Step 4 with `budget_usd`: its readers stop below it, the step ends, and goes on when it is raised."""

from pathlib import Path
from typing import Any

import pytest
from made_records import Planted, planted_records
from reading_qas.checked_step import kept, run

from dataengine_lib.chat import prices
from dataengine_lib.core.files import read_jsonl
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import serve
from dataengine_lib.playground.teacher import reply, structured_reply
from dataengine_lib.steps.post_process import PostProcessResult


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted_records(tmp_path_factory.mktemp("planted"), images=60, per_image=10)


def not_asked(result: PostProcessResult) -> list[str]:
    return [one for one in result.warnings if "not asked" in one]


@pytest.fixture
def dollar_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's reply of one letter costs 9 dollars or slightly more, and at most 2,000."""
    (tmp_path / "prices.yaml").write_text("date: 2026-01-01\nmodels:\n  any: {input: 0, output: 1000000}\n")
    monkeypatch.setattr(prices, "PRICES", tmp_path / "prices.yaml")


def paid(folder: Path) -> int:
    """Dollars spent, at the prices of `dollar_a_token`."""
    return sum(row.get("completion_tokens", 0) for row in read_jsonl(folder / "readers_ledger.jsonl"))


@pytest.mark.usefixtures("dollar_a_token")
def test_a_budget_stops_the_readers_and_the_step_ends(planted: Planted, tmp_path: Path) -> None:
    readers = {"second_reader": "openai:any", "blind_reader": "openai:any", "box_check": "off"}
    records = planted.records[:60]

    def step(folder: Path, budget: float | None, **options: Any) -> PostProcessResult:
        return run(
            folder, planted, records, base_url=server.base_url, budget_usd=budget, **readers, **options
        )

    with serve(reply, structured=structured_reply) as server:
        first = step(tmp_path / "a", 2300)
        checks = first.counts.checks.checks
        asked = len(server.requests)
        assert 30 < asked < 40 and paid(tmp_path / "a") <= 2300 < paid(tmp_path / "a") + 2000 + 10
        assert (checks["second_answer"].said, checks["blind_answer"].said) == (asked, 0)
        # of all warnings, those about questions that were not asked
        second, blind = not_asked(first)
        assert second.startswith(f"second_reader: {60 - asked} questions were not asked; budget_usd 2300: ")
        assert blind.startswith(
            f"blind_reader: {60 - checks['second_answer'].dropped} questions were not asked"
        )
        assert "raise budget_usd to go on" in second and "\n" not in second + blind
        answered = [one.second_answer is not None for one in kept(first)]
        assert not any(answered[answered.index(False) :])  # asked in their order
        assert {one.blind_answer for one in kept(first)} == {None}
        for place, options in (("a", {}), ("b", {"concurrency": 1}), ("c", {"concurrency": 40})):
            again = step(tmp_path / place, 2300, **options)
            assert again.output.read_bytes() == first.output.read_bytes() and again.warnings == first.warnings
        assert len(server.requests) == 3 * asked  # of b and c, and none of a

        server.requests.clear()
        more = step(tmp_path / "a", 2700)
        assert paid(tmp_path / "a") <= 2700 and 0 < more.counts.checks.checks["blind_answer"].said < 60
        assert [one.partition(":")[0] for one in not_asked(more)] == ["blind_reader"]
        all_of_it = step(tmp_path / "a", 100_000)
        replies = {name: one.usage.replies for name, one in all_of_it.counts.checks.readers.items()}
        assert not_asked(all_of_it) == [] and replies["openai:any"] == 60
        assert len(server.requests) == sum(replies.values()) - asked  # none twice
        assert all_of_it.output.read_bytes() == step(tmp_path / "d", None).output.read_bytes()


def test_a_budget_without_a_price_sends_no_request(planted: Planted, tmp_path: Path) -> None:
    readers = {"second_reader": "openai:gpt-4o-mini", "blind_reader": "openai:unheard-of"}
    with serve(reply, structured=structured_reply) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "box_check": "off"} | readers
        with pytest.raises(ParameterError) as caught:
            run(tmp_path, planted, planted.records[:9], budget_usd=1, **options)
        assert str(caught.value) == (
            "budget_usd: no price is known for openai:unheard-of; add it to dataengine_lib/resources/prices.yaml"
        )
        assert server.requests == [] and not (tmp_path / "out.json").exists()
        run(tmp_path, planted, planted.records[:9], budget_usd=1, **options | {"blind_answer": "off"})
        with pytest.raises(ParameterError, match="budget_usd: "):
            run(tmp_path, planted, planted.records[:9], budget_usd=0, **options)
