"""Tests of the contamination probe: a student that learnt the file by heart is found, one that sees is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS, ColourStudent, root, run  # noqa: F401

from dataengine_lib.core.records import Question, options_text
from dataengine_lib.evaluation.probes.contamination import changed_questions, orders_to_rank
from dataengine_lib.evaluation.probes.rewording import reworded
from dataengine_lib.evaluation.tasks import Task

KNOWN = ["cat", "ant", "dog", "bee"]


def task(number: int, choices: list[str], kind: str = "", text: str = "What is it?") -> Task:
    question = Question(
        question=text, choices=choices, correct_choice_idx=1, answer_kind=kind, question_id=f"q{number}"
    )
    return Task(f"row {number}", number, question, "diagnose", "x.png")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where is the large dog?", "In which place is the big dog?"),
        ("Is there a cat in the image?", "Does the picture show a cat?"),
        ("Are there any red cars in the photo?", "Does the picture show any red cars?"),
        ("How many dogs are there?", "What number of dogs are there?"),
        ("What's the picture of?", "What is the image of?"),
        ("Where did the photographer go?", "In which place did the photographer go?"),
        ("Zzz?", "Zzz?"),
    ],
)
def test_words_change_by_fixed_rules(question: str, expected: str) -> None:
    found = reworded(question)
    assert found.text.endswith(expected) and found.text != expected
    assert found.inside == (expected != question) and found == reworded(question)


def test_an_order_is_another_one_and_keeps_the_right_answer() -> None:
    order, words = changed_questions(
        [task(n, KNOWN) for n in range(30)] + [task(40, ["yes", "no"], "yes_no")], 0
    )
    assert len(order.tasks) == 30 and len(words.tasks) == 31
    for changed in order.tasks:
        assert changed.question.choices != KNOWN and sorted(changed.question.choices) == sorted(KNOWN)
        assert changed.question.choices[changed.question.correct_choice_idx] == "ant"
    assert len({tuple(one.question.choices) for one in order.tasks}) > 5
    assert changed_questions([task(3, KNOWN)], 0)[0].tasks[0] == order.tasks[3]


@pytest.mark.parametrize(
    ("choices", "others"),
    [(KNOWN, 5), (["b", "a", "c"], 5), (["1", "2", "10"], 0), (["ant", "Bee", "cat"], 0), (["x", "x"], 0)],
)
def test_options_in_the_order_of_a_rule_are_not_ranked(choices: list[str], others: int) -> None:
    found = orders_to_rank([task(0, choices)], 0)
    assert [len(one.question.choices) - 1 for one in found] == ([others] if others else [])
    assert not found or found[0].question.choices[0] == options_text(choices)
    assert not found or len(set(found[0].question.choices)) == others + 1


class ByHeart(ColourStudent):
    """Knows the files' questions and the order of their options; of others it knows nothing."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__()
        self.rows = {f"{row['question']}\n{options_text(row['choices'])}": row for row in rows}
        self.listings = {options_text(row["choices"]) for row in rows}

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        if scored == "words":
            return [[-1.0 if text in self.listings else -2.0 for text in row] for row in choices]
        found = [self.rows.get(prompt) for prompt in prompts]
        rights = [row["correct_choice_idx"] if row else -1 for row in found]
        return [
            [-0.5 if place == right else -2.0 - place for place in range(len(row))]
            for right, row in zip(rights, choices, strict=True)
        ]


@pytest.fixture
def many(root: Path) -> list[dict[str, Any]]:  # noqa: F811
    """Forty questions about four pictures of one colour, whose options are in no order of a rule."""
    rows = [
        {
            "split": ("diagnose", "holdout")[n % 2], "image_id": 100 + n, "question_id": f"q{n}",
            "image_path": f"images/{n % 4 + 1:012d}.png", "question": f"What color is it ({n})?",
            "choices": ["red", "blue", "white", "green"],
            "correct_choice_idx": [0, 3, 1, 2][n % 4], "question_type": "image_scene",
        }
        for n in range(40)
    ]  # fmt: skip
    (root / "questions.json").write_text(json.dumps(rows))
    return rows


def test_a_student_that_learnt_the_file_by_heart_is_found(root: Path, many: list[dict[str, Any]]) -> None:  # noqa: F811
    found = run(root, ByHeart(many), contamination=True, direct_answers=False).metrics.contamination
    assert found
    for change in found.changes.values():
        assert change.first.mean == 1 and change.change.high < 0 and change.p_holm < 0.001
    assert found.preference and found.preference.share == 1 and found.preference.p_value < 0.001
    assert (found.preference.questions, found.preference.left_out, found.reworded) == (40, 0, 40)
    written = json.loads((root / "out/contamination.json").read_text())
    assert len(written["answers"]) == 80 and written["scores"]["preference"]["share"] == 1


class Sees(ColourStudent):
    """Sees the colour, and finds every order of the options as likely."""

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        if scored == "words":
            return [[-1.0] * len(row) for row in choices]
        return super().rank(images, prompts, choices, scored)


def test_a_student_that_sees_loses_nothing(root: Path, many: list[dict[str, Any]]) -> None:  # noqa: F811
    found = run(root, Sees(), contamination=True, direct_answers=False).metrics.contamination
    assert found
    assert all(change.change.gain == 0 and change.p_value == 1 for change in found.changes.values())
    assert found.preference and (found.preference.share, found.preference.p_value) == (0.5, 1)


def test_written_answers_have_no_preference_to_test(root: Path) -> None:  # noqa: F811
    class Writes(ColourStudent):
        def generate(
            self, images: Any, prompts: Any, *, choices: Any = None, max_new_tokens: int = 8
        ) -> list[str]:
            names = {rgb: name for name, rgb in COLOURS.items()}
            return [names[image.getpixel((0, 0))] for image in images]

    found = run(root, Writes(), contamination=True, rank="generate").metrics.contamination
    assert found and found.preference is None and len(found.changes) == 2
