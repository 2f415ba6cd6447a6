"""Tests of step 1's rank rules, students that are not loaded here, and what is reported beside the accuracy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS, ColourStudent, edit, question, run  # noqa: F401

from dataengine_lib.core.records import options_text
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.evaluate import EvaluateConfig


class Writer(ColourStudent):
    """Writes the colour that it sees in one of several ways, and nonsense about white."""

    def generate(
        self, images: Any, prompts: Sequence[str], *, choices: Any = None, max_new_tokens: int = 8
    ) -> list[str]:
        if choices is None:
            return ["red"] * len(prompts)
        self.asked += prompts
        names = [
            next(name for name, rgb in COLOURS.items() if image.getpixel((0, 0)) == rgb) for image in images
        ]
        ways = {"red": "({})", "green": "{}) green.", "blue": "{}", "white": "I cannot see it."}
        return [ways[name].format("ABCD"[row.index(name)]) for name, row in zip(names, choices, strict=True)]


def test_written_answers_are_read_and_never_guessed(root: Path) -> None:
    result = run(root, Writer(), rank="generate")
    assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]
    unclear = result.answers[4]
    assert (unclear.predicted_choice_idx, unclear.model_answer) == (-1, "")
    assert (unclear.written, unclear.scores) == ("I cannot see it.", [])
    assert result.metrics.splits["holdout"].cannot_tell == 1
    assert result.metrics.splits["diagnose"].cannot_tell == 0
    assert result.metrics.rank == "generate"
    predictions = json.loads((root / "out/predictions.json").read_text())
    assert predictions["q4"] == {"direct_answer": "red"}
    assert all(one["multiple_choice"] in COLOURS for key, one in predictions.items() if key != "q4")
    result = run(root, Writer(), rank="generate", direct_answers=False)
    predictions = json.loads((root / "out/predictions.json").read_text())
    assert (predictions["q1"], predictions["q4"]) == ({"multiple_choice": "green"}, {})


def test_predictions_pass_the_official_check(root: Path) -> None:
    """As A-OKVQA's eval_predictions.py does it: by key, each choice must be one of the question's."""
    result = run(root, Writer(), rank="generate")
    predictions = json.loads((root / "out/predictions.json").read_text())
    questions = {row["question_id"]: row for row in json.loads((root / "questions.json").read_text())}
    chosen = {key: one["multiple_choice"] for key, one in predictions.items() if "multiple_choice" in one}
    assert predictions.keys() == questions.keys() and len(chosen) == 6
    assert all(choice in questions[key]["choices"] for key, choice in chosen.items())
    right = [
        chosen.get(key) == row["choices"][row["correct_choice_idx"]] for key, row in sorted(questions.items())
    ]
    assert right == [answer.correct for answer in result.answers]


def test_rank_letter_scores_letters_alone(root: Path) -> None:
    student, asked = ColourStudent(), []
    plain = student.rank
    student.rank = lambda *given: asked.append(given[3]) or plain(*given)  # type: ignore[method-assign, func-returns-value]
    run(root, student, rank="letter")
    assert set(asked) == {"letter"}


class FirstLetter(ColourStudent):
    """Likes the first option, whatever it is, unless the picture is red."""

    def rank(
        self, images: Any, prompts: Sequence[str], choices: Any, scored: str = "text"
    ) -> list[list[float]]:
        self.asked += prompts
        scores = []
        for image, row in zip(images, choices, strict=True):
            red = image.getpixel((0, 0)) == COLOURS["red"]
            scores.append(
                [-0.5 if (text == "red" if red else k == 0) else -2.0 for k, text in enumerate(row)]
            )
        return scores


def test_reversed_options_reveal_a_preference_for_a_position(root: Path) -> None:
    student = FirstLetter()
    result = run(root, student, robust="reverse", direct_answers=False)
    assert options_text(list(COLOURS)[::-1]) in student.asked[-1] and len(student.asked) == 14
    first, other = result.answers[0], result.answers[2]
    assert (first.predicted_choice_idx, first.reversed_choice_idx) == (0, 0)  # red, found in both orders
    assert (other.predicted_choice_idx, other.reversed_choice_idx) == (0, 3)
    assert other.reversed_scores == [-2.0, -2.0, -2.0, -0.5]
    both = result.metrics.splits["diagnose"].both_ways
    assert both is not None and (both.questions, both.same.count, both.robust.count) == (4, 2, 2)
    assert run(root, FirstLetter()).metrics.splits["diagnose"].both_ways is None


def test_of_near_duplicate_bad_cases_one_is_kept(root: Path) -> None:
    asked = "Which of these colours is the one that this picture shows here?"
    edit(
        root,
        lambda rows: [
            {**row, "question": asked, "correct_choice_idx": 3, "split": "diagnose"} for row in rows[:4]
        ],
    )
    result = run(root)
    assert len(result.bad_cases["image_scene"]) == 1 and result.alike["image_scene"] == 2
    written = json.loads((root / "out/bad_case_aokvqa_classified.json").read_text())
    assert len(written["image_scene"]) == 1
    assert run(root).bad_cases == result.bad_cases
    assert len(run(root, near_duplicate=0).bad_cases["image_scene"]) == 3
    drawn = {run(root, seed=seed).bad_cases["image_scene"][0].question_id for seed in range(12)}
    assert len(drawn) > 1


def test_the_teachers_examples_are_not_scored_as_holdout(root: Path) -> None:
    query = {"image_id": 70, "prompt": "…", "question_type": "image_scene", "query_id": "n1"}
    queries = root / "gptvqa_prompt.json"
    queries.write_text(json.dumps([{**query, "example_ids": ["q0", "q1"], "anchor_image_id": 1}]))
    assert run(root, teacher_queries=[queries]).answers  # they are of the diagnose split
    queries.write_text(json.dumps([{**query, "example_ids": ["q0", "q3"], "anchor_image_id": 1}]))
    with pytest.raises(DataEngineError, match="q3") as caught:
        run(root, teacher_queries=[queries])
    assert str(queries) in str(caught.value) and "n1" in str(caught.value)
    assert run(root, teacher_queries=[queries], split="diagnose").answers


def test_own_columns_for_type_and_split(root: Path) -> None:
    edit(
        root,
        lambda rows: [
            {**row, "question_type": "", "part": row["split"], "kind": "image_mood", "split": "val"}
            for row in rows
        ],
    )
    scores = run(root, split_field="part", type_field="kind").metrics.splits
    assert {name: split.overall.total for name, split in scores.items()} == {"diagnose": 4, "holdout": 3}
    assert scores["diagnose"].per_type["image_mood"].total == 4
    edit(root, lambda rows: [*rows[:2], {**rows[2], "part": "dev"}, *rows[3:]])
    with pytest.raises(DataEngineError, match=r"row 2: part is 'dev'; write diagnose or holdout there"):
        run(root, split_field="part")


def test_predictions_made_elsewhere(root: Path) -> None:
    predictions = {f"q{n}": {"multiple_choice": "red", "direct_answer": "red"} for n in range(1, 7)}
    file = root / "predictions_elsewhere.json"
    file.write_text(json.dumps({**predictions, "q77": {"multiple_choice": "red", "direct_answer": "x"}}))
    values = {"student": f"recorded:{file}", "max_bad_share": 0.3}
    result = run_recorded(root, **values)
    assert [answer.question_id for answer in result.answers] == [f"q{n}" for n in range(1, 7)]
    assert [answer.correct for answer in result.answers] == [True, False, False, True, True, False]
    assert result.metrics.rank == "recorded"
    joined = "A-OKVQA predictions, joined on question_id"
    assert result.metrics.source == f"{joined}; rows about none of the questions: 1 (first: q77)"
    assert (result.metrics.skipped.total, result.metrics.skipped.of) == (1, 7)
    assert [row.kind for row in result.skipped] == ["no prediction"]
    with pytest.raises(DataEngineError, match="1 of 7 rows cannot be used"):
        run_recorded(root, student=f"recorded:{file}", max_bad_share=0)


def test_predictions_for_more_questions_do_not_stop_the_run(root: Path) -> None:
    file = root / "predictions_elsewhere.json"
    file.write_text(json.dumps({f"q{n}": {"multiple_choice": "red"} for n in range(100)}))
    result = run_recorded(root, student=f"recorded:{file}")
    assert len(result.answers) == 7 and result.metrics.skipped.total == 0
    assert result.metrics.source.endswith("rows about none of the questions: 93 (first: q7)")
    file.write_text(json.dumps({f"q{n}": {"multiple_choice": "red"} for n in range(7, 100)}))
    with pytest.raises(DataEngineError, match="none of its 93 rows answers a question"):
        run_recorded(root, student=f"recorded:{file}")


def run_recorded(root: Path, **more: Any) -> Any:
    from dataengine_lib.steps.evaluate import evaluate

    values = {
        "questions": root / "questions.json", "image_root": root, "output_dir": root / "out",
        "categories": "v1", **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values))


def test_our_own_answers_read_back_score_the_same(root: Path) -> None:
    made = run(root)
    (root / "out/aokvqa_eval.json").rename(root / "eval.json")
    repeated = run_recorded(root, student=f"recorded:{root / 'eval.json'}")
    assert repeated.metrics.splits == made.metrics.splits


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"student": "recorded:x.json", "robust": "reverse"}, "predictions in a file cannot be asked"),
        ({"student": "api:gpt", "rank": "generate", "workers": 2}, "loaded here"),
        ({"workers": 0}, "1 or more"),
        ({"workers": "all"}, "workers"),
        ({"rank": "tokens"}, "rank"),
    ],
)
def test_settings_that_exclude_each_other_are_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        EvaluateConfig.read(
            {"questions": "q", "image_root": "i", "student": "s", "output_dir": "o", **values}, "here"
        )
