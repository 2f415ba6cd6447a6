"""A frame as a table: escaped, accuracies with their intervals, chips, and thumbnails where images are found."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
from made_run import EVIL
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.report.frame_table import frame_table


def test_a_frame_is_a_table_of_escaped_texts() -> None:
    frame = pd.DataFrame({EVIL: [EVIL, "b"], "right": [True, False], "share": [0.25, float("nan")]})
    shown = frame_table(frame, most=1)._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown and "mathjax_ignore" in shown
    assert "the first 1 of 2 rows" in shown and "yes" in shown and "0.25" in shown
    assert "–" in frame_table(frame).text


def test_accuracies_stand_with_their_intervals_and_types_are_chips() -> None:
    rows = [
        {"question_type": EVIL, "diagnose_accuracy": 0.5, "diagnose_low": 0.25, "diagnose_high": 0.75},
        {},
    ]
    names = [
        "question_type",
        "diagnose_accuracy",
        "diagnose_low",
        "diagnose_high",
        "holdout_accuracy",
        "kept",
    ]
    text = frame_table(make_frame("types", rows)[names]).text
    assert text.count("<th ") == 4 and "50.0 % [25.0, 75.0]<svg" in text and text.count("<svg") == 1
    assert text.count('class="kind"') == 1 and "<script" not in text
    # without its interval, an accuracy is a percentage, and the ends of another one are columns of their own
    alone = frame_table(make_frame("types", rows)[["diagnose_accuracy", "diagnose_low"]]).text
    assert '<td class="number">50.0 %</td><td class="number">0.25</td>' in alone


def test_columns_with_one_name_are_all_shown_with_their_own_values(tmp_path: Path) -> None:
    """As in a join of two rounds: each accuracy stands with the interval of its own round."""
    names = ["round", "accuracy", "low", "high", "round", "accuracy", "low", "high", 1, "1", "accuracy"]
    frame = pd.DataFrame([["a", 0.5, 0.25, 0.75, "b", 0.9, 0.8, 1.0, "x", "y", 0.1]], columns=names)
    text = frame_table(frame).text
    assert re.findall(r"<th [^>]*>([^<]*)<", text) == ["round", "accuracy"] * 2 + ["1", "1", "accuracy"]
    found = re.findall(r"<td[^>]*>([^<]*)<", text)
    assert found == ["a", "50.0 % [25.0, 75.0]", "b", "90.0 % [80.0, 100.0]", "x", "y", "10.0 %"]
    # the image is that of the first column with its name
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "a.png")
    frame = pd.DataFrame([["a.png", "b.png", 7]], columns=["image_path", "image_path", "n"])
    text = frame_table(frame, image_file=lambda row: tmp_path / row["image_path"]).text
    assert text.count("<img ") == 1 and text.count("<th ") == 2


def test_rows_have_thumbnails_where_their_images_are_found(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "teal").save(tmp_path / "a.png")

    def image_file(row: Any) -> Path:
        if row["image_path"] == EVIL:
            raise DataEngineError(EVIL)
        return tmp_path / str(row["image_path"])

    rows = [
        {"image_path": name, "question": EVIL, "choices": ["x", EVIL]} for name in ("a.png", EVIL, "none.png")
    ]
    frame = make_frame("answers", rows)[["image_path", "question", "choices"]]
    text = frame_table(frame, image_file=image_file).text
    assert text.count("<img ") == 1 and 'width="96" height="72"' in text and text.count("no-image") == 2
    assert text.count("<th ") == 3 and "x · &lt;img" in text and "<script" not in text
