"""Vendors with a Batch API × behaviours in step 3's `mode: batch`: calls that fail, and lines unlike OpenAI's."""

import json
from typing import Any

import pytest
from vendors.cell import Cell, CellOf
from vendors.dialect import Sent, Vendor
from vendors.openai_azure import OPENAI
from vendors.readers import IN_BATCHES
from vendors.table import VENDORS

KEY = "sk-vendor-12345678"
WITH_BATCHES = [vendor for vendor in VENDORS if vendor.in_rows]


def calls(*behaviours: str) -> pytest.MarkDecorator:
    """Every vendor with a Batch API that shows one of the behaviours."""
    found = [
        pytest.param(vendor, behaviour, id=f"{vendor.name}-{behaviour}")
        for vendor in WITH_BATCHES
        for behaviour in behaviours
        if behaviour in vendor.shows
    ]
    return pytest.mark.parametrize(("vendor", "behaviour"), found)


@calls("bad_key", "no_money", "blocked", "page")
def test_a_server_that_refuses_the_calls_stops_the_step(vendor: Vendor, behaviour: str, cell: CellOf) -> None:
    it = cell(vendor, IN_BATCHES)
    fault = it.shown(behaviour, {})
    it.line.on_call = lambda number: fault
    asked = it.ask_regular(2)
    assert (asked.answers, asked.stopped, it.line.calls, it.requests) == ([None, None], True, 1, [])
    assert it.words(behaviour) in asked.message and KEY not in asked.message + it.files()
    it.line.on_call = lambda number: None
    assert it.ask_regular(2).answers == [IN_BATCHES.right] * 2 and len(it.requests) == 2


@calls("rate_limit", "overloaded")
@pytest.mark.parametrize("at", range(4))
def test_a_call_that_fails_for_a_moment_is_repeated(
    vendor: Vendor, behaviour: str, at: int, cell: CellOf
) -> None:
    it = cell(vendor, IN_BATCHES)
    fault = it.shown(behaviour, {})
    it.line.on_call = lambda number: fault if number == at else None
    asked = it.ask_regular(2)
    assert (asked.answers, asked.message, len(it.requests)) == ([IN_BATCHES.right] * 2, "", 2)
    assert len(it.line.batches.batches) == 1 and it.line.calls > 4


@pytest.mark.parametrize("at", range(3))  # the fourth is the file of results, which is downloaded once more
def test_a_web_page_in_place_of_a_file_or_batch_stops_the_step(at: int, cell: CellOf) -> None:
    it = cell(OPENAI, IN_BATCHES)
    it.line.on_call = lambda number: it.shown("page", {}) if number == at else None
    asked = it.ask_regular(2)
    assert asked.stopped and "web page" in asked.message and "base_url" in asked.message
    assert it.ask_regular(2).answers == [IN_BATCHES.right] * 2 and len(it.requests) <= 2


def in_rows(it: Cell, change: Any, **settings: Any) -> Any:
    """What step 3 makes of two questions when `change` is applied to the first line of every file of results."""

    def corrupt(content: bytes) -> bytes:
        first, *others = content.splitlines()
        return b"\n".join([json.dumps(change(json.loads(first))).encode(), *others])

    it.line.batches.corrupt = corrupt
    return it.ask_regular(2, **settings)


@pytest.mark.parametrize("status", ["200", None])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_reply_is_kept_whatever_form_its_line_has(status: Any, as_text: bool, cell: CellOf) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        body = row["response"]["body"]
        row["response"] = {"status_code": status, "body": json.dumps(body) if as_text else body}
        return row

    it = cell(OPENAI, IN_BATCHES)
    asked = in_rows(it, change)
    assert (asked.answers, asked.message, len(it.requests)) == ([IN_BATCHES.right] * 2, "", 2)


@pytest.mark.parametrize(
    ("error", "words", "stopped", "requests"),
    [
        ({"code": "insufficient_quota", "message": "You exceeded your current quota."}, "current quota", True, 2),
        ({"code": "401", "message": "Access denied due to invalid key."}, "Access denied", True, 2),
        ({"code": "model_not_found", "message": "The model `x` does not exist."}, "does not exist", True, 2),
        ({"code": "content_filter", "message": "The prompt was filtered."}, "was filtered", False, 2),
        ({"code": "400", "message": "Invalid image."}, "Invalid image", False, 2),
        ("prompt is too long", "prompt is too long", False, 3),
        ({"code": "batch_expired", "message": "This request could not be executed."}, "not be executed", False, 3),
        ({"code": "429", "message": "Too many requests."}, "Too many requests", False, 3),
        ({"code": "429", "message": "Request too large for x: Limit 1, Requested 2."}, "too large", False, 2),
    ],
)  # fmt: skip
def test_an_error_beside_the_response_is_read_as_one_inside(
    error: Any, words: str, stopped: bool, requests: int, cell: CellOf
) -> None:
    it = cell(OPENAI, IN_BATCHES)
    asked = in_rows(it, lambda row: row | {"response": None, "error": error})
    answers = [None, None if stopped else IN_BATCHES.right]
    assert (asked.answers, asked.stopped, len(it.requests)) == (answers, stopped, requests), asked.message
    assert words in asked.message


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({"object": "list", "data": [{"code": "billing_hard_limit_reached", "message": "Limit."}]}, "top up"),
        (["the file has 6000 lines, the limit is 5000"], "the limit is 5000"),
        ("no reason", "no reason"),
        (None, "no reason given"),
    ],
)
def test_a_batch_that_is_refused_as_a_whole(errors: Any, words: str, cell: CellOf) -> None:
    it = cell(OPENAI, IN_BATCHES)

    def refused(number: int) -> Sent | None:
        if number < 2:
            return None
        (batch,) = it.line.batches.batches.values()
        return Sent(200, batch | {"status": "failed", "errors": errors})

    it.line.on_call = refused
    asked = it.ask_regular(2)
    assert asked.answers == [None, None] and asked.stopped and words in asked.message
