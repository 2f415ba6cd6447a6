"""Vendors × behaviours: a field that a server refuses is left out, also of all later requests, in steps 0, 1, 3 and 4."""

from vendors.cell import Cell, CellOf, cells
from vendors.dialect import Vendor
from vendors.readers import Reader


def with_and_without(it: Cell) -> list[bool]:
    """Which of two questions' requests have the field: a batch holds both before the first is refused."""
    return [True, True, False, False] if it.together else [True, False, False]


@cells("refused_field")
def test_a_refused_field_is_left_out_for_good(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it, name = cell(vendor, reader), vendor.refuses
    asked = it.ask(
        lambda body, number: it.shown("refused_field", body) if name in body else it.answer(body), 2
    )
    assert (asked.answers, asked.message) == ([reader.right] * 2, "")
    assert [name in body for body in it.requests] == with_and_without(it)
    # nothing else was left out; the output limit goes on under its other name
    others = {"temperature", "seed", "response_format"} - {name}
    assert all(others <= body.keys() for body in it.requests)
    assert all(body.get("max_tokens", body.get("max_completion_tokens")) == 400 for body in it.requests)


@cells("refused_format")
def test_a_refused_schema_is_left_out_for_good(vendor: Vendor, reader: Reader, cell: CellOf) -> None:
    it = cell(vendor, reader)
    asked = it.ask(
        lambda body, number: (
            it.shown("refused_format", body) if "response_format" in body else it.answer(body)
        ),
        2,
    )
    assert (asked.answers, asked.message) == ([reader.right] * 2, "")
    assert ["response_format" in body for body in it.requests] == with_and_without(it)
    assert all({"temperature", "seed", "max_tokens"} <= body.keys() for body in it.requests)
