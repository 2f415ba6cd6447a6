"""Simulated comparisons through step 6's own functions: few false alarms, and as much power as `plan` promises.

`tests/benchmarks/false_alarms.py` runs more of them.
"""

import pytest
from made_study.comparisons import DISCORDANCE, EACH, TYPES, verdicts

from dataengine_lib.core.significance.power import power


def test_without_any_effect_hardly_a_comparison_calls_a_type_real() -> None:
    found = verdicts(60, {}, alike=0.3, seed=0)
    assert (found != 0).any(axis=1).sum() <= 3  # 5 % of 60


@pytest.mark.parametrize("gain", [0.1, 0.25])
def test_a_planted_gain_is_found_as_often_as_plan_promises(gain: float) -> None:
    # every third type gains; the others do not, as `plan` assumes of most
    planted = dict.fromkeys(range(0, TYPES, 3), gain)
    found = verdicts(40, planted, alike=0.0, seed=0)[:, list(planted)]
    assert (found == 1).mean() == pytest.approx(power(gain, EACH, 0.05 / TYPES, DISCORDANCE), abs=0.05)
