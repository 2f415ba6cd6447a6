"""Tests of the weight files between steps 1 and 2."""

import json
import logging
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy.stats import binomtest

from dataengine_lib.core.statistics import wilson
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.weights import (
    ACCURACY_RULES,
    AccuracyRule,
    Spread,
    WeightInterval,
    read_weights,
    type_weights,
    weight_table,
    write_weights,
)

TYPES = ["image_scene", "image_style", "knowledge-based_reasoning"]


def table_of(counts: dict[str, tuple[int, int]]) -> dict[str, dict[AccuracyRule, WeightInterval]]:
    """The table where every question is about an image of its own."""
    return weight_table(counts, {kind: wilson(*count) for kind, count in counts.items()})


def weight_file(folder: Path, content: object) -> Path:
    file = folder / "weight.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("1-acc", [0.333, 0.0, 1.0]),
        ("sqrt(1-acc)", [0.577, 0.0, 1.0]),
    ],
)
def test_weights_follow_the_rule(rule: AccuracyRule, expected: list[float]) -> None:
    counts = dict(zip(TYPES, ((2, 3), (5, 5), (0, 4)), strict=True))
    assert type_weights(counts, rule) == dict(zip(TYPES, expected, strict=True))


def test_a_type_that_was_not_asked_gets_the_mean() -> None:
    counts = {"a": (1, 2), "b": (0, 0), "c": (9, 10)}
    assert type_weights(counts, "1-acc")["b"] == 0.3
    assert type_weights(counts, "sqrt(1-acc)")["b"] == pytest.approx((0.5**0.5 + 0.1**0.5) / 2, abs=6e-4)


def test_uniform_weights_do_not_depend_on_accuracy() -> None:
    assert type_weights({"a": (0, 9), "b": (9, 9), "c": (0, 0)}, "uniform") == {"a": 1.0, "b": 1.0, "c": 1.0}
    with pytest.raises(DataEngineError, match="no question was answered"):
        type_weights({"a": (0, 0)}, "uniform")


@pytest.mark.parametrize("rule", ACCURACY_RULES)
def test_without_any_question_there_are_no_weights(rule: AccuracyRule) -> None:
    for counts in ({}, {"a": (0, 0)}):
        with pytest.raises(DataEngineError, match="no question was answered in the diagnose split"):
            type_weights(counts, rule)
    with pytest.raises(DataEngineError, match="no question was answered"):
        table_of({"a": (0, 0)})


def between_by_hand(counts: dict[str, tuple[int, int]]) -> float:
    """DerSimonian and Laird's variance in plain arithmetic, as section 3 of the paper writes it."""
    weights, rates = [], []
    for right, total in counts.values():
        smoothed = (total - right + 2) / (total + 4)
        weights.append(total / (smoothed * (1 - smoothed)))
        rates.append((total - right) / total)
    mean = sum(w * y for w, y in zip(weights, rates, strict=True)) / sum(weights)
    heterogeneity = sum(w * (y - mean) ** 2 for w, y in zip(weights, rates, strict=True))
    scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
    return max(0.0, (heterogeneity - (len(weights) - 1)) / scale)


def test_the_spread_between_types_is_dersimonian_and_lairds() -> None:
    """The worked example: k = 3, so that each term can be checked."""
    counts = {"a": (10, 40), "b": (30, 40), "c": (18, 20)}
    spread = Spread.of({**counts, "unasked": (0, 0)})
    assert spread.between == pytest.approx(between_by_hand(counts), rel=1e-12) and spread.between > 0.05
    assert spread.overall == 42 / 100
    assert spread.overall_variance == pytest.approx((44 / 104) * (60 / 104) / 100)


def test_one_wrong_question_does_not_outweigh_many() -> None:
    counts = {"rare": (0, 1), **{f"common {i}": (30 + 2 * i, 60) for i in range(10)}}
    plain, shrunk = type_weights(counts, "1-acc"), type_weights(counts, "shrunk")
    assert plain["rare"] == 1.0 and max(plain, key=lambda kind: plain[kind]) == "rare"
    assert shrunk["rare"] < shrunk["common 0"]
    assert shrunk["rare"] / sum(shrunk.values()) < 0.12 < plain["rare"] / sum(plain.values())


def test_shrunk_weights_are_between_own_and_overall_rate_and_shrink_less_with_more_questions() -> None:
    rng = Random(3)
    for _ in range(200):
        counts = {f"t{i}": (rng.randint(0, n), n) for i, n in enumerate(rng.choices(range(60), k=8))}
        if not any(total for _, total in counts.values()):
            continue
        overall = Spread.of(counts).overall
        shrunk = type_weights(counts, "shrunk")
        for kind, (right, total) in counts.items():
            own = (total - right) / total if total else overall
            low, high = sorted((max(own, 0.1 * overall), overall))
            assert low - 6e-4 <= shrunk[kind] <= high + 1.1e-3
    spread = {"few": (1, 10), "many": (20, 200), "other": (180, 200), "third": (100, 200)}
    shrunk = type_weights(spread, "shrunk")
    assert 0.5 < shrunk["few"] < shrunk["many"] < 0.9


