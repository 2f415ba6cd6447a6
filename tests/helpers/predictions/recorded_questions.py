"""Three questions, and what tests of recorded predictions share about them."""

import json
from pathlib import Path
from typing import Any

from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.questions.reader import QuestionRows, read_question_file

# (id, question, choices, correct); row 1 of the file cannot be used, so places are 0, 2, 3
ASKED: list[tuple[str, str, list[str], int]] = [
    ("q-mouth", "What is in his mouth?", ["toothpick", "food", "popsicle stick", "cigarette"], 3),
    ("q-café", "Où est le café?", ["à gauche", "à droite", "là-haut", "猫"], 0),
    ("q-count", "How many dogs?", ["1", "2", "3", "4"], 1),
]
PLACES = [0, 2, 3]
# the predictions below: right, wrong, right
PICKED = [3, 2, 1]


def question_rows(folder: Path, ids: list[Any]) -> QuestionRows:
    records: list[dict[str, Any]] = [
        {
            "image_id": 9,
            "question_id": key,
            "question": text,
            "choices": choices,
            "correct_choice_idx": correct,
        }
        for key, (_, text, choices, correct) in zip(ids, ASKED, strict=True)
    ]
    records.insert(
        1, {"image_id": 9, "question_id": "bad", "question": "", "choices": [], "correct_choice_idx": 0}
    )
    file = folder / "questions.json"
    file.write_text(json.dumps(records))
    found = read_question_file(file)
    assert found.places == PLACES
    return found


def write_json(folder: Path, content: Any, name: str = "recorded.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


def choices_of(found: dict[int, StudentAnswer]) -> dict[int, int | None]:
    return {i: answer.choice for i, answer in found.items()}
