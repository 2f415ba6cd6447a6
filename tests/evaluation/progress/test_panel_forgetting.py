"""Types of the panel that fell raise the share of base data, and chance does not."""

from pathlib import Path

import numpy as np
import pytest

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.panel_forgetting import PanelForgetting


def panel(accuracies: dict[str, list[float]], questions: int = 100, seed: int = 0) -> PanelForgetting:
    """Independent answers: each `SET: TYPE` with its accuracy in each round, two questions an image."""
    rng = np.random.default_rng(seed)
    number = len(next(iter(accuracies.values())))
    scores = np.hstack(
        [
            (rng.random((number, questions)) < np.array(of_type)[:, None]).astype(float)
            for of_type in accuracies.values()
        ]
    )
    sets, types = (np.repeat([name.split(": ")[part] for name in accuracies], questions) for part in (0, 1))
    images = np.array([str(place // 2) for place in range(len(types))])
    folders = [Path(f"round{n + 1}/panel") for n in range(number)]
    return PanelForgetting(folders, scores, sets.astype(object), types.astype(object), images)


def test_sets_and_types_that_fall_beyond_noise_are_named() -> None:
    found = panel({"mme: color": [0.8, 0.8], "mme: count": [0.7, 0.2], "pope: random": [0.9, 0.4]}, 400)
    (change,) = found.changes()
    # a set with one type is not counted twice
    assert change.compared == 4 and change.panel == "round2/panel"
    assert list(change.fallen) == ["mme", "mme: count", "pope"]
    assert -0.6 < change.fallen["mme: count"] < -0.4 and -0.4 < change.fallen["mme"] < -0.1
    assert found.fallen_types() == ["count", "random"]


def test_a_weak_type_counts_too_and_each_round_is_compared_with_the_first() -> None:
    changes = panel({"mme: color": [0.5, 0.1, 0.5], "mme: count": [0.6, 0.6, 0.6]}).changes()
    assert [list(one.fallen) for one in changes] == [["mme", "mme: color"], []]


def test_at_most_one_panel_in_twenty_seems_to_fall_by_chance() -> None:
    fell = sum(
        bool(panel({f"mme: {n}": [0.7, 0.7] for n in range(8)}, 40, seed).changes()[0].fallen)
        for seed in range(100)
    )
    assert fell <= 7


def answers(folder: Path, name: str, right: int, kind: str = "color") -> None:
    rows = [
        Answer(
            question_id=f"q{n}", image_id=n, question="Which?", choices=["a", "b"], split="holdout",
            correct_choice_idx=0, predicted_choice_idx=int(n >= right), correct=n < right, question_type=kind,
        )
        for n in range(20)
    ]  # fmt: skip
    (folder / name).mkdir(parents=True)
    write_json(folder / name / "aokvqa_eval.json", rows)


def test_files_of_every_round_are_read_and_sets_that_one_round_lacks_are_left_out(tmp_path: Path) -> None:
    folders = [tmp_path / f"round{n}/panel" for n in (1, 2)]
    assert (
        PanelForgetting.read([], 0.05, print) is None and PanelForgetting.read(folders, 0.05, print) is None
    )
    answers(folders[0], "pope", 20)
    with pytest.raises(
        DataEngineError, match="panels of the first and the last evaluation cannot be compared"
    ):
        PanelForgetting.read(folders, 0.05, print)
    answers(folders[1], "pope", 8)
    answers(folders[1], "new", 8, kind="")
    found = PanelForgetting.read(folders, 0.05, print)
    assert found is not None
    assert found.scores.sum(axis=1).tolist() == [20, 8] and set(found.images) == {
        f"pope/{n}" for n in range(20)
    }
    assert found.changes()[0].fallen == {"pope": -0.6} and found.fallen_types() == ["color"]
    answers(folders[0], "new", 20, kind="")
    both = PanelForgetting.read(folders, 0.05, print)
    # questions without a type are no type of which base rows could be drawn
    assert both is not None and list(both.changes()[0].fallen) == ["new", "pope"]
    assert both.fallen_types() == ["color"]
    rows = read_json(folders[1] / "pope/aokvqa_eval.json")
    write_json(folders[1] / "pope/aokvqa_eval.json", [{**rows[0], "score": 7}, *rows[1:]])
    warnings: list[str] = []
    PanelForgetting.read(folders, 0.05, warnings.append)
    assert len(warnings) == 2 and all("pope/aokvqa_eval.json: 1 " in line for line in warnings)
