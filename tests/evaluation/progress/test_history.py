"""The diagnose answers of all rounds by type, and the QAs that came in between."""

from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.history import EarlierRounds


def answer(number: int, *, right: bool, kind: str = "image_scene", split: str = "diagnose") -> Answer:
    return Answer(
        question_id=f"q{number}", image_id=number // 2, question="Which?", choices=["a", "b"], split=split,
        correct_choice_idx=0, predicted_choice_idx=int(not right), correct=right, question_type=kind,
    )  # fmt: skip


def earlier(folder: Path, answers: list[Answer], qas: list[dict[str, Any]]) -> EarlierRounds:
    evaluation = write_json(folder / "aokvqa_eval.json", answers)
    training = write_json(folder / "gptvqa_train_data.json", qas)
    return EarlierRounds.read([evaluation], [training], 0.05, print)


def test_only_diagnose_questions_of_all_rounds_count(tmp_path: Path) -> None:
    before = [
        answer(0, right=False),
        answer(1, right=True),
        answer(2, right=False, kind="image_style"),
        answer(3, right=False, split="holdout"),
        answer(4, right=False),
    ]
    now = [*(answer(n, right=True) for n in range(2)), answer(2, right=False, kind="image_style"),
           answer(3, right=True, split="holdout"), answer(9, right=True)]  # fmt: skip
    rounds = earlier(tmp_path, before, [{"question_type": "Image scene"}, {"question_type": "image_scene"}])
    found = rounds.histories(now, tmp_path / "now.json")
    assert list(found) == ["image_scene", "image_style"]
    assert found["image_scene"].scores.tolist() == [[0, 1], [1, 1]]
    assert found["image_scene"].images == ["0", "0"]
    assert found["image_scene"].trained == [2] and found["image_style"].trained == [0]


def test_without_earlier_rounds_there_is_no_history() -> None:
    assert EarlierRounds.read([], [], 0.05, print).histories([answer(0, right=True)], Path("now.json")) == {}


def test_rounds_without_a_common_question_are_an_error(tmp_path: Path) -> None:
    rounds = earlier(tmp_path, [answer(0, right=True)], [])
    with pytest.raises(DataEngineError, match="no diagnose question is in all of them"):
        rounds.histories([answer(1, right=True)], tmp_path / "now.json")
