"""Tests of CircularEval: a question is right only when it is right in every rotation of its options."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS, ColourStudent, root, run  # noqa: F401

from dataengine_lib.core.records import Answer, options_text
from dataengine_lib.evaluation.paired.circular import right_in_each, rotated, with_wrong_choice


class FirstOption(ColourStudent):
    """Knows red; of any other picture it takes the option that is shown first."""

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        self.asked += prompts
        self.looked_at.append(len({id(image) for image in images}))
        red = [image.getpixel((0, 0)) == COLOURS["red"] for image in images]
        return [
            [-0.5 if (text == "red" if knows else place == 0) else -2.0 for place, text in enumerate(row)]
            for knows, row in zip(red, choices, strict=True)
        ]


def test_rotations_move_options_up() -> None:
    assert [rotated("abc", by) for by in range(3)] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


@pytest.mark.parametrize(
    ("chosen", "others", "right", "expected"),
    [
        (1, [1, 1], 1, True),
        (1, [1, 0], 1, False),
        (0, [1, 1], 1, False),
        (1, [1, -1], 1, False),
        (1, [], 1, True),
        (-1, [-1], -1, False),
    ],
)
def test_right_only_when_right_in_each(chosen: int, others: list[int], right: int, expected: bool) -> None:
    assert right_in_each(chosen, others, right) is expected


def test_every_rotation_is_asked_with_the_same_image_and_counts(root: Path) -> None:  # noqa: F811
    student = FirstOption()
    result = run(root, student, robust="circular", direct_answers=False)
    n = len(result.answers)
    # one call for all rotations, in which every image is one object
    assert len(student.asked) == 4 * n and len(student.looked_at) == 1
    assert student.looked_at[0] < n
    assert options_text(rotated(list(COLOURS), 1)) in student.asked[1]
    by_right = {row.choices[row.correct_choice_idx]: row for row in result.answers}
    assert by_right["red"].correct and by_right["red"].rotated_choice_idx == [0, 0, 0]
    assert by_right["red"].score == 1
    # what is shown first in a rotation by 1 is option 1 of the original order
    other = next(row for row in result.answers if not row.correct)
    assert [other.predicted_choice_idx, *(other.rotated_choice_idx or [])] == [0, 1, 2, 3]
    score = result.metrics.splits["diagnose"].circular
    assert score and score.passes == 4 * score.questions
    assert score.circular.count <= score.as_asked.count and score.circular.count == score.same.count
    assert result.metrics.splits["diagnose"].overall.correct == score.circular.count
    assert result.metrics.splits["diagnose"].chance == pytest.approx(1 / 4**4, abs=1e-4)


def test_a_bad_case_names_a_wrong_option_also_where_the_given_order_was_right(root: Path) -> None:  # noqa: F811
    rows = json.loads((root / "questions.json").read_text())
    for row in rows:  # the student that takes the first option is right in the given order
        row["choices"] = rotated(row["choices"], row["correct_choice_idx"])
        row["correct_choice_idx"] = 0
    (root / "questions.json").write_text(json.dumps(rows))
    result = run(root, FirstOption(), robust="circular", direct_answers=False, near_duplicate=0)
    plain = [row for row in result.answers if not row.correct]
    assert plain and all(row.predicted_choice_idx == 0 for row in plain)
    cases = [case for of_type in result.bad_cases.values() for case in of_type]
    assert cases and all(case.predicted_choice_idx == 1 for case in cases)
    assert all(case.model_answer == case.choices[1] for case in cases)


@pytest.mark.parametrize(
    ("others", "chosen", "text"), [([-1, 0, 2], 2, "c"), ([0, 1, -1], 1, "b"), ([0, -1], -1, "")]
)
def test_a_rotation_that_names_no_option_does_not_hide_the_wrong_one(
    others: list[int], chosen: int, text: str
) -> None:
    case = Answer(
        question="?", choices=["a", "b", "c"], correct_choice_idx=0, predicted_choice_idx=0, correct=False,
        model_answer="a", rotated_choice_idx=others,
    )  # fmt: skip
    found = with_wrong_choice(case)
    assert (found.predicted_choice_idx, found.model_answer) == (chosen, text)


def test_without_it_no_file_names_rotations(root: Path) -> None:  # noqa: F811
    run(root, FirstOption())
    for name in ("aokvqa_eval.json", "metrics.json", "bad_case_aokvqa_classified.json"):
        text = (root / "out" / name).read_text()
        assert "rotated" not in text and "circular" not in text


@pytest.mark.parametrize(("given", "named"), [(True, "reverse"), (False, "off"), ("circular", "circular")])
def test_true_is_the_reverse_order(root: Path, given: Any, named: str) -> None:  # noqa: F811
    from dataengine_lib.steps.evaluate import EvaluateConfig

    config = EvaluateConfig(
        questions=root / "q.json", image_root=root, student="s", output_dir=root, robust=given
    )
    assert config.robust == named
