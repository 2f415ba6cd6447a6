"""Tests of yes/no scores against the public scripts of MME and POPE."""

import pytest
from official_scores import yes_no

from dataengine_lib.core.records import YES_NO, Answer
from dataengine_lib.evaluation.scores.mme import GROUPS, mme_scores
from dataengine_lib.evaluation.scores.yes_no import yes_no_scores
from dataengine_lib.evaluation.scores.yes_no_text import NO, YES, read_yes_no
from dataengine_lib.questions.categories import read_categories

TEXTS = ["Yes", "No", "yes, it is", "Yes.", "no", "There is no dog.", "It is not.", "maybe", "I don't know",
         "Yes, no doubt", "nothing", "Of course", "NO", "not. yes", "Not sure", "The answer is yes", "", "y"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", YES),
        ("yes, it is", YES),
        ("**No**, there is not", NO),
        ("No", NO),
        ("Answer: no", NO),
        ("The answer is yes.", YES),
        ("Yes, there is no dog on the left", YES),
        ("There is no dog", NO),
        ("Yes it is", YES),
        ("<think>no?</think>Yes", YES),
        ("yes or no", None),
        ("yes/no", None),
        ("maybe", None),
        ("It is not", None),
        ("I do not know", None),
        ("", None),
        ("yesterday", None),
        ("notes", None),
    ],
)
def test_an_answer_is_read_or_left_unread(text: str, expected: int | None) -> None:
    assert read_yes_no(text) == expected


def answers(
    images: int = 12, kinds: tuple[str, ...] = ("existence", "ocr", "code_reasoning")
) -> list[Answer]:
    """Two questions about each image of every type, the first to be answered yes, with answers of all forms in turn."""
    rows = []
    for number in range(images):
        for place, kind in enumerate(kinds):
            for right in (YES, NO):
                text = TEXTS[(number * 5 + place * 3 + right) % len(TEXTS)]
                choice = read_yes_no(text)
                rows.append(Answer(
                    question=f"Is it {right}?", choices=["yes", "no"], correct_choice_idx=right, written=text,
                    question_type=kind, image_path=f"{kind}/{number}.png", answer_kind=YES_NO,
                    predicted_choice_idx=-1 if choice is None else choice, correct=choice == right,
                ))  # fmt: skip
    return rows


def official_mme(rows: list[Answer]) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
    return yes_no.official_mme(
        [(row.question_type, row.choices[row.correct_choice_idx], row.written) for row in rows]
    )


def test_mme_scores_are_those_of_its_script() -> None:
    rows = answers()
    found = mme_scores(rows)
    assert found is not None
    tasks, groups = official_mme(rows)
    for name, expected in tasks.items():
        one = found.categories[name]
        assert (one.accuracy.value, one.accuracy_plus.value, one.score.value) == pytest.approx(
            expected, abs=1e-3
        )
        assert one.score.low <= expected[2] <= one.score.high
    for name, total in groups.items():
        assert found.sums[name].value == pytest.approx(total, abs=1e-2)
    assert found.sums["all categories"].value == pytest.approx(sum(groups.values()), abs=1e-2)
    assert found == mme_scores(rows)  # same seed, same intervals
    assert found.unpaired == 0
    assert mme_scores(rows[:-1]).unpaired == 1  # type: ignore[union-attr]


def test_other_numbers_of_questions_an_image_are_not_mme() -> None:
    rows = answers()
    for number, row in enumerate(rows):
        row.image_path = f"{row.question_type}/{number // 18}.png"
    assert mme_scores(rows) is None
    assert mme_scores([]) is None


def official_pope(rows: list[Answer]) -> dict[str, float]:
    return yes_no.official_pope([(row.choices[row.correct_choice_idx], row.written) for row in rows])


def test_pope_scores_are_those_of_its_script() -> None:
    rows = answers(kinds=("adversarial,popular", "random"))
    found = yes_no_scores(rows)
    assert found is not None
    groups = {"adversarial": [row for row in rows if row.question_type != "random"]}
    groups |= {
        "popular": groups["adversarial"],
        "random": [row for row in rows if row.question_type == "random"],
    }
    assert set(found.by_category) == set(groups)
    for one, of in ((found.pope, rows), *((found.by_category[name], groups[name]) for name in groups)):
        for name, expected in official_pope(of).items():
            estimate = getattr(one, name)
            assert estimate.value == pytest.approx(expected, abs=1e-4), name
            assert estimate.low <= expected <= estimate.high
    assert found.unread == sum(row.predicted_choice_idx < 0 for row in rows)


def test_unread_answers_are_wrong_and_no_yes_as_vlmevalkit_counts() -> None:
    rows = answers()
    found = yes_no_scores(rows)
    assert found is not None
    read = [read_yes_no(row.written) for row in rows]
    right = [row.correct_choice_idx for row in rows]
    assert found.scores.accuracy.value == pytest.approx(
        sum(a == b for a, b in zip(read, right, strict=True)) / len(rows), abs=1e-4
    )
    assert found.scores.yes_rate.value == pytest.approx(read.count(YES) / len(rows), abs=1e-4)


def test_without_any_yes_there_is_no_precision() -> None:
    rows = [row for row in answers() if row.written == "No"]
    found = yes_no_scores(rows)
    assert found is not None
    assert (found.scores.precision.value, found.scores.f1.value) == (None, None)
    assert found.scores.yes_rate.value == 0
    assert yes_no_scores([]) is None


def test_the_category_set_has_mme_s_groups() -> None:
    assert read_categories("mme").names == [*GROUPS["perception"], *GROUPS["cognition"]]


def test_a_ranked_choice_counts_as_its_text() -> None:
    rows = answers()
    for row in rows:
        row.written, row.model_answer, row.predicted_choice_idx = (
            "",
            row.choices[row.correct_choice_idx],
            row.correct_choice_idx,
        )
    found = yes_no_scores(rows)
    assert found is not None and found.mme is not None
    assert (found.pope.accuracy.value, found.mme.sums["all categories"].value) == (1, 600)
