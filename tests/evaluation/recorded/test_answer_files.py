"""`recorded:` reads what MiniGPT-4's evaluations write: v1's aokvqa_eval.json, and v2's answers, which are LLaVA's."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows, read_question_file

QUESTION = "What is on the table?"
CHOICES = ["cat", "cats", "10", "1"]


@pytest.fixture
def rows(tmp_path: Path) -> QuestionRows:
    file = tmp_path / "questions.json"
    records = [
        {"image_id": 9, "question_id": key, "question": QUESTION, "choices": CHOICES, "correct_choice_idx": 1}
        for key in (101, 102, 103)
    ]
    file.write_text(json.dumps(records))
    return read_question_file(file)


def answers(folder: Path, rows: list[Any]) -> Path:
    file = folder / "seed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def answer(key: int, text: str, options: list[str] = CHOICES, **more: Any) -> dict[str, Any]:
    lines = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", options, strict=True))
    prompt = f"[INST] {QUESTION}\n{lines}\nAnswer with the option's letter from the given choices directly."
    row = {"text": text, "prompt": prompt, "question_id": key, "model_id": "minigpt4-v2", "metadata": {}}
    return row | more


def test_answers_of_v2_join_on_the_question_id(tmp_path: Path, rows: QuestionRows) -> None:
    written = [answer(102, "B"), answer(101, "c. 10"), answer(103, "I cannot say.")]
    found = read_recorded(answers(tmp_path, written), rows)
    assert found.format == "LLaVA answers, joined on question_id"
    assert {place: one.choice for place, one in found.answers.items()} == {0: 2, 1: 1, 2: None}
    assert found.answers[0].written == "c. 10"


def test_a_row_without_a_prompt_is_taken_at_its_word(tmp_path: Path, rows: QuestionRows) -> None:
    found = read_recorded(answers(tmp_path, [{"question_id": 101, "text": "cats"}]), rows)
    assert found.answers[0].choice == 1 and found.missing == [1, 2]


def test_rows_about_something_else_are_named(tmp_path: Path, rows: QuestionRows) -> None:
    written = [
        answer(101, "A"),
        answer(102, "A", ["1", "10", "cats", "cat"]),
        answer(103, "A", prompt="Where is it?\nA. x"),
        answer(104, "A"),
        {"question_id": 101, "text": None, "prompt": "x"},
    ]
    found = read_recorded(answers(tmp_path, written), rows)
    assert list(found.answers) == [0] and len(found.surplus) == 1
    assert sorted(one.kind for one in found.unmatched) == [
        "another question",
        "malformed row",
        "other choices",
    ]


def test_a_file_of_another_kind_with_such_keys_is_refused(tmp_path: Path, rows: QuestionRows) -> None:
    with pytest.raises(DataEngineError, match="none of its 1 rows answers a question"):
        read_recorded(answers(tmp_path, [answer(7, "A")]), rows)


def test_results_of_v1_join_on_idx(tmp_path: Path, rows: QuestionRows) -> None:
    """Every key that evaluate_on_AOKVQA writes."""
    kept = {
        "image_id": 9, "image_path": "val2017/000000000009.jpg", "idx": 102, "question": QUESTION,
        "choices": CHOICES, "correct_choice_idx": 1, "direct_answers": ["cats"] * 10,
        "difficult_direct_answer": False, "model_answer": "10", "question_type": "image_scene", "prompt": "…",
    }  # fmt: skip
    file = tmp_path / "aokvqa_eval.json"
    file.write_text(json.dumps([kept]))
    found = read_recorded(file, rows)
    assert found.format == "aokvqa_eval.json, joined on idx = question_id"
    assert {place: one.choice for place, one in found.answers.items()} == {1: 2}
