"""Tests of the weight files between steps 1 and 2."""

import json
import logging
from pathlib import Path

import pytest

from dataengine_lib.data.weights import read_weights, weights_of, write_weights
from dataengine_lib.errors import DataEngineError

TYPES = ["image_scene", "image_style", "knowledge-based_reasoning"]


def weight_file(folder: Path, content: object) -> Path:
    file = folder / "weight.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("rule", "expected"), [("1-acc", [0.333, 0.0, 1.0]), ("sqrt(1-acc)", [0.577, 0.0, 1.0])]
)
def test_weights_follow_the_rule(rule: str, expected: list[float]) -> None:
    weights = weights_of(dict(zip(TYPES, (2 / 3, 1.0, 0.0), strict=True)), rule)  # type: ignore[arg-type]
    assert weights == dict(zip(TYPES, expected, strict=True))


def test_a_type_that_was_not_asked_gets_the_mean() -> None:
    assert weights_of({"a": 0.5, "b": None, "c": 0.9})["b"] == 0.3
    with pytest.raises(DataEngineError, match="no question was answered in the diagnose split"):
        weights_of({"a": None})


def test_both_files_hold_the_same_and_read_back(tmp_path: Path) -> None:
    weights = {"image_scene": 0.25, "image_style": 0.125, "knowledge-based_reasoning": 1.0}
    one, other = write_weights(tmp_path, weights)
    assert (one.name, other.name) == ("weight.json", "weight.txt")
    assert json.loads(one.read_text()) == json.loads(other.read_text()) == weights
    assert read_weights(one, TYPES) == read_weights(other, TYPES) == weights


def test_without_a_file_all_weigh_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_weights(None, TYPES) == dict.fromkeys(TYPES, 1.0)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert read_weights(tmp_path / "weight.json", TYPES) == dict.fromkeys(TYPES, 1.0)
    assert "no such weight file" in caplog.text


def test_a_partial_file_warns_and_takes_the_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = weight_file(tmp_path, {"image_style": 0.2, "image_scene": 0.4})
    with caplog.at_level(logging.WARNING):
        weights = read_weights(file, TYPES)
    assert list(weights) == TYPES
    assert weights["knowledge-based_reasoning"] == pytest.approx(0.3)
    assert "knowledge-based_reasoning" in caplog.text and "image_style" not in caplog.text


def test_other_types_are_ignored_and_names_may_have_spaces(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = weight_file(tmp_path, {"Image scene": 0.2, "image_style": 0.4, "ocr": 99})
    assert read_weights(file, TYPES[:2]) == {"image_scene": 0.2, "image_style": 0.4}
    assert not caplog.records


def test_all_zero_is_an_error_of_one_line(tmp_path: Path) -> None:
    file = weight_file(tmp_path, {**dict.fromkeys(TYPES, 0), "ocr": 1})
    with pytest.raises(DataEngineError, match="all weights are zero") as caught:
        read_weights(file, TYPES)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [-0.1, "heavy", None, [1]])
def test_what_is_no_weight_names_the_file(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(DataEngineError, match=r"weight\.json: "):
        read_weights(weight_file(tmp_path, {"image_scene": wrong}), ["image_scene"])
