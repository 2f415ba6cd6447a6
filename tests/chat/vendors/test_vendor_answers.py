"""Vendors × behaviours: regular replies, with thoughts, and replies that are no answer, in steps 0, 1, 3 and 4."""

import pytest
from vendors.cell import CellOf, cells
from vendors.dialect import BEHAVIOURS, Vendor
from vendors.readers import Reader
from vendors.table import VENDORS


def test_the_table_is_full() -> None:
    assert len(VENDORS) == 19 == len({vendor.name for vendor in VENDORS})
    for vendor in VENDORS:
        # each behaviour is shown, or there is a reason why not
        assert sorted(["answer", *vendor.shows, *vendor.without]) == sorted(BEHAVIOURS), vendor.name
        # `mode: batch` has its cells, or there is a reason why not
        assert vendor.batches, vendor.name
        assert (
            all(vendor.without.values()) and len(vendor.shows) >= 9 and vendor.source.startswith("https://")
        )
    assert sum(len(vendor.shows) + 1 for vendor in VENDORS) == 260
    assert [vendor.name for vendor in VENDORS if vendor.in_rows] == [
        "openai", "azure", "groq", "siliconflow", "moonshot", "litellm",
    ]  # fmt: skip
    assert sum(len(vendor.in_rows) for vendor in VENDORS) == 69


@cells("answer")
def test_an_answer_its_tokens_and_its_price(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_regular()
    assert (asked.answers, asked.message, len(it.requests)) == ([reader.right], "", 1)
    prompt, cached, completion = vendor.counted
    usd = (0.15 * (prompt - cached) + 0.075 * cached + 0.60 * completion) / 1e6
    usd *= 0.5 if it.together else 1
    assert asked.used is not None and asked.used[:3] == vendor.counted
    assert asked.used[3] == pytest.approx(usd, abs=1e-6)
    # paid for once
    assert it.ask_regular().answers == [reader.right] and not it.requests


@cells("thoughts")
def test_thoughts_are_no_part_of_the_answer(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_all("thoughts")
    assert (asked.answers, asked.message, len(it.requests)) == ([reader.right], "", 1)


@cells("cut")
def test_a_reply_that_was_cut_off_is_no_answer(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_all("cut")
    assert asked.answers == [None] and "max_output_tokens" in asked.message
    longer = it.ask_regular(max_output_tokens=800)
    assert longer.answers == [reader.right] and len(it.requests) == 1


def check_no_answer(behaviour: str, vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_all(behaviour)
    assert asked.answers == [None] and it.words(behaviour) in asked.message
    again = it.ask_regular()
    assert again.answers == [reader.right] and len(it.requests) == 1


@cells("empty")
def test_an_empty_reply_is_no_answer_and_asked_by_the_next_run(
    vendor: Vendor, reader: Reader, cell: CellOf
) -> None:
    check_no_answer("empty", vendor, reader, cell)


@cells("broken")
def test_a_reply_that_ended_by_a_fault_is_no_answer_and_asked_by_the_next_run(
    vendor: Vendor, reader: Reader, cell: CellOf
) -> None:
    check_no_answer("broken", vendor, reader, cell)


@cells("filtered")
def test_a_declined_request_fails_alone(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_first("filtered")
    assert asked.answers == [None, reader.right] and not asked.stopped
    assert it.words("filtered") in asked.message
