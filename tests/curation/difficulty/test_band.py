"""The probability of the right option, what follows from it, and its figures."""

from math import log

import msgspec
import pytest

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.counts import ChecksSummary
from dataengine_lib.curation.difficulty.band import (
    DifficultyFigures,
    StudentView,
    both_wrong,
    outcome,
    probabilities,
    view_of,
)
from dataengine_lib.report.difficulty import difficulty_chart, difficulty_table

EVIL = "<script>alert(1)</script>"


def test_probabilities_are_a_softmax() -> None:
    assert probabilities([log(0.5), log(0.25), log(0.25)]) == pytest.approx([0.5, 0.25, 0.25])
    assert probabilities([-800.0, -801.0]) == pytest.approx([0.7310586, 0.2689414])
    assert probabilities([-3.0]) == [1.0]


def test_a_preferred_letter_counts_less_when_the_options_are_asked_in_reverse() -> None:
    """A student that adds 2 to the first option shown, and knows nothing else."""
    once, reverse = [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]
    assert view_of([once], 0) == StudentView(0, 0.7112)
    assert view_of([once, reverse], 0) == StudentView(0, 0.4037)


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (StudentView(1, 0.95), "known"),
        (StudentView(1, 0.9), "kept"),  # the ends belong to the band
        (StudentView(1, 0.1), "kept"),
        (StudentView(0, 0.09), "too_hard"),
        (StudentView(0, 0.3), "kept"),
    ],
)
def test_outcomes(view: StudentView, found: str) -> None:
    assert outcome(view, 1, low=0.1, high=0.9) == found


def test_a_wrong_answer_is_never_known() -> None:
    assert outcome(StudentView(0, 0.4), 1, low=0.0, high=0.3) == "kept"


@pytest.mark.parametrize(
    ("student", "readers", "wrong"),
    [(0, 0, True), (0, -1, True), (1, 0, False), (0, 1, False), (None, 0, None)],
)
def test_both_wrong(student: int | None, readers: int, wrong: bool | None) -> None:
    record = TrainRecord(
        image_id=1, raw_instructions="", question_type="t", question="?", choices=["a", "b"],
        correct_choice_idx=1, student_answer=student, second_answer=readers,
    )  # fmt: skip
    assert both_wrong(record) is wrong


def figures(**changes: object) -> DifficultyFigures:
    made = msgspec.structs.replace(DifficultyFigures(blind=False, dropped=True, low=0.1, high=0.9), **changes)
    for choice, probability in ((1, 1.0), (1, 0.96), (1, 0.9), (0, 0.31), (0, 0.05)):
        made.add("ocr", 1, StudentView(choice, probability))
    made.add(f"x{EVIL}", 1, StudentView(1, 0.99))
    return made


def test_figures_and_their_report() -> None:
    made = figures()
    assert made.total == 6 and made.bins["known"][19] == 3 and made.bins["kept"][18] == 1
    assert made.bins["too_hard"][1] == 1 and made.bins["kept"][6] == 1
    summary = ChecksSummary(difficulty=made)
    chart = difficulty_chart(summary)
    assert chart.alt == (
        "The student's probability of the right option: 3 of 6 questions are known (above 0.9 and answered right), "
        "1 are too hard (below 0.1), 2 are in the band."
    )
    for words in ("number of questions", "softmax of its options", "the student knows it (3)", "0.1", "0.9"):
        assert words in chart.svg
    text = difficulty_table(summary).text
    assert "<script" not in text and text.index("&lt;script") < text.index("ocr")  # the best known type first
    assert "known and too hard questions are dropped" in text and "60.0 %" in text
    marked = ChecksSummary(difficulty=figures(dropped=False, blind=True))
    assert "kept, and marked" in difficulty_table(marked).text
    assert "without the image" in difficulty_chart(marked).alt
    assert msgspec.json.decode(msgspec.json.encode(summary), type=ChecksSummary) == summary


def test_without_a_student_there_is_a_sentence() -> None:
    for show in (difficulty_chart, difficulty_table):
        assert "the student was not asked" in show(ChecksSummary()).text
    nothing = ChecksSummary(difficulty=DifficultyFigures(blind=False, dropped=False, low=0, high=1))
    assert difficulty_chart(nothing).alt.endswith("no questions.")
    assert "nothing to list" in difficulty_table(nothing).text
