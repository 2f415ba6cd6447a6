"""Before a run: the judge's requests, tokens and price over all evaluations; its server and price are checked."""

import json
import re
from pathlib import Path

from experiments import demo_experiment

from dataengine_lib.evaluation.judge.verdicts import judge_prompt
from dataengine_lib.runs.checks.questions import asked_or_finding
from dataengine_lib.runs.costs.judge_costs import judge_notes
from dataengine_lib.runs.precheck import parameter_findings
from dataengine_lib.runs.workflow import Planned, plan


def planned(folder: Path, *settings: str) -> list[Planned]:
    """The demo of two rounds with five open-ended questions and one of multiple choice."""
    (folder / "images").mkdir(exist_ok=True)
    rows = []
    for number in range(6):
        (folder / "images" / f"{number}.jpg").touch()
        kind = {"choices": [], "answer_kind": "open", "direct_answers": ["couch"] * 10}
        if not number:
            kind = {"choices": ["a", "b"], "correct_choice_idx": 0}
        rows.append({"question": "What is it?", "image_path": f"{number}.jpg", **kind})
    (folder / "q.json").write_text(json.dumps(rows))
    paths = [f"evaluate.questions={folder / 'q.json'}", f"evaluate.image_root={folder / 'images'}"]
    experiment = demo_experiment(*paths, *settings)
    experiment.sections.pop("classify_questions")
    return plan(experiment, folder / "run")


def notes(steps: list[Planned]) -> list[str]:
    return list(judge_notes(steps, asked_or_finding(steps)))


def test_the_judge_is_priced_from_the_step_s_table(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 1000000, output: 1000000}\n")
    sets = ["evaluate.judge=openai:mine", f"evaluate.prices={prices}", "evaluate.judge_budget_usd=9"]
    line, limit = notes(planned(tmp_path, *sets, "evaluate.max_output_tokens=50"))
    found = re.fullmatch(
        r"judge: at most 15 requests to openai:mine in 3 evaluations, ([\d,]+) prompt tokens \(prices as of 2026-01-01: "
        r"([\d,.]+) US dollars, at most ([\d,.]+) with 50 output tokens each\)",
        line,
    )
    assert found, line
    tokens, usd, most = (float(text.replace(",", "")) for text in found.groups())
    assert usd == tokens + 15 * 40 and tokens > 15 * 200
    assert most > 15 * (len(judge_prompt.__globals__["_PROMPT"]) + 50)  # bytes stand for tokens
    assert limit == "evaluate.judge_budget_usd stops the judge in each evaluation at 9 US dollars"
    (line,) = notes(planned(tmp_path, "evaluate.judge=openai:other"))
    assert line.endswith("(price not known)")


def test_without_a_judge_or_questions_nothing_is_counted(tmp_path: Path) -> None:
    assert notes(planned(tmp_path)) == []
    steps = planned(tmp_path, "evaluate.judge=openai:gpt-4o-mini")
    (tmp_path / "q.json").unlink()
    (line,) = notes(steps)
    assert line.startswith("judge is not counted: the file of questions")


def test_a_judge_is_one_of_the_models_whose_server_and_price_are_checked(tmp_path: Path) -> None:
    steps = planned(tmp_path, "evaluate.judge=openai:mine", "evaluate.judge_base_url=http://127.0.0.1:9/v1")
    asked = next(item.models_asked for item in steps if item.step.name == "evaluate")
    assert asked == [("judge", "openai:mine", "http://127.0.0.1:9/v1")]
    compared = next(item for item in steps if item.step.name == "compare_rounds")
    names = ["round1", "round2", "final"]
    assert compared.inputs()["metrics"] == [tmp_path / "run" / name / "metrics.json" for name in names]
    assert (
        "metrics"
        not in next(item for item in planned(tmp_path) if item.step.name == "compare_rounds").inputs()
    )
    sets = ["evaluate.judge=openai:mine", "evaluate.judge_budget_usd=1"]
    asked = ["evaluate.student=api:other", "evaluate.rank=generate", "evaluate.budget_usd=1"]
    for given, model in ((sets, "openai:mine"), (asked, "api:other"), (asked + sets[:1], "api:other")):
        found = list(parameter_findings(Path("my.yaml"), planned(tmp_path, *given)))
        bad = [one.message for one in found if one.mark == "bad" and "no price is known" in one.message]
        assert len(bad) == 1 and f"no price is known for {model};" in bad[0]
