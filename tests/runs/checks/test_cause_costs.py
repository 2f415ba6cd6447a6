"""`dataengine plan` says what a teacher of causes is asked at most, and what that costs."""

import json
import re
from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.runs.checks.cause_costs import cause_notes
from dataengine_lib.runs.workflow import plan

TEACHER = ("construct_queries.causes=teacher", "construct_queries.cause_teacher=openai:mine")


def notes(folder: Path, *settings: str, rounds: int = 2) -> list[str]:
    """Of the demo with 45 diagnose questions of one type, 15 of another, and as many of no use."""
    (folder / "images").mkdir(exist_ok=True)
    kinds = ["image_scene"] * 45 + ["image_quality"] * 15
    rows = []
    for split in ("diagnose", "holdout"):
        for number, kind in enumerate(kinds):
            name = f"{split}{number}.jpg"
            (folder / "images" / name).touch()
            rows.append({"question": f"what {number}?", "choices": ["a", "b"], "correct_choice_idx": 0,
                         "split": split, "question_type": kind, "image_path": name})  # fmt: skip
    rows[0] |= {"choices": [], "correct_choice_idx": -1, "direct_answers": ["a"], "answer_kind": "open"}
    (folder / "q.json").write_text(json.dumps(rows))
    paths = [f"evaluate.questions={folder / 'q.json'}", f"evaluate.image_root={folder / 'images'}"]
    experiment = demo_experiment(*paths, *settings)
    experiment.sections.pop("classify_questions")
    return list(cause_notes(plan(experiment, folder / "run"), rounds))


def test_names_are_asked_for_once_and_cases_in_each_round(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 1000, output: 1000}\n")
    more = (f"construct_queries.prices={prices}", "construct_queries.budget_usd=3")
    line, budget = notes(tmp_path, *TEACHER, *more)
    # 45 cases in three requests; 15 cannot hold two causes of 8
    found = re.match(
        r"cause_teacher: at most (\d+) requests to openai:mine, ([\d,]+) prompt tokens \(prices as of 2026-01-01: "
        r"([\d.]+) US dollars, at most ([\d.]+) with 2,000 output tokens each\), if every diagnose",
        line,
    )
    assert found and found[1] == "7"
    tokens, usd, most = (float(one.replace(",", "")) for one in found.groups()[1:])
    assert usd == pytest.approx((tokens + 6 * 25 + 2 * 45 * 15) / 1000, abs=0.01)
    assert most > 7 * 2000 / 1000 + tokens / 1000
    assert budget == "construct_queries.budget_usd stops cause_teacher in each round at 3 US dollars"
    (once,) = notes(tmp_path, *TEACHER, rounds=1)
    assert "at most 4 requests" in once and "(price not known)" in once


def test_clustering_costs_nothing_and_a_missing_file_is_named(tmp_path: Path) -> None:
    assert notes(tmp_path) == notes(tmp_path, "construct_queries.causes=cluster") == []
    assert notes(tmp_path, *TEACHER, "evaluate.questions=none.json") == [
        "cause_teacher is not counted: the file of questions that openai:mine is asked about does not exist yet"
    ]
