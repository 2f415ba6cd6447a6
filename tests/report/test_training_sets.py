"""The table of the data sets of a training."""

from dataengine_lib.report.training_sets import sets_table
from dataengine_lib.training.log import MixPart


def test_every_set_has_rows_draws_share_and_what_was_left_out() -> None:
    parts = [
        MixPart("round 1", "a.json", 1200, 600, 0.25),
        MixPart("base 1", "<b>.json", 50, 1800, 0.75, 20, {"image not found": 3, "empty caption": 1}),
    ]
    text = sets_table(parts).text
    assert "2,400 draws from 2 data sets" in text
    cells = [row.replace("</td>", "").split(">") for row in text.split("<tbody>")[1].split("<tr>")[1:]]
    shown = [[cell.split("<")[0] for cell in row if cell.split("<")[0]] for row in cells]
    assert shown[0] == ["round 1", "a.json", "1,200", "0", "600", "25.0 %", "none"]
    assert shown[1] == [
        "base 1", "&lt;b&gt;.json", "50", "20", "1,800", "75.0 %", "image not found (3), empty caption (1)"
    ]  # fmt: skip
