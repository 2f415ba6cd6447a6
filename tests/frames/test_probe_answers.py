"""The answers of the probes as a frame: each probe's file, and the orders of options that the answers hold."""

from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.opened.opened_run import load_run

SHOWN = ["round", "probe", "variant", "question_id", "chosen_letter", "model_answer", "correct", "score"]


def answer(number: int, chosen: int, **fields: Any) -> Answer:
    return Answer(
        question=f"Which {number}?", choices=["dog", "cat"], correct_choice_idx=1, question_id=f"q{number}",
        image_path=f"{number}.png", predicted_choice_idx=chosen, correct=chosen == 1, question_type="ocr",
        model_answer="" if chosen < 0 else ["dog", "cat"][chosen], split="holdout", scores=[-0.5, -0.25], **fields,
    )  # fmt: skip


def test_every_answer_of_every_probe_is_in_the_frame(tmp_path: Path) -> None:
    folder = tmp_path / "round1"
    write_json(
        folder / "aokvqa_eval.json",
        [
            answer(0, 1, rotated_choice_idx=[0]),
            answer(1, 0, reversed_choice_idx=1, reversed_scores=[0.0, 1.0]),
        ],
    )
    write_json(folder / "blind_eval.json", [answer(0, 0)])
    write_json(folder / "panel" / "reading" / "aokvqa_eval.json", [answer(7, 1)])
    changed = {
        "question_id": "q1", "idx": 1, "change": "other words", "question": "What 1?", "choices": ["cat", "dog"],
        "model_answer": "cat", "score": 1.0, "score_as_asked": 0.0,
    }  # fmt: skip
    unknown = changed | {"question_id": "", "idx": 9, "model_answer": "a horse", "score": 0.5}
    write_json(folder / "contamination.json", {"scores": {}, "answers": [changed, unknown]})
    found = load_run(tmp_path).probe_answers
    assert found[SHOWN].to_numpy().tolist() == [
        [1, "blind", "", "q0", "A", "dog", False, 0.0],
        [1, "panel", "reading", "q7", "B", "cat", True, 1.0],
        [1, "circular", "1", "q0", "A", "dog", False, 0.0],
        [1, "reverse", "", "q1", "B", "cat", True, 1.0],
        [1, "other words", "", "q1", "A", "cat", True, 1.0],
        [1, "other words", "", "9", "", "a horse", False, 0.5],
    ]
    assert found["right_letter"].tolist() == ["B", "B", "B", "B", "A", ""]
    assert found["image_path"].tolist()[4] == "1.png" and found["split"].tolist()[4] == "holdout"
    # scores and confidence of another order are not those of the order as asked
    assert found["confidence"].isna().tolist() == [False, False, True, True, True, True]
    assert found["scores"].tolist()[2:] == [[]] * 4
    assert load_run(folder).probe_answers[SHOWN].equals(found[SHOWN])


def test_a_damaged_file_of_a_probe_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "aokvqa_eval.json", [answer(0, 1)])
    file = tmp_path / "contamination.json"
    file.write_text('{"answers": [{}]}')
    with pytest.raises(DataEngineError, match=str(file)):
        _ = load_run(tmp_path).probe_answers
