"""Fleiss' kappa of step 4's readers, against published examples and against simulated readers."""

import numpy as np
import pytest

from dataengine_lib.curation.readers.agreement import fleiss_kappa

# Fleiss 1971, table 1: 30 patients, six psychiatrists, five diagnoses; each digit counts the psychiatrists.
DIAGNOSES = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)


def names(number: int) -> list[str]:
    return [str(one) for one in range(number)]


def test_the_example_of_fleiss() -> None:
    counts = np.array([[int(digit) for digit in row] for row in DIAGNOSES.split()])
    assert (counts.sum(axis=0) / 180).round(3).tolist() == [0.144, 0.144, 0.167, 0.306, 0.239]
    found = fleiss_kappa(counts, names(30))
    assert (found.readers, found.questions) == (6, 30)
    assert (round(found.kappa, 3), round(found.share, 3)) == (0.430, 0.556)  # as published


def test_the_interval_holds_the_truth_as_often_as_it_claims() -> None:
    """Three readers that name the right one of four with 70 %, else any: kappa is known."""
    rng = np.random.default_rng(0)
    right = 0.7 + 0.3 / 4
    agree = right**2 + 3 * (0.3 / 4) ** 2
    truth = (agree - 0.25) / 0.75
    hits = 0
    for _ in range(200):
        key = rng.integers(4, size=(120, 1))
        said = np.where(rng.random((120, 3)) < 0.7, key, rng.integers(4, size=(120, 3)))
        counts = (said[:, :, None] == np.arange(4)).sum(axis=1)
        found = fleiss_kappa(counts, names(120))
        hits += found.low <= truth <= found.high
    assert 180 <= hits <= 198


def test_questions_of_one_image_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    sure = np.repeat(rng.random(20) < 0.5, 6)  # readers agree on all questions of an image, or on none
    counts = np.where(sure[:, None], [2, 0], [1, 1])
    counts[::2] = counts[::2, ::-1]
    alone, together = fleiss_kappa(counts, names(120)), fleiss_kappa(counts, names(20) * 6)
    by_image = fleiss_kappa(counts, [str(number // 6) for number in range(120)])
    assert alone.kappa == by_image.kappa == together.kappa
    assert by_image.high - by_image.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("rows", "kappa", "low", "high"),
    [
        ([[2, 0], [0, 2], [2, 0], [0, 2]], 1.0, -0.2, 1.0),  # no disagreement among four images
        ([[1, 1], [1, 1]], -1.0, -1.0, -1.0),
        ([[2, 0], [2, 0]], None, -1.0, 1.0),  # one letter only: nothing beyond chance can be seen
        ([[1, 1]], -1.0, -1.0, 1.0),
    ],
)
def test_few_questions(rows: list[list[int]], kappa: float | None, low: float, high: float) -> None:
    found = fleiss_kappa(np.array(rows), names(len(rows)))
    assert (found.kappa, found.high) == (kappa, high) and found.low == pytest.approx(low, abs=0.01)


def test_what_has_no_kappa() -> None:
    assert fleiss_kappa(np.zeros((0, 5)), []).kappa is None
    for rows in ([[1, 0]], [[2, 0], [1, 0]]):
        with pytest.raises(ValueError, match="the same two or more readers"):
            fleiss_kappa(np.array(rows), names(len(rows)))
