"""Frames of answers, queries, replies, QAs and figures, made of records of the steps."""

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from dataengine_lib.chat.ledger import PaidReply
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import OPEN, YES_NO, Answer, Query, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.frames.answers import EvaluatedAnswers, answers_frame, bad_cases_frame
from dataengine_lib.frames.comparison import comparison_frame
from dataengine_lib.frames.figures import accuracies
from dataengine_lib.frames.queries import queries_frame, replies_frame, request_costs
from dataengine_lib.frames.read_files import read_bad_case_answers, read_rows
from dataengine_lib.frames.records import CuratedQas, failed_checks, records_frame
from dataengine_lib.teachers.reply_files import Failure


def answered(number: int, chosen: int, **fields: Any) -> Answer:
    """A question whose right option is B, answered with `chosen`."""
    values: dict[str, Any] = {
        "question": f"Which {number}?", "choices": ["dog", "cat"], "correct_choice_idx": 1, "question_id": f"q{number}",
        "image_id": number, "predicted_choice_idx": chosen, "correct": chosen == 1, "split": "holdout",
        "model_answer": ["dog", "cat"][chosen], "question_type": "ocr",
    }  # fmt: skip
    return Answer(**values | fields)


def evaluations(*chosen: list[int]) -> list[EvaluatedAnswers]:
    return [
        EvaluatedAnswers(number, f"e{number}", [answered(*pair) for pair in enumerate(one)])
        for number, one in enumerate(chosen, 1)
    ]


def test_an_answer_has_its_options_letters_and_confidence() -> None:
    rows = [
        answered(0, 0, scores=[0.0, -1.0]),
        answered(1, 1),
        answered(2, -1, image_id=-1, image_path="a.jpg"),
    ]
    frame = answers_frame([EvaluatedAnswers(1, "before", rows)])
    assert frame["confidence"].round(4).tolist()[0] == 0.7311  # 1 / (1 + exp(-1))
    assert frame["confidence"].isna().tolist() == [False, True, True]
    assert frame["chosen_letter"].tolist() == ["A", "B", ""] and set(frame["right_letter"]) == {"B"}
    assert frame["image_id"].tolist() == ["0", "1", ""]
    assert frame["correct"].tolist() == [False, True, False]


def test_questions_of_other_kinds_have_answers_and_no_letters() -> None:
    rows = [
        answered(0, 1, answer_kind=YES_NO, choices=["yes", "no"]),
        answered(
            1, 0, answer_kind=OPEN, choices=[], correct_choice_idx=-1, direct_answers=["red", "blue", "red"]
        ),
    ]
    frame = answers_frame([EvaluatedAnswers(0, "", rows)])
    assert frame["right_answer"].tolist() == ["no", "red"]
    assert set(frame["right_letter"]) | set(frame["chosen_letter"]) == {""}


def test_a_question_without_an_id_is_called_by_its_place_as_in_queries() -> None:
    frame = answers_frame([EvaluatedAnswers(0, "", [answered(0, 0, question_id="", idx=7)])])
    assert frame["question_id"].tolist() == ["7"]


def test_hostile_text_stays_text() -> None:
    text = "=HYPERLINK('x') <script>alert(1)</script> {{ 1 }} __import__('os')"
    frame = answers_frame([EvaluatedAnswers(0, "", [answered(0, 0, question=text, model_answer=text)])])
    assert frame.loc[0, "question"] == text and frame.loc[0, "model_answer"] == text
    assert "<script>" not in frame.to_html()


def test_the_comparison_is_question_by_question_over_all_evaluations() -> None:
    found = comparison_frame(
        evaluations([0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]), [Path("a"), Path("b"), Path("c")]
    )
    by_pair = found.groupby(["before", "after"], sort=False)["outcome"].agg(list)
    assert by_pair.to_dict() == {
        ("e1", "e3"): ["fixed", "still right", "fixed", "still right"],
        ("e1", "e2"): ["fixed", "broken", "still wrong", "still right"],
        ("e2", "e3"): ["still right", "fixed", "fixed", "still right"],
    }
    assert found.loc[0, "answer_before"] == "dog" and found.loc[0, "answer_after"] == "cat"
    assert comparison_frame(evaluations([0, 1]), [Path("a")]).empty


def test_evaluations_without_a_common_question_are_named() -> None:
    other = EvaluatedAnswers(2, "e2", [answered(9, 1)])
    with pytest.raises(DataEngineError, match=r"a\.json, b\.json: no all question is in all of them"):
        comparison_frame([*evaluations([0]), other], [Path("a.json"), Path("b.json")])


def test_bad_cases_have_their_outcome_where_it_is_known() -> None:
    frame = bad_cases_frame(evaluations([0, 0, 0]), {1: {"q0": True, "q1": False}})
    assert frame["outcome"].tolist() == ["fixed", "still wrong", ""]


