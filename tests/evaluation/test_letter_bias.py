"""Letters of the answers: the test finds a preference where there is one, and only there."""

from collections.abc import Callable
from random import Random

import pytest
from scipy.stats import binomtest, chisquare, kstest

from dataengine_lib.core.records import Answer
from dataengine_lib.evaluation.letter_bias import LetterBias, consistency, letter_bias


def answer(right: int, chosen: int, choices: int = 4, back: int | None = None, image: int = 0) -> Answer:
    return Answer(
        question="?",
        choices=[str(i) for i in range(choices)],
        correct_choice_idx=right,
        predicted_choice_idx=chosen,
        correct=right == chosen,
        reversed_choice_idx=back,
        image_id=image,
    )


def student(
    rng: Random, count: int, guess: Callable[[Random, int], int], golds: tuple[float, ...] = (1, 1, 1, 1)
) -> LetterBias:
    """Knows six answers of ten; guesses the others among the wrong letters or all of them."""
    answers = []
    for _ in range(count):
        right = rng.choices(range(len(golds)), golds)[0]
        answers.append(answer(right, right if rng.random() < 0.6 else guess(rng, right), len(golds)))
    return letter_bias(answers)


def anything(rng: Random, right: int) -> int:
    return rng.randrange(4)


def mostly_a(rng: Random, right: int) -> int:
    return rng.choice([0, 0, 1, 2, 3])


def test_with_one_right_letter_it_is_pearsons_test() -> None:
    """The right answer is always A: B, C and D are equally likely, which scipy tests as well."""
    observed = {1: 30, 2: 10, 3: 14}
    answers = [answer(0, 0)] * 20 + [
        answer(0, chosen) for chosen, times in observed.items() for _ in range(times)
    ]
    found = letter_bias(answers)
    expected = chisquare(list(observed.values()))
    assert found.method == "chi-square" and found.freedom == 2 and found.wrong == 54
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-4)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-4)
    assert [row.expected for row in found.letters] == [0, 18, 18, 18]


def test_counts_and_accuracies_by_letter() -> None:
    asked = [(0, 0, 4), (0, 1, 4), (1, 1, 4), (2, -1, 3), (1, 2, 3)]
    answers = [answer(right, chosen, size, image=i) for i, (right, chosen, size) in enumerate(asked)]
    found = letter_bias(answers)
    assert [row.letter for row in found.letters] == ["A", "B", "C", "D"]
    assert [row.offered for row in found.letters] == [5, 5, 5, 3]
    assert [row.chosen for row in found.letters] == [1, 2, 1, 0]
    assert [(row.accuracy.count, row.accuracy.total) for row in found.letters] == [
        (1, 2),
        (1, 2),
        (0, 1),
        (0, 0),
    ]
    assert found.letters[3].accuracy.share is None
    interval = binomtest(1, 2).proportion_ci(method="wilson")
    assert (found.letters[0].accuracy.low, found.letters[0].accuracy.high) == (
        round(interval.low, 4),
        round(interval.high, 4),
    )
    assert (found.questions, found.unread, found.wrong) == (5, 1, 2)
    assert [row.wrong for row in found.letters] == [0, 1, 1, 0]
    assert [row.expected for row in found.letters] == pytest.approx(
        [1 / 2, 1 / 3, 1 / 2 + 1 / 3, 1 / 3], abs=1e-4
    )


def test_uneven_right_letters_are_no_preference() -> None:
    """B is right most often: a student without a preference gives many A, C, D, and many B where it is right."""
    rng = Random(1)
    values = [student(rng, 300, anything, (1, 7, 1, 1)).p_value for _ in range(200)]
    assert kstest(values, "uniform").pvalue > 0.01
    assert 0.01 < sum(value < 0.05 for value in values) / 200 < 0.1


def test_a_preference_is_found() -> None:
    rng = Random(2)
    values = [student(rng, 600, mostly_a).p_value for _ in range(40)]
    assert sum(value < 0.05 for value in values) >= 36
    found = student(rng, 4000, mostly_a)
    assert found.p_value == 0
    assert found.letters[0].wrong > found.letters[0].expected_high
    assert found.letters[1].wrong < found.letters[1].expected


