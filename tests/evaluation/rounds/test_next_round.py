"""What a round says about the next one: types that gained, the price of a point, and the rules that end the rounds."""

from pathlib import Path

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.rounds.figures import Comparison, PairedScore
from dataengine_lib.evaluation.rounds.next_round import StopRule, judge_last_round, round_cost
from dataengine_lib.evaluation.rounds.verdicts import Verdict


def comparison(points: float, *verdicts: Verdict) -> Comparison:
    """Of all questions together, and of types a, b, … with these verdicts."""

    def paired(gain: float, verdict: Verdict) -> PairedScore:
        shown = Gain(gain, gain - 0.1, gain + 0.1, 200, 90)
        return PairedScore(
            gain=shown, p_value=0.01, p_holm=0.01, verdict=verdict, fixed=9, broken=3, p_mcnemar=0.01
        )

    by_type = {"abcdef"[place]: paired(0.1, verdict) for place, verdict in enumerate(verdicts)}
    return Comparison("before", "after", paired(points / 100, "gain"), by_type, None, [], [])


NO_GAIN = comparison(1.0, "unclear", "loss", "too few")


@pytest.mark.parametrize(
    ("last", "cost", "rule", "stops"),
    [
        (NO_GAIN, 1.0, StopRule(), False),
        (NO_GAIN, 1.0, StopRule(no_type_gains=True), True),
        (comparison(1.0, "gain", "loss"), 1.0, StopRule(no_type_gains=True), False),
        (comparison(2.0, "unclear"), 4.0, StopRule(max_usd_per_point=1.9), True),
        (comparison(2.0, "unclear"), 4.0, StopRule(max_usd_per_point=2.0), False),
        (comparison(-1.0, "unclear"), 4.0, StopRule(max_usd_per_point=99), True),
        (comparison(-1.0, "unclear"), 0.0, StopRule(max_usd_per_point=1), False),  # it cost nothing
        (comparison(-1.0, "unclear"), None, StopRule(max_usd_per_point=1), False),
    ],
)
def test_each_rule_ends_the_rounds_on_its_own(
    last: Comparison, cost: float | None, rule: StopRule, stops: bool
) -> None:
    found = judge_last_round(last, cost, rule, ["colour"])
    assert found.stop is stops and found.reason.startswith("stop, as") is stops


def test_the_reason_says_what_was_gained_for_how_much_and_what_comes_next() -> None:
    found = judge_last_round(comparison(2.0, "gain", "unclear"), 3.0, StopRule(), ["colour", "mood"])
    assert found.reason == (
        "in the last round 1 of 2 types gained (a), all questions together +2.0 points (a real gain) for 3.00 US "
        "dollars, 1.50 a point; another round would ask most about colour, mood"
    )
    assert (found.gained, found.cost_usd, found.usd_per_point) == (["a"], 3.0, 1.5)
    stopped = judge_last_round(NO_GAIN, 3.0, StopRule(no_type_gains=True, max_usd_per_point=2), [])
    assert stopped.reason == (
        "stop, as no question type gained beyond its corrected interval in the last round (1 of 3 have too few "
        "questions to tell) and a point cost 3.00 US dollars in the last round, more than 2 a point"
    )
    unknown = judge_last_round(NO_GAIN, None, StopRule(max_usd_per_point=2), [])
    assert "max_usd_per_point cannot be judged" in unknown.reason and unknown.usd_per_point is None


def test_a_round_costs_what_its_teacher_and_readers_cost(tmp_path: Path) -> None:
    usage = write_json(tmp_path / "usage.json", {"requests": 3, "cost_usd": 1.5})
    readers = {"blind": {"usage": {"cost_usd": 0.25}}, "free": {"usage": None}}
    curated = write_json(tmp_path / "post_process.json", {"kept": {}, "checks": {"readers": readers}})
    assert round_cost(usage, curated) == 1.75
    assert round_cost(usage, None) == round_cost(usage, tmp_path / "none.json") == 1.5
    assert round_cost(tmp_path / "none.json", curated) is None
    clustered = write_json(tmp_path / "causes.json", {"method": "cluster", "types": {}})
    assert round_cost(usage, curated, clustered) == 1.75
    named = write_json(tmp_path / "named.json", {"method": "teacher", "usage": {"cost_usd": 0.5}})
    assert round_cost(usage, curated, named) == 2.25
    assert round_cost(usage, None, write_json(named, {"usage": {"cost_usd": None}})) is None
    metrics = write_json(tmp_path / "metrics.json", {"splits": {}, "judge": {"usage": {"cost_usd": 0.125}}})
    assert round_cost(usage, curated, None, metrics) == 1.875
    assert round_cost(usage, None, None, write_json(metrics, {"splits": {}})) == 1.5  # no judge
    readers["blind"]["usage"] = {"cost_usd": None}  # its price is not known
    assert round_cost(usage, write_json(curated, {"checks": {"readers": readers}})) is None
