"""Vendors × behaviours: errors that every request would meet stop steps 0, 1, 3 and 4 after one request."""

from vendors.cell import CellOf, cells
from vendors.dialect import Vendor
from vendors.readers import Reader

KEY = "sk-vendor-12345678"


def check_stop(behaviour: str, vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    """Two questions: one request, the server's own words without the key, and nothing that a next run would keep."""
    it = cell(vendor, reader)
    asked = it.ask_all(behaviour, 2)
    assert (asked.answers, asked.stopped) == ([None, None], True)
    assert len(it.requests) == (2 if it.together else 1)
    assert it.words(behaviour) in asked.message
    assert KEY not in asked.message + it.files()
    again = it.ask_regular(2)
    assert again.answers == [reader.right] * 2 and len(it.requests) == 2


@cells("bad_key")
def test_a_refused_key(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_stop("bad_key", vendor, reader, cell)


@cells("no_money")
def test_no_money(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_stop("no_money", vendor, reader, cell)


@cells("no_model")
def test_a_model_that_is_not_served(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_stop("no_model", vendor, reader, cell)


@cells("blocked")
def test_a_blocked_region_or_account(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    check_stop("blocked", vendor, reader, cell)


@cells("page")
def test_a_web_page(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask_all("page", max_attempts=1)
    assert asked.answers == [None] and len(it.requests) == 1
    assert "web page" in asked.message and "base_url" in asked.message
    assert it.ask_regular().answers == [reader.right]
