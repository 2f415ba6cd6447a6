"""Vendors × behaviours: what passes is asked once more, what one request meets fails alone, in steps 0, 1, 3 and 4."""

from vendors.cell import CellOf, cells
from vendors.dialect import Vendor
from vendors.readers import Reader


def check_retry(behaviour: str, vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask(lambda body, number: it.answer(body) if number else it.shown(behaviour, body))
    assert (asked.answers, asked.message, len(it.requests)) == ([reader.right], "", 2)


@cells("rate_limit")
def test_a_rate_limit_is_waited_for(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_retry("rate_limit", vendor, reader, cell)


@cells("overloaded")
def test_an_overloaded_server_is_asked_once_more(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_retry("overloaded", vendor, reader, cell)


@cells("too_long")
def test_a_request_that_is_too_long_fails_alone(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_first("too_long")
    assert asked.answers == [None, reader.right] and not asked.stopped
    assert it.words("too_long") in asked.message
    # no retry beyond the one without the schema, at which a status 400 may be aimed
    assert len(it.requests) <= 3
    assert it.ask_regular(2).answers == [reader.right] * 2


@cells("error_with_200")
def test_an_error_with_status_200_is_no_answer(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_all("error_with_200")
    assert asked.answers == [None] and it.words("error_with_200") in asked.message
    assert it.ask_regular().answers == [reader.right] and len(it.requests) == 1
