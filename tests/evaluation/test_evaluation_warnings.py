"""What step 1 warns of, and when answers that cannot be read stop it."""

from typing import Any

import pytest

from dataengine_lib.core.bad_rows import BadRowSummary
from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import few_questions
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.metrics import compute_metrics
from dataengine_lib.evaluation.warnings import check_readable, evaluation_warnings
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK

TYPES = ["image_scene", "image_style"]


def answer(number: int, chosen: int = 0, split: str = "diagnose", **more: Any) -> Answer:
    settings: dict[str, Any] = {
        "question_id": f"{split}-{number}",
        "image_id": number,
        "question": "What?",
        "choices": ["a", "b", "c", "d"],
        "correct_choice_idx": number % 4,
        "question_type": TYPES[number % 2],
        "split": split,
        "direct_answer": None,
        "predicted_choice_idx": chosen,
        "correct": chosen == number % 4,
        "written": "" if chosen >= 0 else "I see a dog.",
    }
    return Answer(**(settings | more))


def half_right(split: str, number: int = 60) -> list[Answer]:
    """Half of the answers are right, and the letters vary."""
    return [answer(n, n % 4 if n % 8 < 4 else (n + 1) % 4, split) for n in range(number)]


def warn(
    answers: list[Answer], skipped: dict[str, int] | None = None, bad: bool = True, split: str = "all"
) -> list[str]:
    rows = BadRowSummary(sum((skipped or {}).values()), 100, skipped or {}, [])
    metrics = compute_metrics(answers, TYPES, "generate", "1-acc", rows)
    weights = dict.fromkeys(TYPES, 0.5 if bad else 0.0)
    return evaluation_warnings(metrics, answers, {"image_scene": answers[:1] if bad else []}, weights, split)


GOOD = half_right("diagnose") + half_right("holdout")


def test_a_sound_evaluation_has_no_warnings() -> None:
    assert warn(GOOD) == []
    assert warn(half_right("holdout"), split="holdout") == []


@pytest.mark.parametrize(
    ("lines", "answers", "more"),
    [
        (["7 of 100 rows left out: malformed row (3), image not found (4)"], GOOD,
         {"skipped": {"malformed row": 3, "image not found": 4}}),
        ([], GOOD, {"skipped": {NO_IMAGE_TASK: 50}}),
        (["only 12 holdout questions: an accuracy on so few is known to about ±25 points"],
         half_right("diagnose") + half_right("holdout", 12), {}),
        (["no question is in the holdout split, so nothing can be compared later; "
          "splits are by image, or set with split_field"], half_right("diagnose"), {}),
        (["no question is in the diagnose split, so there are no bad cases and weights; "
          "splits are by image, or set with split_field"], half_right("holdout"), {}),
        (["no bad cases: every diagnose question was answered right, so step 2 has nothing to ask about"],
         GOOD, {"bad": False}),
        (["no option can be read from 9 of 60 diagnose answers; they count as wrong"],
         [answer(n, -1) for n in range(9)] + half_right("diagnose")[9:] + half_right("holdout"), {}),
        (["every holdout answer is the letter A: the student may not see questions or images"],
         half_right("diagnose") + [answer(n, 0, "holdout") for n in range(60)], {}),
        (["0 of 60 holdout answers are right, fewer than guessing would reach (25%); "
          "check the right answers in the file and the student's prompt"],
         half_right("diagnose") + [answer(n, (n + 1) % 4, "holdout") for n in range(60)], {}),
        (["40 of 60 diagnose answers without options are empty"],
         [answer(n, row.predicted_choice_idx, direct_answer="" if n < 40 else "dog")
          for n, row in enumerate(half_right("diagnose"))] + half_right("holdout"), {}),
        (["1 of 120 questions have no question type; step 0 gives them one"],
         [answer(0, 0, question_type="unclassified"), *GOOD[1:]], {}),
    ],
)  # fmt: skip
def test_what_is_warned_of(lines: list[str], answers: list[Answer], more: dict[str, Any]) -> None:
    assert warn(answers, **more) == lines


def test_answers_that_cannot_be_read_stop_the_step() -> None:
    answers = [answer(n, -1 if n < 6 else 1) for n in range(10)]
    with pytest.raises(DataEngineError) as caught:
        check_readable(answers, "tiny", 0.5)
    assert str(caught.value) == (
        "student tiny: no option can be read from 6 of 10 answers, such as 'I see a dog.'; "
        "check the student and rank, or raise max_failed_share (0.5)"
    )
    check_readable(answers, "tiny", 0.6)
    empty = [answer(n, -1, written="") for n in range(3)]
    with pytest.raises(DataEngineError, match="from 3 of 3 answers; they are empty; check"):
        check_readable(empty, "tiny", 0.5)


@pytest.mark.parametrize(("number", "points"), [(1, 40), (4, 35), (25, 18), (49, 13)])
def test_the_half_width_of_few_questions(number: int, points: int) -> None:
    plural = "" if number == 1 else "s"
    expected = (
        f"only {number} holdout question{plural}: an accuracy on so few is known to about ±{points} points"
    )
    assert few_questions(number, "holdout") == expected
    assert few_questions(50, "holdout") == few_questions(0, "holdout") == ""


def test_a_test_split_names_the_rows_left_out_too() -> None:
    metrics = compute_metrics([], TYPES, "generate", "1-acc", BadRowSummary(3, 100, {"malformed row": 3}, []))
    metrics.unscored = 4
    left_out, test_split = evaluation_warnings(metrics, [], {}, {}, "all")
    assert left_out == "3 of 100 rows left out: malformed row (3)"
    assert test_split.startswith("no question has an answer, as in a test split")
