"""Predictions in aokvqa_eval.json, ours and MLLM-DataEngine's, and for A-OKVQA's leaderboard: joined, or named."""

import json
from pathlib import Path
from typing import Any

import msgspec
from predictions.recorded_questions import ASKED, PICKED, PLACES, choices_of, question_rows, write_json

from dataengine_lib.core.records import Answer
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows


def answers() -> list[dict[str, Any]]:
    return [
        msgspec.to_builtins(
            Answer(
                question_id=key,
                image_id=9,
                idx=place,
                question=text,
                choices=choices,
                correct_choice_idx=correct,
                model_answer=choices[picked],
                predicted_choice_idx=picked,
                scores=[float(i == picked) for i in range(4)],
                direct_answer="yes" if place else "",
            )
        )
        for (key, text, choices, correct), place, picked in zip(ASKED, PLACES, PICKED, strict=True)
    ]


def test_our_own_answers_come_back_in_any_order(tmp_path: Path, rows: QuestionRows) -> None:
    found = read_recorded(write_json(tmp_path, answers()[::-1]), rows)
    assert choices_of(found.answers) == {0: 3, 1: 2, 2: 1}
    assert list(found.answers) == [0, 1, 2]
    assert found.answers[0] == StudentAnswer(3, [0.0, 0.0, 0.0, 1.0], "cigarette", "")
    assert found.answers[1].direct_answer == "yes"
    assert (found.unmatched, found.missing) == ([], [])
    assert found.format == "aokvqa_eval.json, joined on question_id"


def test_no_direct_answer_at_all_means_that_none_was_asked(tmp_path: Path, rows: QuestionRows) -> None:
    silent = [{**answer, "direct_answer": ""} for answer in answers()]
    found = read_recorded(write_json(tmp_path, silent), rows)
    assert [answer.direct_answer for answer in found.answers.values()] == [None] * 3


def test_where_some_have_a_direct_answer_the_missing_ones_count_as_wrong(
    tmp_path: Path, rows: QuestionRows
) -> None:
    some = answers()
    some[0]["direct_answer"] = None
    del some[2]["direct_answer"]
    found = read_recorded(write_json(tmp_path, some), rows)
    assert [answer.direct_answer for answer in found.answers.values()] == ["", "yes", ""]


ORIGINAL = ("image_id", "idx", "question", "choices", "correct_choice_idx", "model_answer")


def test_rows_of_mllm_dataengine_join_on_the_place_and_read_the_text(
    tmp_path: Path, rows: QuestionRows
) -> None:
    original = [{key: answer[key] for key in ORIGINAL} for answer in answers()]
    original[0]["model_answer"] = "(B) food"
    found = read_recorded(write_json(tmp_path, original), rows)
    assert choices_of(found.answers) == {0: 1, 1: 2, 2: 1}
    assert found.answers[0] == StudentAnswer(1, [], "(B) food", None)
    assert found.format == "aokvqa_eval.json, joined on idx = place"


def test_an_exact_text_is_taken_before_a_letter(tmp_path: Path) -> None:
    rows = question_rows(tmp_path, ["a", "b", "c"])
    rows.questions[0].choices = ["b", "B", "a", "A"]
    found = read_recorded(write_json(tmp_path, {"a": {"multiple_choice": "B"}}), rows)
    assert found.answers == {0: StudentAnswer(1, [], "B")}
    rows.questions[0].choices = ["-5", "5", "$5", "5%"]
    for place, text in enumerate(rows.questions[0].choices):
        found = read_recorded(write_json(tmp_path, {"a": {"multiple_choice": text}}), rows)
        assert found.answers[0].choice == place


def test_each_fault_of_an_answer_is_named(tmp_path: Path, rows: QuestionRows) -> None:
    good = answers()
    faulty = [
        good[1],
        {**good[0], "question": "What else?"},
        {**good[0], "choices": ["food", "toothpick", "popsicle stick", "cigarette"]},
        {**good[0], "predicted_choice_idx": 4},
        {**good[0], "predicted_choice_idx": None, "model_answer": None},
        {**good[0], "question_id": "q-none"},
        {**good[0], "question_id": ""},
        {**good[1], "predicted_choice_idx": 0},
        {"question": 5},
    ]
    found = read_recorded(write_json(tmp_path, faulty), rows)
    assert choices_of(found.answers) == {1: 2}
    assert found.missing == [0, 2]
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("row 1", "another question"),
        ("row 2", "other choices"),
        ("row 3", "index outside the choices"),
        ("row 4", "no prediction"),
        ("row 6", "no key"),
        ("row 7", "answered twice"),
        ("row 8", "malformed row"),
    ]
    assert [(one.row, one.kind) for one in found.surplus] == [("row 5", "no such question")]
    reasons = [one.reason for one in found.unmatched]
    assert reasons[0] == "question 'What else?' is 'What is in his mouth?' in the question file"
    assert reasons[2] == "predicted_choice_idx 4 is outside the 4 choices"
    assert found.surplus[0].reason == "question_id 'q-none' is no usable question's question_id"
    assert reasons[5] == "answers question 'q-café' a second time"


