"""Symptoms of public reports about files of predictions of other tools, rebuilt here with inputs of our own."""

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate

CHOICES = ["dog", "cat", "cow", "pig"]
COUNT = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 questions about one image; the right answer is B."""
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    rows = [
        {
            "question_id": f"q{n}", "image_path": "1.png", "question": f"What is {n}?", "choices": CHOICES,
            "correct_choice_idx": 1, "question_type": "image_scene",
        }
        for n in range(COUNT)
    ]  # fmt: skip
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    return tmp_path


def score(folder: Path, file: str, **more: Any) -> EvaluateResult:
    given: dict[str, Any] = {
        "questions": folder / "questions.json", "image_root": folder, "student": f"recorded:{folder / file}",
        "output_dir": folder / "out",
    }  # fmt: skip
    return evaluate(EvaluateConfig(**(given | more)))


def chosen(result: EvaluateResult) -> list[int | None]:
    return [answer.predicted_choice_idx for answer in result.answers]


def right(result: EvaluateResult) -> tuple[int, int]:
    """How many answers are right, and of how many."""
    overall = result.metrics.shown()[1].overall
    return overall.correct, overall.total


def table(file: Path, heading: list[str], rows: list[list[Any]]) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [heading, *rows]:
        sheet.append(row)
    book.save(file)
    return file


def lines(file: Path, rows: list[Any]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sample(n: int, response: Any, **more: Any) -> dict[str, Any]:
    return {"doc_id": n, "target": "B", "resps": [[response]], "filtered_resps": [response], **more}


# open-compass/VLMEvalKit#378, open-compass/VLMEvalKit#268
@pytest.mark.parametrize("start", [0, 5])
def test_a_table_without_the_answer_column_is_scored_by_our_answers(folder: Path, start: int) -> None:
    rows = [[n, f"What is {n}?", *CHOICES, "B" if n % 2 else "A"] for n in range(COUNT)]
    table(folder / "p.xlsx", ["index", "question", *"ABCD", "prediction"], rows[start:] + rows[:start])
    result = score(folder, "p.xlsx")
    assert chosen(result) == [0, 1] * 12 and right(result) == (12, COUNT)


# open-compass/VLMEvalKit#61
def test_predictions_without_scores_are_no_zero(folder: Path) -> None:
    rows = [[n, f"What is {n}?", *CHOICES, "B", "The answer is cat."] for n in range(COUNT)]
    table(folder / "p.xlsx", ["index", "question", *"ABCD", "answer", "prediction"], rows)
    assert right(score(folder, "p.xlsx")) == (COUNT, COUNT)
    empty = [[*row[:-1], None] for row in rows]
    table(folder / "p.xlsx", ["index", "question", *"ABCD", "answer", "prediction"], empty)
    with pytest.raises(DataEngineError) as caught:
        score(folder, "p.xlsx")
    assert "p.xlsx" in str(caught.value) and "\n" not in str(caught.value)


# EvolvingLMMs-Lab/lmms-eval#193
def test_samples_beyond_the_questions_are_counted(folder: Path) -> None:
    lines(folder / "p.jsonl", [*(sample(n, "B") for n in range(COUNT)), sample(99, "A")])
    result = score(folder, "p.jsonl")
    assert chosen(result) == [1] * COUNT
    assert "rows about none of the questions: 1 (first: line 25)" in result.metrics.source


# EleutherAI/lm-evaluation-harness#3638
def test_a_row_without_the_wanted_filter_is_counted(folder: Path) -> None:
    rows = [sample(n, "?", filtered_resps={"strict": "A", "flexible": "B"}) for n in range(COUNT)]
    rows[3]["filtered_resps"] = {"strict": "A"}
    lines(folder / "p.jsonl", rows)
    result = score(folder, "p.jsonl", recorded_filter="flexible")
    assert chosen(result) == [1] * (COUNT - 1)
    assert len(result.skipped) == 1
    rows[3]["filter"] = None
    lines(
        folder / "p.jsonl",
        [row | {"filter": "strict", "filtered_resps": ["B"]} for row in rows[:23]] + [sample(23, "B")],
    )
    assert chosen(score(folder, "p.jsonl")) == [1] * COUNT


# EleutherAI/lm-evaluation-harness#2905
@pytest.mark.parametrize("text", ["(B).", "B.", "(B)", "B", " B. ", "**B.**", "(B).\n", "b."])
def test_a_letter_with_a_full_stop_is_read(folder: Path, text: str) -> None:
    lines(folder / "p.jsonl", [sample(n, text) for n in range(COUNT)])
    assert chosen(score(folder, "p.jsonl")) == [1] * COUNT


# EvolvingLMMs-Lab/lmms-eval#712
def test_samples_whose_doc_lacks_the_image_are_joined(folder: Path) -> None:
    docs = [{"question": f"What is {n}?", "choices": CHOICES} for n in range(COUNT)]
    lines(folder / "p.jsonl", [sample(n, "B", doc=doc) for n, doc in enumerate(docs)])
    assert chosen(score(folder, "p.jsonl")) == [1] * COUNT
    by_id = [sample(0, "A", doc=doc | {"question_id": f"q{n}"}) for n, doc in enumerate(docs)]
    lines(folder / "p.jsonl", [row | {"doc_id": 500 + n} for n, row in enumerate(by_id)])
    assert chosen(score(folder, "p.jsonl")) == [0] * COUNT


# EvolvingLMMs-Lab/lmms-eval#89
def test_nan_infinity_and_mixed_types_in_samples_are_read_or_counted(folder: Path) -> None:
    rows = [sample(n, "B") for n in range(COUNT)]
    rows[0] |= {"acc": float("nan"), "bleu": float("inf"), "doc": {"score": float("-inf")}}
    rows[1] |= {"filtered_resps": "B", "resps": "B"}
    rows[2] |= {"doc_id": "2"}
    rows[3] |= {"filtered_resps": [float("nan")]}
    lines(folder / "p.jsonl", rows)
    assert chosen(score(folder, "p.jsonl")) == [1, 1, 1, -1, *[1] * (COUNT - 4)]


# felipe-prenholato/openpyxl#23
def test_control_characters_in_cells_of_a_workbook_are_read(folder: Path) -> None:
    rows = [[n, f"What is{'_x000B_' if n else ' '}{n}?", *CHOICES, "B_x000B_"] for n in range(COUNT)]
    table(folder / "p.xlsx", ["index", "question", *"ABCD", "prediction"], rows)
    assert chosen(score(folder, "p.xlsx")) == [1] * COUNT
