"""The forms of the browser and of the weights, pressed without a browser: what they show, and the files they write."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from made_run import EVIL, write_run
from project import PROJECT_ROOT

from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.queries.sampling import draw_drafts
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.widgets import case_browser, weight_editor
from dataengine_lib.widgets.case_browser import CaseBrowser
from dataengine_lib.widgets.case_list import CaseKey
from dataengine_lib.widgets.weight_editor import WeightEditor, share_html
from dataengine_lib.widgets.weight_plan import AS_WRITTEN, PlannedShare, weight_plan

DEMO = PROJECT_ROOT / "data_demo"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture
def form(folder: Path, tmp_path: Path) -> case_browser._Form:
    return case_browser._Form(CaseBrowser(load_run(folder), tmp_path / "new" / "decisions.json"))


def listed(form: case_browser._Form) -> list[CaseKey]:
    return [key for _, key in form.listing.options]


def test_it_begins_with_the_most_confident_case_and_shows_its_path(form: case_browser._Form) -> None:
    assert "6 of 6 bad cases" in form.count.value and form.listing.value == CaseKey(2, "q2")
    assert "Which thing is 2?" in form.shown.value and "<img" in form.shown.value
    assert "right in the evaluation before" in form.shown.value
    assert "0 queries show it" in form.path.value
    form.listing.value = CaseKey(1, "q0")
    assert "fixed in round 2" in form.path.value and form.path.value.count("<img") > 0


def test_filters_change_the_list_and_the_case(form: case_browser._Form) -> None:
    form.round.value = 1
    form.outcome.value = "fixed"
    assert listed(form) == [CaseKey(1, "q0")] and "Which thing is 0?" in form.shown.value
    form.text.value = "nothing of that kind"
    assert listed(form) == [] and "No case passes" in form.shown.value and form.path.value == ""
    assert form.buttons["Use as example"].disabled
    form.decide("use")
    assert not form.browser.file.exists(), "nothing is chosen, so nothing is written"
    form.text.value, form.outcome.value, form.round.value = "", "", ""
    assert len(listed(form)) == 6


def test_decisions_are_written_at_once_and_the_case_stays_chosen(form: case_browser._Form) -> None:
    form.listing.value = CaseKey(1, "q1")
    form.buttons["Use as example"].click()
    file = form.browser.file
    assert json.loads(file.read_text()) == {"q1": "use"}
    assert form.listing.value == CaseKey(1, "q1") and form.listing.label.startswith("★ ")
    assert "q1 is used as an example" in form.status.value and "1 use, 0 never" in form.status.value
    form.listing.value = CaseKey(2, "q2")
    form.buttons["Never use"].click()
    form.decision.value = "never"
    assert listed(form) == [CaseKey(2, "q2")]
    form.buttons["Undecided"].click()
    assert json.loads(file.read_text()) == {"q1": "use"}
    form.decision.value = "use"
    assert listed(form) == [CaseKey(1, "q1"), CaseKey(2, "q1")], "one question in two rounds"


def test_a_file_of_another_kind_is_shown_and_left_alone(form: case_browser._Form) -> None:
    file = form.browser.file
    file.parent.mkdir()
    file.write_text('{"q1": "maybe"}')
    form.buttons["Use as example"].click()
    assert "decisions about examples are" in form.status.value and file.read_text() == '{"q1": "maybe"}'
    form.search()
    assert len(listed(form)) == 6
    assert "maybe" in form.browser.summary().text


def test_pages_go_as_far_as_there_are_cases(
    form: case_browser._Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_browser, "MOST_ROWS_SHOWN", 4)
    form.search()
    assert len(listed(form)) == 4 and "1 to 4 of 6 of 6" in form.count.value
    assert form.buttons["Previous page"].disabled
    form.buttons["Next page"].click()
    assert len(listed(form)) == 2 and form.buttons["Next page"].disabled
    form.turn(1)
    assert len(listed(form)) == 2


def test_hostile_text_reaches_the_browser_as_text(form: case_browser._Form) -> None:
    form.listing.value = CaseKey(1, "q3")
    for part in (form.shown.value, form.path.value, form.browser.summary().text):
        assert "<script" not in part and 'onerror="' not in part and "\u202e" not in part
    assert "&lt;script&gt;" in form.shown.value


def test_a_case_without_id_cannot_be_decided(form: case_browser._Form) -> None:
    with pytest.raises(DataEngineError, match="has no question_id"):
        form.browser.decide(CaseKey(1, ""), "use")


# --- weights


def test_presets_are_the_weights_that_step_1_writes() -> None:
    plan = weight_plan(load_run(DEMO))
    written = json.loads((DEMO / "weight.json").read_text())
    assert plan.presets[AS_WRITTEN] == pytest.approx(written)
    assert plan.presets["1-acc"] == pytest.approx(written, abs=0.001)
    assert set(plan.presets) == {AS_WRITTEN, "1-acc", "sqrt(1-acc)", "shrunk", "shrunk^2", "uniform"}
    metrics = json.loads((DEMO / "metrics.json").read_text())
    kind = next(kind for kind, facts in plan.facts.items() if facts.bad_cases)
    interval = plan.interval(kind, "shrunk")
    assert interval is not None and interval.low == pytest.approx(
        metrics["weights"][kind]["shrunk"]["low"], abs=0.002
    )


def test_shares_are_those_that_step_2_draws() -> None:
    plan = weight_plan(load_run(DEMO))
    plan.queries, plan.targets = (
        1000,
        {next(kind for kind, facts in plan.facts.items() if facts.bad_cases): 90},
    )
    weights = plan.presets["1-acc"]
    cases = {kind: facts.bad_cases for kind, facts in plan.facts.items()}
    drafts, _ = draw_drafts(
        weights, cases, 1000, examples=1, neighbour_share=0, rng=Random(3), targets=plan.targets
    )
    drawn = Counter(draft.question_type for draft in drafts)
    shares = plan.shares(weights)
    assert all(abs(share.queries - drawn[kind]) < 1.001 for kind, share in shares.items())
    assert round(plan.total(weights).queries) == 1000
    assert [share.target for share in shares.values()].count(True) == 1
    assert plan.total(dict.fromkeys(weights, 0.0)).queries == 90


def test_prices_are_those_that_the_run_paid(folder: Path) -> None:
    plan = weight_plan(load_run(folder))
    assert plan.round == 2 and plan.prices == {"ocr": 0.25, "image_scene": 0.25}
    shares = plan.shares({"ocr": 1.0, "image_scene": 3.0})
    assert shares["image_scene"].queries == pytest.approx(plan.queries * 0.75)
    assert plan.total({"ocr": 1.0}).usd == pytest.approx(plan.queries * 0.25)
    plan.prices = {}
    assert plan.total({"ocr": 1.0}).usd is None
    with pytest.raises(DataEngineError, match="no bad cases in round 7"):
        weight_plan(load_run(folder), 7)


def test_sliders_presets_and_the_written_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "weight.json"
    form = weight_editor._Form(WeightEditor(load_run(folder), file, 1))
    form.queries.value = 400
    assert form.preset.value == AS_WRITTEN and form.weights == pytest.approx(
        {"ocr": 0.667, "image_scene": 1.0}
    )
    form.preset.value = "uniform"
    assert form.weights == {"ocr": 1.0, "image_scene": 1.0}
    assert all("200 queries, $50.00" in beside.value for beside in form.beside.values())
    assert "400 queries, $100.00, of 400" in form.total.value
    form.sliders["ocr"].value = 0.9996
    assert form.preset.value == "uniform", "a browser rounds values that nobody moved"
    form.sliders["ocr"].value = 0.25
    assert form.preset.value == "by hand" and "80 queries" in form.beside["ocr"].value
    form.button.click()
    assert read_weights(file, ["ocr", "image_scene"]) == {"ocr": 0.25, "image_scene": 1.0}
    assert f"construct_queries.weight: {file}" in form.status.value
    form.sliders["ocr"].value = 0.5
    assert form.status.value == "Changed since the file was written."
    for slider in form.sliders.values():
        slider.value = 0
    form.button.click()
    assert "no type with bad cases has a weight" in form.status.value
    assert read_weights(file, ["ocr"]) == {"ocr": 0.25}, "the file stays as it was"


def test_a_share_says_its_interval_and_escapes_names(folder: Path, tmp_path: Path) -> None:
    plan = weight_plan(load_run(folder), 1)
    shown = share_html(plan, "ocr", "1-acc", 0.667, PlannedShare(12.4, None))
    assert (
        "33.3 % of 3 right" in shown
        and "[" in shown
        and "<svg" in shown
        and "12 queries, price not known" in shown
    )
    with pytest.raises(ParameterError, match="raise at least one"):
        plan.write(tmp_path / "w.json", {"other": 1.0})
    assert (
        EVIL not in WeightEditor(load_run(folder), tmp_path / f"{EVIL.replace('/', '')}.json").summary().text
    )