def test_the_costs_of_replies_add_up_to_what_was_paid() -> None:
    ledger = [
        PaidReply(key="k1", usd=0.25), PaidReply(key="k1", usd=0.5), PaidReply(key="k2"), PaidReply(reserved="k3"),
        PaidReply(key="k3", lost_usd=1.0), PaidReply(finished="now"), PaidReply(key="k4", usd=1.0, question_type="ocr"),
    ]  # fmt: skip
    costs = request_costs(ledger)
    assert costs["k1"] == 0.75 and pd.isna(costs["k2"]) and costs.keys() == {"k1", "k2"}
    shared: dict[str, Any] = {
        "image_id": 1,
        "raw_instructions": "…",
        "question_type": "ocr",
        "model": "openai:m",
    }
    replies = [
        Result(query_id="a", request_key="k1", finish_reason="stop", **shared),
        Result(query_id="b", request_key="k1", **shared),  # the very same request
        Result(query_id="c", request_key="k9", **shared),
        Result(query_id="d", **shared | {"model": "annotations"}),
        Failure(query_id="e", request_key="k2", kind="length", reason="cut off", **shared),
    ]
    frame = replies_frame({1: replies}, {1: costs}, {1: {"a": "other.jpg", "e": "5.jpg"}})
    assert frame["cost_usd"].fillna(-1).tolist() == [0.75, 0.0, -1, 0.0, -1]
    assert frame["status"].tolist() == ["answered"] * 4 + ["length"]
    assert frame["image_path"].tolist() == ["", "", "", "", "5.jpg"]  # a failure has that of its query
    assert frame["reason"].tolist()[-1] == "cut off" and frame["finish_reason"].tolist()[0] == "stop"


def test_a_query_names_image_anchor_and_examples() -> None:
    query = Query(
        image_id="0a1b", prompt="…", question_type="ocr", query_id="r-1", anchor_image_id=7, neighbour=True,
        similarity=0.5, example_ids=["q1", "q2"], cause="small signs",
    )  # fmt: skip
    row = queries_frame({3: [query]}).iloc[0]
    assert (row["round"], row["image_id"], row["anchor_image_id"], row["cause"]) == (
        3,
        "0a1b",
        "7",
        "small signs",
    )
    assert row["neighbour"] and row["similarity"] == 0.5 and row["example_ids"] == ["q1", "q2"]


def record(**fields: Any) -> TrainRecord:
    values: dict[str, Any] = {
        "image_id": 1, "raw_instructions": "…", "question_type": "ocr", "question": "Which?", "choices": ["a", "b"],
        "correct_choice_idx": 1,
    }  # fmt: skip
    return TrainRecord(**values | fields)


@pytest.mark.parametrize(
    ("fields", "checks"),
    [
        ({}, []),
        ({"box_check": "supported", "second_answer": 1, "blind_answer": 0}, []),
        ({"box_check": "refuted", "leak": "image 3"}, ["box_check", "leaks"]),
        ({"second_answer": -1, "blind_answer": 1}, ["second_answer", "blind_answer"]),
        ({"second_answer": 0, "student_answer": 0}, ["second_answer", "both_wrong"]),
        ({"choices": [], "correct_choice_idx": -1, "answer_kind": OPEN, "second_answer": 0}, []),
        ({"near_duplicate_of": "r-2"}, ["near_duplicates"]),
    ],
)
def test_the_marks_of_a_record_are_the_checks_that_it_fails(
    fields: dict[str, Any], checks: list[str]
) -> None:
    assert failed_checks(record(**fields)) == checks


def test_records_are_kept_or_dropped_with_a_reason() -> None:
    qas = CuratedQas(
        [record(record_id="r-1", blind_answer=1), record(correct_choice_idx=9)],
        [Reject(line=3, reason="no question", detail="empty", query_id="r-9", image_id=4)],
    )
    frame = records_frame({2: qas})
    assert frame["kept"].tolist() == [True, True, False] and set(frame["round"]) == {2}
    assert frame["marks"].tolist() == [["blind_answer"], [], []]
    assert frame["right_answer"].tolist() == ["b", "", ""]
    assert frame["reason"].tolist() == ["", "", "no question"] and frame["image_id"].tolist()[2] == "4"
    assert frame["blind_answer"].tolist()[0] == 1 and frame["blind_answer"].isna().sum() == 2


def test_accuracies_are_those_of_each_split() -> None:
    rows = [answered(0, 1), answered(1, 0), answered(2, 1, split="diagnose")]
    found = accuracies(rows)
    assert (found["questions"], found["correct"], found["accuracy"]) == (3, 2, pytest.approx(2 / 3))
    assert (found["diagnose_questions"], found["diagnose_accuracy"]) == (1, 1.0)
    assert found["holdout_accuracy"] == 0.5 and 0 < found["holdout_low"] < 0.5 < found["holdout_high"] < 1


def test_bad_cases_of_every_version_are_read(tmp_path: Path) -> None:
    file = write_json(
        tmp_path / "bad_case_aokvqa_classified.json",
        {
            "Image scene": [
                {"question": "Where?", "choices": ["sea", "wood"], "correct_choice_idx": 0, "model_answer": 1,
                 "image_path": "val2017/000000370270.jpg", "idx": "abc"},
                {"prompt": "Question: When?", "image_id": 5},
                "no case",
            ],
            "ocr": [],
        },
    )  # fmt: skip
    warnings: list[str] = []
    where, when = read_bad_case_answers(file, warnings)
    assert (where.question_id, where.model_answer, where.predicted_choice_idx) == ("abc", "wood", 1)
    assert where.question_type == when.question_type == "image_scene"
    assert (when.question, when.question_id) == ("Question: When?", "Image scene[1]")
    assert len(warnings) == 1 and "1 of 3 rows left out" in warnings[0]


def test_a_line_that_a_killed_run_left_is_left_out(tmp_path: Path) -> None:
    file, warnings = tmp_path / "rejects.jsonl", list[str]()
    line = msgspec.json.encode(Reject(line=1, reason="no question"))
    file.write_bytes(line + b"\n" + line[:20])
    assert [row.line for row in read_rows(file, Reject, warnings)] == [1]
    assert "line 2" in warnings[0]
    assert read_rows(tmp_path / "missing.jsonl", Reject, warnings) == [] and len(warnings) == 1