def test_small_samples_are_compared_with_draws() -> None:
    rng = Random(3)
    few = [found for _ in range(150) if (found := student(rng, 20, anything)).wrong]
    assert {found.method for found in few} == {"Monte Carlo"}
    assert sum(found.p_value < 0.05 for found in few) / len(few) < 0.1
    # six of six wrong answers name B where C and D were equally likely
    found = letter_bias([answer(0, 1)] * 6)
    assert found.p_value == pytest.approx(3 / 3**6, abs=0.002)
    assert letter_bias([answer(0, 1)] * 6, seed=9) == letter_bias([answer(0, 1)] * 6, seed=9)


def test_draws_and_distribution_agree_where_both_hold() -> None:
    rng = Random(4)
    answers = []
    for _ in range(400):
        right = rng.randrange(4)
        answers.append(answer(right, mostly_a(rng, right)))
    plain = letter_bias(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataengine_lib.evaluation.letter_bias._MIN_EXPECTED_COUNT", 10_000)
        drawn = letter_bias(answers)
    assert drawn.statistic == plain.statistic and drawn.method == "Monte Carlo"
    assert drawn.p_value == pytest.approx(plain.p_value, abs=0.01)


def test_questions_of_different_sizes_are_strata() -> None:
    """Questions with two options say nothing about letters; five options and three are tested together."""
    rng = Random(5)
    values = []
    for _ in range(150):
        answers = []
        for _ in range(150):
            size = rng.choice([2, 3, 5])
            right = rng.randrange(size)
            answers.append(answer(right, rng.choice([i for i in range(size) if i != right]), size))
        values.append(letter_bias(answers).p_value)
    assert kstest(values, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    "answers",
    [[], [answer(0, 0)], [answer(0, -1)], [answer(0, 1, 2), answer(1, 0, 2)]],
    ids=["none", "all right", "unread", "two options"],
)
def test_without_wrong_letters_to_compare_there_is_no_p_value(answers: list[Answer]) -> None:
    found = letter_bias(answers)
    assert (found.statistic, found.p_value, found.freedom, found.method) == (None, None, 0, "")


def test_without_the_options_in_reverse_there_is_nothing_to_compare() -> None:
    assert consistency([]) is None
    assert consistency([answer(0, 0)]) is None


def test_consistency_counts_answers_that_stay_the_same_in_reverse() -> None:
    answers = [
        *[answer(0, 0, back=0, image=i) for i in range(6)],  # right both ways
        *[answer(1, 1, back=2, image=10 + i) for i in range(3)],  # right as asked only
        answer(1, 0, back=1, image=20),  # right in reverse only
        answer(1, 3, back=3, image=21),  # the same wrong option
        answer(1, -1, back=-1, image=22),  # cannot tell is not the same option
        answer(2, 2),  # was not asked in reverse
    ]
    found = consistency(answers)
    assert found is not None
    assert (found.questions, found.unread) == (12, 1)
    assert [share.count for share in (found.same, found.as_asked, found.in_reverse, found.robust)] == [
        7,
        9,
        7,
        6,
    ]
    assert found.robust.share == 0.5 and found.robust.low < 0.5 < found.robust.high
    assert found.change.gain == round(-2 / 12, 4) and found.change.low < 0
    assert found.p_value == round(binomtest(1, 4).pvalue, 4) == 0.625
    assert consistency(answers) == found


def test_a_preference_for_a_letter_shows_in_the_other_order() -> None:
    """Always A as asked and always A in reverse is the first option once and the last one once."""
    rng = Random(6)
    answers = [answer(rng.randrange(4), 0, back=3, image=i) for i in range(200)]
    found = consistency(answers)
    assert found is not None and found.same.count == 0 and found.robust.count == 0
    assert letter_bias(answers).p_value == 0
