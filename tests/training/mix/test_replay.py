"""The measured share of base rows: up when known types fall beyond noise, slowly down while they do not."""

import pytest

from dataengine_lib.training.mix.replay import (
    LEAST_SHARE,
    MOST_SHARE,
    KnownChange,
    PanelChange,
    measured_share,
)


def change(points: float, p_value: float, questions: int = 100) -> KnownChange:
    return KnownChange("e.json", ["image_scene"], questions, points, p_value)


FALL, NOISE, RISE = change(-0.05, 0.01), change(-0.05, 0.2), change(0.05, 0.01)


def test_a_fall_doubles_the_odds_and_anything_else_lowers_them() -> None:
    assert measured_share(0.5, []) == 0.5
    assert measured_share(0.5, [FALL]) == pytest.approx(2 / 3, abs=1e-4)
    assert measured_share(0.5, [NOISE]) == measured_share(0.5, [RISE]) == pytest.approx(4 / 9, abs=1e-4)
    assert measured_share(0.5, [FALL, RISE]) == pytest.approx(1.6 / 2.6, abs=1e-4)


def test_the_share_stays_within_its_bounds_and_comes_back_from_them() -> None:
    assert measured_share(0.0, []) == LEAST_SHARE and measured_share(1.0, []) == MOST_SHARE
    assert measured_share(0.5, [FALL] * 20) == MOST_SHARE and measured_share(0.5, [RISE] * 20) == LEAST_SHARE
    assert measured_share(0.5, [FALL] * 20 + [RISE]) == pytest.approx(3.2 / 4.2, abs=1e-4)


def test_a_fall_on_the_panel_counts_as_one_of_known_types() -> None:
    fallen, kept = PanelChange("panel", 3, {"pope: random": -0.1}), PanelChange("panel", 3, {})
    assert measured_share(0.5, [RISE], [fallen]) == measured_share(0.5, [FALL], [kept]) == 0.6667
    assert measured_share(0.5, [FALL], [fallen]) == 0.6667, "the odds are doubled once"
    assert measured_share(0.5, [RISE], [kept]) == measured_share(0.5, [RISE])
    unknown = change(0.0, 1.0, questions=0)
    assert measured_share(0.5, [unknown] * 2, [fallen, kept]) == measured_share(0.5, [FALL, RISE])


def test_without_known_types_nothing_is_changed() -> None:
    assert measured_share(0.5, [change(0.0, 1.0, questions=0)] * 3) == 0.5
