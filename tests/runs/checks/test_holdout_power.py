"""`dataengine plan` says what the holdout can show: from the file of questions, and before there is one."""

import json
import re
from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.core.significance.power import (
    independent_questions,
    power,
    questions_needed,
    smallest_gain,
)
from dataengine_lib.runs.checks.holdout_power import holdout_power_lines
from dataengine_lib.runs.checks.questions import asked_or_finding
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.workflow import plan

SCENE, QUALITY = "image_scene", "image_quality"


def lines(folder: Path, kinds: list[str], *settings: str, gain: float = 0.05, classify: bool = False) -> str:
    """Of the demo with holdout questions of these types, two to an image."""
    (folder / "images").mkdir()
    rows = []
    for number, kind in enumerate(kinds):
        (folder / "images" / f"{number // 2}.jpg").touch()
        one = {
            "question": f"what {number}?",
            "choices": ["a", "b"],
            "correct_choice_idx": 0,
            "split": "holdout",
        }
        rows.append(one | {"question_type": kind, "image_path": f"{number // 2}.jpg"})
    (folder / "q.json").write_text(json.dumps(rows))
    section = "classify_questions" if classify else "evaluate"
    paths = [f"{section}.questions={folder / 'q.json'}", f"evaluate.image_root={folder / 'images'}"]
    experiment = demo_experiment(*paths, *settings)
    if not classify:
        experiment.sections.pop("classify_questions")
    return power_text(experiment, folder / "run", gain)


def power_text(experiment: Experiment, out: Path, gain: float = 0.05) -> str:
    steps = plan(experiment, out)
    return "\n".join(holdout_power_lines(experiment, steps, asked_or_finding(steps), gain))


def row(text: str, name: str) -> list[str]:
    (line,) = re.findall(rf"^{name}  +(.+)$", text, re.M)
    return line.split()


def test_every_type_and_all_together_have_a_smallest_gain(tmp_path: Path) -> None:
    text = lines(tmp_path, [SCENE] * 240 + [QUALITY] * 6, gain=0.1)
    assert "after Holm's correction over 2 types (80% power" in text and "20% of the answers change" in text
    independent = independent_questions([2] * 120)
    smallest = smallest_gain(independent, 0.025)
    needed = questions_needed(0.1, 0.025)
    assert smallest is not None and needed is not None
    assert row(text, SCENE) == [
        "240", "120", f"+{100 * smallest:.1f}", f"{power(0.1, independent, 0.025):.0%}",
        f"{needed * 240 / independent:.0f}",
    ]  # fmt: skip
    assert row(text, QUALITY)[:2] == ["6", "3"] and "too few" in text
    assert row(text, "overall")[:2] == ["246", "123"]
    assert text.index(SCENE) < text.index(QUALITY) < text.index("overall")


def test_without_types_they_are_taken_as_equally_frequent(tmp_path: Path) -> None:
    text = lines(tmp_path, [""] * 360, classify=True)
    assert row(text, "each of 18 types")[0] == "20" and row(text, "overall")[0] == "360"
    assert "note: types are known after step 0" in text


def test_a_playground_that_is_not_written_is_counted_by_its_sizes() -> None:
    experiment = demo_experiment("playground.sizes={holdout: 40}")
    text = power_text(experiment, Path("out"))
    assert row(text, "each of 18 types")[0] == "40" and row(text, "overall")[0] == "720"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["evaluate.questions=none.json"], "not counted: the file of questions does not exist yet"),
        (["evaluate.split=diagnose"], "is not counted: "),
        (["compare_rounds.split=diagnose"], "has no diagnose question"),
    ],
)
def test_what_is_not_there_is_not_counted(tmp_path: Path, settings: list[str], words: str) -> None:
    if "questions" in settings[0]:
        experiment = demo_experiment("playground=null", *settings)
        experiment.sections.pop("classify_questions")
        text = power_text(experiment, tmp_path)
    else:
        text = lines(tmp_path, [SCENE] * 4, *settings)
    assert words in text and "power" not in text