def test_an_unreadable_answer_counts_as_cannot_tell(tmp_path: Path, rows: QuestionRows) -> None:
    vague = [{**answers()[0], "predicted_choice_idx": -1, "model_answer": "food or a cigarette"}]
    found = read_recorded(write_json(tmp_path, vague), rows)
    assert found.answers[0].choice is None
    assert found.answers[0].written == "food or a cigarette"


def test_ids_that_the_question_file_does_not_have_do_not_hide_the_places(tmp_path: Path) -> None:
    rows = question_rows(tmp_path, [None, None, None])
    found = read_recorded(write_json(tmp_path, answers()), rows)
    assert choices_of(found.answers) == {0: 3, 1: 2, 2: 1}
    assert found.format == "aokvqa_eval.json, joined on idx = place"


# a row as MLLM-DataEngine's evaluation writes it
PUBLISHED: dict[str, Any] = {
    "image_path": "/mnt/data/coco2017/val2017/000000370270.jpg",
    "idx": "q-mouth",
    "question": ASKED[0][1],
    "choices": ASKED[0][2],
    "correct_choice_idx": 3,
    "direct_answers": ["cigarette"] * 10,
    "difficult_direct_answer": False,
    "model_answer": "food",
}


def test_the_published_idx_is_the_question_id(tmp_path: Path, rows: QuestionRows) -> None:
    found = read_recorded(write_json(tmp_path, [PUBLISHED]), rows)
    assert found.answers == {0: StudentAnswer(1, [], "food")}
    assert found.format == "aokvqa_eval.json, joined on idx = question_id"


def test_another_right_answer_is_another_question(tmp_path: Path, rows: QuestionRows) -> None:
    content = [PUBLISHED, {**answers()[1], "idx": "q-café", "question_id": "", "correct_choice_idx": 2}]
    found = read_recorded(write_json(tmp_path, content), rows)
    assert choices_of(found.answers) == {0: 1}
    assert [(one.kind, one.reason) for one in found.unmatched] == [
        (
            "another answer",
            "correct_choice_idx 2 is 0 in the question file: other questions or another order?",
        )
    ]


def test_a_missing_number_affects_only_its_row(tmp_path: Path, rows: QuestionRows) -> None:
    """As `json.dump` writes pandas' missing values; the text NaN stays what it is."""
    content = [
        {**PUBLISHED, "model_answer": "NaN, or Infinity"},
        {**answers()[1], "idx": None, "question": None},
    ]
    text = json.dumps(content).replace("null", "NaN").replace('"scores": [', '"scores": [-Infinity, ')
    (tmp_path / "r.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = read_recorded(tmp_path / "r.json", rows)
    assert found.answers == {0: StudentAnswer(None, [], "NaN, or Infinity")}
    assert [(one.row, one.kind) for one in found.unmatched] == [("row 1", "malformed row")]


# --- A-OKVQA predictions


def test_leaderboard_predictions(tmp_path: Path, rows: QuestionRows) -> None:
    predictions = {
        "q-count": {"multiple_choice": "2", "direct_answer": "two"},
        "q-mouth": {"direct_answer": "cigarette"},
        "q-café": {"multiple_choice": "猫"},
        "q-else": {"multiple_choice": "2"},
        "q-null": {"multiple_choice": None},
    }
    found = read_recorded(write_json(tmp_path, predictions), rows)
    assert found.answers == {
        0: StudentAnswer(None, [], "", "cigarette"),
        1: StudentAnswer(3, [], "猫", ""),  # asked for, so that a missing one counts as 0
        2: StudentAnswer(1, [], "2", "two"),
    }
    assert found.unmatched == []
    assert [(one.row, one.kind) for one in found.surplus] == [
        ("q-else", "no such question"),
        ("q-null", "no such question"),
    ]
    joined = "A-OKVQA predictions, joined on question_id"
    assert found.format == f"{joined}; rows about none of the questions: 2 (first: q-else)"


def test_a_leaderboard_value_of_another_shape_is_named(tmp_path: Path, rows: QuestionRows) -> None:
    content = {"q-count": {"multiple_choice": ["2"]}, "q-mouth": {}, "q-café": {"multiple_choice": "là-haut"}}
    found = read_recorded(write_json(tmp_path, content), rows)
    assert choices_of(found.answers) == {1: 2}
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("q-count", "malformed row"),
        ("q-mouth", "no prediction"),
    ]
