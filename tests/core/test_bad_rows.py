"""Rows that are left out: counted, shown, and too many of them stop the step."""

import pytest

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.errors import DataEngineError


def rows(count: int, kind: str = "malformed row") -> list[BadRow]:
    return [BadRow(f"row {number}", f"{kind} of row {number}", kind) for number in range(count)]


def test_they_are_counted_by_reason_and_the_first_are_kept() -> None:
    bad = BadRows("q.json", 0.5, 100, keep=2)
    bad.add(*rows(3), *rows(2, "image not found"))
    summary = bad.summary()
    assert (summary.total, summary.of) == (5, 100)
    assert summary.by_reason == {"image not found": 2, "malformed row": 3}
    assert [row.row for row in summary.rows] == ["row 0", "row 1"]
    assert summary.sentence() == (
        "5 of 100 rows left out: image not found (2), malformed row (3); first: row 0: malformed row of row 0"
    )
    assert BadRows("q.json", 0.5, 100).summary().sentence() == ""


def test_too_many_stop_the_step_and_the_message_names_the_first_of_each_reason() -> None:
    bad = BadRows("q.json", 0.05, 40, remedy="check image_root")
    bad.add(*rows(2))
    bad.check()  # 5 % are allowed
    bad.add(*rows(1, "image not found"))
    with pytest.raises(DataEngineError) as caught:
        bad.check()
    assert str(caught.value) == (
        "q.json: row 0: malformed row of row 0; row 0: image not found of row 0; 3 of 40 rows cannot be used: "
        "correct them, check image_root, or raise max_bad_share (0.05)"
    )


@pytest.mark.parametrize(("share", "count", "stops"), [(0.05, 1, False), (0.05, 2, True), (0.0, 1, True)])
def test_a_single_row_never_refuses_a_file_unless_none_is_allowed(
    share: float, count: int, stops: bool
) -> None:
    bad = BadRows("q.json", share, 3)
    bad.add(*rows(count))
    if stops:
        with pytest.raises(
            DataEngineError, match=rf"{count} of 3 rows cannot be used: correct them or raise"
        ):
            bad.check()
    else:
        bad.check()


def test_harmless_rows_are_left_out_but_are_not_bad() -> None:
    bad = BadRows("q.json", 0.1, 10, harmless=["about a video"])
    bad.add(*rows(9, "about a video"), *rows(1))
    bad.check()
    assert bad.summary().total == 10
    bad.add(*rows(1))
    with pytest.raises(DataEngineError, match=r"q\.json: row 0: malformed row of row 0; 2 of 10 rows"):
        bad.check()


def test_a_message_is_one_line_of_bounded_length() -> None:
    bad = BadRows("q.json", 0.0, 5)
    bad.add(BadRow("row 1", "no\nsuch " + "x" * 10_000, "odd"))
    with pytest.raises(DataEngineError) as caught:
        bad.check()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