def test_shrunk_estimates_are_nearer_the_truth_than_the_rates() -> None:
    """Over many simulated students: a smaller mean squared error, and intervals that cover the true rate."""
    rng = np.random.default_rng(0)
    errors, held = {"1-acc": [], "shrunk": []}, []
    for _ in range(150):
        truth, sizes = rng.beta(4, 6, 18), rng.integers(1, 60, 18)
        counts = {
            str(i): (int(n - rng.binomial(n, p)), int(n))
            for i, (p, n) in enumerate(zip(truth, sizes, strict=True))
        }
        table = table_of(counts)
        for rule, found in errors.items():
            found += [(table[str(i)][rule].weight - p) ** 2 for i, p in enumerate(truth)]
        held += [
            table[str(i)]["shrunk"].low <= p <= table[str(i)]["shrunk"].high for i, p in enumerate(truth)
        ]
    assert np.mean(errors["shrunk"]) < 0.7 * np.mean(errors["1-acc"])
    assert 0.9 < np.mean(held) < 0.98


def test_types_that_do_not_differ_get_the_overall_rate_with_its_own_uncertainty() -> None:
    table = table_of({"a": (7, 10), "b": (7, 10), "c": (0, 0)})
    assert {found["shrunk"].weight for found in table.values()} == {0.3}
    assert all(0.05 < found["shrunk"].low < 0.3 < found["shrunk"].high < 0.55 for found in table.values())


def test_shrunk_weights_are_never_zero() -> None:
    counts = {"perfect": (1000, 1000), "weak": (200, 1000)}
    assert type_weights(counts, "1-acc")["perfect"] == 0.0
    assert type_weights(counts, "shrunk")["perfect"] == 0.04  # a tenth of 0.4
    assert type_weights(counts, "shrunk^2")["perfect"] == 0.002  # its square
    for rule in ("shrunk", "shrunk^2"):  # not rounded away
        assert type_weights({"a": (5000, 5000), "b": (4990, 5000)}, rule)["a"] == 0.001


def test_a_student_without_mistakes_gets_weights_of_zero() -> None:
    for rule in ACCURACY_RULES:
        assert type_weights({"a": (4, 4), "b": (1, 1), "c": (0, 0)}, rule) == {"a": 0.0, "b": 0.0, "c": 0.0}


@pytest.mark.parametrize("counts", [{"a": (0, 3), "b": (0, 1)}, {"a": (1, 3)}, {"a": (0, 1)}])
def test_few_answers_and_only_wrong_answers_give_valid_intervals(counts: dict[str, tuple[int, int]]) -> None:
    for found in table_of(counts).values():
        for part in found.values():
            assert 0 <= part.low <= part.weight <= part.high <= 1


def test_the_table_has_every_rule_with_its_interval() -> None:
    counts = {"a": (15, 20), "none": (0, 0), "b": (4, 40)}
    table = table_of(counts)
    assert list(table) == list(counts) and all(tuple(row) == ACCURACY_RULES for row in table.values())
    for rule in ACCURACY_RULES:
        assert {kind: row[rule].weight for kind, row in table.items()} == type_weights(counts, rule)
    errors = binomtest(5, 20).proportion_ci(method="wilson")
    plain, root = (table["a"][rule] for rule in ("1-acc", "sqrt(1-acc)"))
    assert (plain.low, plain.high) == (round(errors.low, 3), round(errors.high, 3))
    assert (root.low, root.high) == (round(errors.low**0.5, 3), round(errors.high**0.5, 3))
    shrunk, square = (table["a"][rule] for rule in ("shrunk", "shrunk^2"))
    for part in ("weight", "low", "high"):
        assert getattr(square, part) == pytest.approx(getattr(shrunk, part) ** 2, abs=1.5e-3)
    unasked = table["none"]
    assert (unasked["1-acc"].low, unasked["1-acc"].high) == (0, 1)
    assert unasked["shrunk"].weight == round(41 / 60, 3)
    assert (
        unasked["shrunk"].high - unasked["shrunk"].low > table["b"]["shrunk"].high - table["b"]["shrunk"].low
    )


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


@pytest.mark.parametrize("wrong", [-0.1, "heavy", None, [1], float("nan"), float("inf"), True, "", "1" * 400])
def test_an_invalid_weight_is_an_error_that_names_the_file(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(DataEngineError, match=r"weight\.json: "):
        read_weights(weight_file(tmp_path, {"image_scene": wrong}), ["image_scene"])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([0.5, 0.2], "a JSON list of something else than objects"),
        ([{"question": "q", "choices": ["a"]}], "questions like A-OKVQA's"),
        (
            {"image_scene": [{"question": "q", "choices": [], "model_answer": ""}]},
            "bad cases by question type",
        ),
        ({"splits": {}, "weights": {}, "skipped": {}}, "the figures of evaluate (metrics.json)"),
        (None, "plain text"),
    ],
)
def test_another_file_is_named(tmp_path: Path, content: object, kind: str) -> None:
    (tmp_path / "weight.json").write_text(json.dumps(content))
    with pytest.raises(DataEngineError) as caught:
        read_weights(tmp_path / "weight.json", TYPES)
    assert f"not weights by question type: looks like {kind}" in str(caught.value)
    assert str(caught.value).endswith("give weight.json of evaluate")


def test_what_is_missing_is_handed_to_the_step(tmp_path: Path) -> None:
    warnings: list[str] = []
    assert read_weights(weight_file(tmp_path, {"ocr": 1}), TYPES, warnings.append) == dict.fromkeys(
        TYPES, 1.0
    )
    assert read_weights(weight_file(tmp_path, {}), TYPES, warnings.append) == dict.fromkeys(TYPES, 1.0)
    assert read_weights(weight_file(tmp_path, {"image_scene": "0.5"}), TYPES[:1], warnings.append) == {
        "image_scene": 0.5
    }
    assert len(warnings) == 2 and all("no weight for image_scene, " in text for text in warnings)
