"""Tests of step 1 on question sets as others publish them, with the category sets that belong to them."""

import json
from pathlib import Path
from typing import Any

import pytest
from question_tables import JPEG, picture, row, table
from tiny_models import save_tiny_llava

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Answer
from dataengine_lib.questions.categories import read_categories
from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_llava(tmp_path_factory.mktemp("student") / "model"))


def run(folder: Path, student: str, questions: Path, **more: Any) -> EvaluateResult:
    values: dict[str, Any] = {
        "questions": questions, "image_root": folder, "student": student, "output_dir": folder / "out",
        "device": "cpu", "categories": "v1", **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values))


def asked(result: EvaluateResult) -> dict[str, int]:
    """Questions by type over both splits, of the types that have any."""
    counts: dict[str, int] = {}
    for split in result.metrics.splits.values():
        for kind, score in split.per_type.items():
            counts[kind] = counts.get(kind, 0) + score.total
    return {kind: count for kind, count in counts.items() if count}


def test_mmbench_with_its_images_inside(tmp_path: Path, student: str) -> None:
    file = table(
        tmp_path, row(1), row(2, image="1", answer="A"), row(3, **{"l2-category": "coarse_perception"})
    )
    result = run(tmp_path, student, file, categories="mmbench")
    assert asked(result) == {"attribute_reasoning": 2, "coarse_perception": 1}
    assert set(asked(result)) < set(read_categories("mmbench").names)
    assert [answer.question_id for answer in result.answers] == ["1", "2", "3"]
    assert result.answers[0].image_path == result.answers[1].image_path
    by_l3 = run(tmp_path, student, file, categories="mmbench_l3", type_field="category")
    assert asked(by_l3) == {"identity_reasoning": 3}


def test_seed_bench_leaves_its_videos_out(tmp_path: Path, student: str) -> None:
    usual = {
        "answer": "B", "choice_a": "One", "choice_b": "Two", "choice_c": "Three", "choice_d": "Four",
        "data_id": "1454426_2591111986", "data_type": "image", "question": "How many towels?",
        "question_id": "1", "question_type_id": 5,
    }  # fmt: skip
    (tmp_path / usual["data_id"]).write_bytes(JPEG)
    video = {**usual, "question_id": "2", "data_type": "video", "question_type_id": 10}
    content = {
        "questions": [usual, video],
        "question_type": {"Instances Counting": 5, "Action Recognition": 10},
    }
    (tmp_path / "SEED-Bench.json").write_text(json.dumps(content))
    result = run(tmp_path, student, tmp_path / "SEED-Bench.json", categories="seed_bench")
    assert asked(result) == {"instances_counting": 1}
    assert result.metrics.skipped.by_reason == {"not an image": 1}  # counted, and no reason to stop


def test_our_own_training_data_is_a_question_set(tmp_path: Path, student: str) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(side=40))
    record = {
        "image_id": 5, "image_path": "a.jpg", "raw_instructions": "…", "question_type": "image_scene",
        "question": "Where is it?", "choices": ["in", "out"], "correct_choice_idx": 1, "query_id": "n1",
    }  # fmt: skip
    (tmp_path / "gptvqa_train_data.json").write_text(json.dumps([record]))
    result = run(tmp_path, student, tmp_path / "gptvqa_train_data.json")
    assert asked(result) == {"image_scene": 1} and result.answers[0].question_id == "n1"


@pytest.mark.parametrize("kinds", [["image_scene"], []])
def test_splits_without_questions_or_types_are_evaluated(
    tmp_path: Path, student: str, kinds: list[str]
) -> None:
    """One type alone, or none; and no diagnose split at all."""
    (tmp_path / "a.jpg").write_bytes(picture(side=40))
    rows = [
        {
            "image_path": "a.jpg", "question": f"Where is it {n}?", "choices": ["in", "out"],
            "correct_choice_idx": n % 2, "split": split, **({"question_type": kinds[0]} if kinds else {}),
        }
        for n in range(4) for split in ["holdout"]
    ]  # fmt: skip
    (tmp_path / "q.json").write_text(json.dumps(rows))
    result = run(tmp_path, student, tmp_path / "q.json", robust="reverse")
    assert asked(result) == {kinds[0] if kinds else "unclassified": 4}
    assert (result.weights, result.metrics.weights, result.metrics.counts()) == ({}, {}, {})
    answers: list[Answer] = read_json(tmp_path / "out/aokvqa_eval.json", list[Answer])
    assert all(answer.reversed_choice_idx is not None for answer in answers)
