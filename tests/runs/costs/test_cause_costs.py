"""`dataengine plan` says what a teacher of causes is asked at most, and what that costs."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from experiments import demo_experiment

from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.reply import Reply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.images.references import ImageRef
from dataengine_lib.playground.server import message_text
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.find_causes import CauseSettings
from dataengine_lib.runs.checks.questions import asked_or_finding
from dataengine_lib.runs.costs.cause_costs import cause_notes
from dataengine_lib.runs.workflow import plan
from dataengine_lib.teachers.causes.cause_teacher import CauseTeacher
from dataengine_lib.teachers.causes.prompts import NAMES_SCHEMA
from dataengine_lib.teachers.text_model import text_model

TEACHER = ("construct_queries.causes=teacher", "construct_queries.cause_teacher=openai:mine")


def asked_text(number: int) -> str:
    return f"what {number}?"


def notes(
    folder: Path, *settings: str, rounds: int = 2, text: Callable[[int], str] = asked_text
) -> list[str]:
    """Of the demo with 45 diagnose questions of one type, 15 of another, and as many of no use."""
    (folder / "images").mkdir(exist_ok=True)
    kinds = ["image_scene"] * 45 + ["image_quality"] * 15
    rows = []
    for split in ("diagnose", "holdout"):
        for number, kind in enumerate(kinds):
            name = f"{split}{number}.jpg"
            (folder / "images" / name).touch()
            rows.append({"question": text(number), "choices": ["a", "b"], "correct_choice_idx": 0,
                         "split": split, "question_type": kind, "image_path": name})  # fmt: skip
    rows[0] |= {"choices": [], "correct_choice_idx": -1, "direct_answers": ["a"], "answer_kind": "open"}
    (folder / "q.json").write_text(json.dumps(rows))
    paths = [f"evaluate.questions={folder / 'q.json'}", f"evaluate.image_root={folder / 'images'}"]
    experiment = demo_experiment(*paths, *settings)
    experiment.sections.pop("classify_questions")
    planned = plan(experiment, folder / "run")
    return list(cause_notes(planned, asked_or_finding(planned), rounds))


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


def test_no_reply_of_student_or_teacher_makes_it_dearer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 1000000, output: 0}\n")

    def text(number: int) -> str:
        return (
            f"what {number}?" if number < 35 else f"what {number} {'é' * 390}?"
        )  # the random sample has some of these

    line = notes(tmp_path, *TEACHER, f"construct_queries.prices={prices}", rounds=1, text=text)[0]
    most = float(re.search(r"at most ([\d,.]+) with", line)[1].replace(",", ""))
    sent: list[str] = []

    class LongNames:
        async def complete(self, message: Any, *, schema: Any, may_retry: Any) -> Reply:
            sent.append(message_text(message[0]))
            names = [{"name": f"{number} {'名' * 200}"} for number in range(6)]
            value = {"causes": names} if schema == NAMES_SCHEMA else {"cases": []}
            return Reply(json.dumps(value), finish_reason="stop", prompt_tokens=1)

        def stop_sending(self) -> None:
            raise AssertionError("nothing is stopped here")

    @asynccontextmanager
    async def load(spec: str, settings: ChatSettings) -> AsyncIterator[LongNames]:
        yield LongNames()

    monkeypatch.setattr(text_model, "load_chat", load)
    cases = [
        BadCase(f"q{n}", "image_scene", ImageRef(n), "", question=text(n), answer="b", right="a")
        for n in range(45)
    ]
    cases[0] = replace(cases[0], answer="한" * 900, right="a")
    asking = CauseTeacher(
        "openai:mine", ChatSettings(max_output_tokens=2000), tmp_path / "l.jsonl", None, prices
    )
    asking.find({"image_scene": cases}, CauseSettings(6, 8, 0, 1))
    assert len(sent) == 4
    assert sum(asking.model.budget.most(PaidRequest("", prompt, None), 2000) for prompt in sent) <= most


def test_clustering_costs_nothing_and_a_missing_file_is_named(tmp_path: Path) -> None:
    assert notes(tmp_path) == notes(tmp_path, "construct_queries.causes=cluster") == []
    assert notes(tmp_path, *TEACHER, "evaluate.questions=none.json") == [
        "cause_teacher is not counted: the file of questions that openai:mine is asked about does not exist yet"
    ]
