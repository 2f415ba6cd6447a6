"""Probes with yes/no and open-ended questions: what applies is asked, what does not is counted in words."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.report.evaluate import order_table
from dataengine_lib.report.probes.measured import measured_probes, probe_sentences
from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate

CHOICES = ["cat", "ant", "dog", "bee"]


class FirstChoice:
    """Takes the first choice, says yes, and writes `red`; keeps the questions whose length was checked."""

    def __init__(self) -> None:
        self.checked: list[tuple[str, list[str]]] = []

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        return [[-0.5, *[-1.0] * (len(row) - 1)] for row in choices]

    def generate(
        self, images: Any, prompts: Sequence[str], *, choices: Any = None, max_new_tokens: int = 8
    ) -> list[str]:
        return [" red" for _ in prompts]

    def length_fault(self, image: Any, question: str, choices: Sequence[str]) -> str:
        self.checked.append((question, list(choices)))
        return ""


def rows(*kinds: str) -> list[dict[str, Any]]:
    """Two questions of each kind about one picture each."""
    of_kind: dict[str, dict[str, Any]] = {
        "choice": {"choices": CHOICES, "correct_choice_idx": 0},
        "yes_no": {"choices": ["yes", "no"], "correct_choice_idx": 1, "answer_kind": "yes_no"},
        "open": {
            "choices": [],
            "correct_choice_idx": -1,
            "answer_kind": "open",
            "direct_answers": ["red"] * 10,
        },
    }
    return [
        {
            "question_id": f"{kind}{n}", "image_path": f"{n}.png", "question": f"What is it ({kind} {n})?",
            "question_type": kind, "split": "diagnose", **of_kind[kind],
        }
        for kind in kinds
        for n in range(2)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(2):
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"{n}.png")
    return tmp_path


def run(folder: Path, student: FirstChoice, kinds: Sequence[str], **more: Any) -> EvaluateResult:
    (folder / "questions.json").write_text(json.dumps(rows(*kinds)))
    values = {
        "questions": folder / "questions.json", "image_root": folder, "student": "none",
        "output_dir": folder / "out", "direct_answers": False, **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values), student)


def test_all_probes_on_all_kinds(folder: Path) -> None:
    panel = [
        row | {"split": "holdout", "question": f"Panel: {row['question']}"} for row in rows("yes_no", "open")
    ]
    (folder / "panel.json").write_text(json.dumps(panel))
    student = FirstChoice()
    result = run(
        folder, student, ["choice", "yes_no", "open"], robust="circular", blind=True, contamination=True,
        panel={"other": {"questions": folder / "panel.json", "image_root": folder}},
    )  # fmt: skip
    assert not result.skipped
    by_kind = {row.question_type: row for row in result.answers}
    assert len(by_kind["choice"].rotated_choice_idx or []) == 3
    assert not by_kind["yes_no"].rotated_choice_idx and not by_kind["open"].rotated_choice_idx
    assert by_kind["open"].score == 1 and by_kind["yes_no"].score == 0
    metrics = result.metrics
    circular = metrics.splits["diagnose"].circular
    assert circular and circular.questions == 2 and circular.passes == 8
    assert isinstance(metrics.blind, dict) and metrics.blind["diagnose"].questions == 6
    assert metrics.contamination
    assert list(metrics.contamination.questions.values()) == [2, 6] and metrics.contamination.preference
    assert (metrics.contamination.preference.questions, metrics.contamination.preference.left_out) == (2, 0)
    assert isinstance(metrics.panel, dict) and metrics.panel["other"].overall.mean == 0.5
    text = measured_probes(metrics).text
    assert "4 yes/no or open-ended ones have no options to rotate and were asked once" in text
    assert "4 have no options to put in another order" in text
    # few questions are said to be few once in a row, beside the difference
    assert text.count("2 questions cannot tell") == 4, (
        "three types without the picture, and one change of order"
    )
    assert any(line.startswith("On the panel: other 50.0 % [") for line in probe_sentences(metrics))
    # each order of the options has to fit as one text, not all six at once
    orders = [question for question, shown in student.checked if "(A)" in question]
    assert len(orders) == 2 and all(question.count("(A)") == 1 for question in orders)


def test_without_options_nothing_is_reordered_and_the_report_says_why(folder: Path) -> None:
    result = run(folder, FirstChoice(), ["yes_no", "open"], robust="circular", contamination=True)
    assert [line for line in result.warnings if "none of the 4 questions has any" in line] == [
        "robust: circular asks the options in other orders; none of the 4 questions has any, so each was asked once",
        "contamination also asks the options in another order; none of the 4 questions has any, so each was asked in "
        "other words alone",
    ]
    found = result.metrics.contamination
    assert found and found.preference is None and list(found.questions.values()) == [4]
    text = measured_probes(result.metrics).text
    assert "was not tested: no question has options." in text and "Every rotation" not in text
    result = run(folder, FirstChoice(), ["yes_no"], robust="reverse")
    assert any(line.startswith("robust: reverse asks") for line in result.warnings)
    shown = order_table(result.metrics.splits["diagnose"].both_ways).text
    assert "no question with options was asked in reverse order" in shown
    assert not any(
        "robust" in line for line in run(folder, FirstChoice(), ["choice"], robust="reverse").warnings
    )
