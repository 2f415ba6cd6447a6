"""Tests of questions that are too long: of every family, at the last length that fits and one beyond; counted by step 1."""

import json
from pathlib import Path

import pytest
from PIL import Image
from student_questions import CHOICES, PROMPTS
from tiny_families import FAMILIES, save_family
from tiny_models import save_tiny_llava

from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.loading import load_student

IMAGE = Image.new("RGB", (40, 30), "red")


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceStudent:
    folder = save_family(request.param, tmp_path_factory.mktemp("families") / request.param)
    return load_student(str(folder), device="cpu")


def longest_that_fits(student: HuggingFaceStudent, choices: list[str]) -> int:
    """The number of letters in the longest question that passes the check."""
    low, high = 0, 20_000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if student.length_fault(IMAGE, "q" * middle, choices) else (middle, high)
    return low


def test_the_longest_question_that_passes_can_be_asked(student: HuggingFaceStudent) -> None:
    choices = CHOICES[0]
    length = longest_that_fits(student, choices)
    limit = student._length_limit
    # T5 has no positions; InstructBLIP's Q-Former has the fewest
    most = min(limit.positions or 4096, limit.q_former_positions or 4096, 4096)
    # a byte-level tokenizer has a token a letter; image tokens, template and answer take the rest
    assert most * 0.6 < length < most
    scores = student.rank([IMAGE], ["q" * length + "\n" + " ".join(choices)], [choices])
    assert len(scores[0]) == len(choices)
    assert "question too long" in student.length_fault(IMAGE, "q" * (length + 1), choices)


def test_ordinary_questions_pass_and_hostile_ones_do_not(student: HuggingFaceStudent) -> None:
    assert [
        student.length_fault(IMAGE, prompt, row) for prompt, row in zip(PROMPTS, CHOICES, strict=True)
    ] == [""] * 5
    for question, choices in (("q" * 10_000_000, ["a", "b"]), ("Which?", ["a", "b " * 50_000])):
        assert student.length_fault(IMAGE, question, choices).startswith("question too long: ")


def test_a_long_question_is_a_counted_row_of_step_1(tmp_path: Path) -> None:
    folder = save_tiny_llava(tmp_path / "llava")
    IMAGE.save(tmp_path / "1.png")
    rows = [
        {"question_id": str(n), "image_path": "1.png", "question": "What is it?", "choices": ["a", "b", "c", "d"],
         "correct_choice_idx": 0, "question_type": "image_scene"}
        for n in range(30)
    ]  # fmt: skip
    rows[3]["choices"] = ["a", "b", "c" * 100_000, "d"]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    settings = {
        "questions": tmp_path / "q.json",
        "image_root": tmp_path,
        "student": str(folder),
        "device": "cpu",
    }
    result = evaluate(EvaluateConfig(**settings, output_dir=tmp_path / "out"))
    assert len(result.answers) == 29
    (row,) = result.skipped
    assert (row.row, row.kind) == ("row 3", "question too long")
    assert row.reason == "question too long: 100,034 characters, where this student reads 512 tokens"
    for rank in ("letter", "generate"):
        again = evaluate(
            EvaluateConfig(
                **settings, rank=rank, robust="reverse", max_failed_share=1, output_dir=tmp_path / rank
            )
        )
        assert [one.kind for one in again.skipped] == ["question too long"]
    for question in rows[:5]:
        question["question"] = "What? " * 1000
    (tmp_path / "q.json").write_text(json.dumps(rows))
    with pytest.raises(
        DataEngineError, match=r"q\.json: row 0: question too long: .*5 of 30 rows cannot be used"
    ):
        evaluate(EvaluateConfig(**settings, output_dir=tmp_path / "more"))
