"""Five questions with options of different number and length, and the comparison of scores, for tests of students."""

import pytest

QUESTIONS = [
    ("What is in the picture?", ["a dog", "two cats", "cow", "pig"]),
    ("Which colour has the car?", ["red", "green and blue", "blue"]),
    ("Où est le chat — 在哪里?", ["on the left", "on the right", "top", "bottom, near the edge"]),
    ("Is it raining or snowing in this picture of the town?", ["yes", "no"]),
    ("How many?", ["1", "2", "3", "22"]),
]
PROMPTS = [
    f"{question}\n" + " ".join(f"({chr(65 + i)}) {c}" for i, c in enumerate(cs)) for question, cs in QUESTIONS
]
CHOICES = [choices for _, choices in QUESTIONS]


def assert_close(found: list[list[float]], expected: list[list[float]]) -> None:
    assert [len(row) for row in found] == [len(row) for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-4)
