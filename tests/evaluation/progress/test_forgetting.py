"""What the first student knew is measured on questions that did not choose it, and chance is no forgetting."""

from pathlib import Path

import numpy as np
import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.forgetting import Forgetting


def rounds(accuracies: dict[str, list[float]], questions: int = 60, seed: int = 0) -> Forgetting:
    """Independent answers: each type with its accuracy in each round, two questions an image."""
    rng = np.random.default_rng(seed)
    number = len(next(iter(accuracies.values())))
    scores = np.hstack(
        [
            (rng.random((number, questions)) < np.array(of_type)[:, None]).astype(float)
            for of_type in accuracies.values()
        ]
    )
    types = np.repeat(list(accuracies), questions).astype(object)
    images = np.array([str(place // 2) for place in range(len(types))])
    return Forgetting([Path(f"round{n + 1}.json") for n in range(number)], scores, types, images)


def test_known_types_that_fall_are_found_and_weak_ones_do_not_count() -> None:
    found = rounds(
        {"a": [0.97, 0.88], "b": [0.95, 0.85], "c": [0.96, 0.86], "weak": [0.3, 0.1]}, questions=120
    )
    (change,) = found.known_changes()
    assert change.fell and change.types == ["a", "b", "c"] and change.evaluation == "round2.json"
    assert change.questions == 360 and -0.15 < change.change < -0.05
    assert found.fallen_types() == ["a", "b", "c", "weak"]


def test_each_round_is_compared_with_the_first() -> None:
    changes = rounds({"a": [0.97, 0.7, 0.97], "b": [0.97, 0.7, 0.97]}).known_changes()
    assert [one.fell for one in changes] == [True, False]


def test_the_best_types_do_not_seem_to_fall_by_chance() -> None:
    """Without any change, types chosen for a high accuracy are measured without bias, and few seem to fall."""
    changes, fell = [], 0
    for seed in range(150):
        found = rounds({f"t{n}": [0.8, 0.8] for n in range(12)}, questions=20, seed=seed).known_changes()[0]
        changes.append(found.change)
        fell += found.fell
    assert abs(np.mean(changes)) < 0.01
    assert fell <= 10  # 2.5 % of 150 is 4


def test_a_type_falls_only_beside_the_others() -> None:
    others = {f"t{n}": [0.4, 0.6] for n in range(8)}
    assert rounds(others | {"fallen": [0.8, 0.5]}).fallen_types() == ["fallen"]
    assert rounds({name: [0.5, 0.5] for name in others}, questions=400).fallen_types() in ([], list(others))
    assert rounds({"a": [0.5]}).fallen_types() == [] and rounds({"a": [0.9]}).known_changes() == []


def test_without_known_types_there_is_nothing_to_forget() -> None:
    (change,) = rounds({"a": [0.3, 0.1]}).known_changes()
    assert (change.questions, change.types, change.fell) == (0, [], False)


def test_only_the_diagnose_split_is_read(tmp_path: Path) -> None:
    def answers(split: str, right: bool) -> list[Answer]:
        return [
            Answer(
                question_id=f"{split}{n}", image_id=n, question="Which?", choices=["a", "b"], split=split,
                correct_choice_idx=0, predicted_choice_idx=int(not right), correct=right, question_type="t",
            )
            for n in range(3)
        ]  # fmt: skip

    files = [
        write_json(tmp_path / f"{n}.json", [*answers("diagnose", True), *answers("holdout", bool(n))])
        for n in range(2)
    ]
    assert Forgetting.read(files, 0.05, print).scores.tolist() == [[1, 1, 1], [1, 1, 1]]
    only = write_json(tmp_path / "holdout.json", answers("holdout", True))
    with pytest.raises(DataEngineError, match=r"holdout\.json: no question of the diagnose split is in it"):
        Forgetting.read([files[0], only], 0.05, print)
