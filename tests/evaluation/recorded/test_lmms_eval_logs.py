"""Predictions in sample logs of lmms-eval: joined by their docs, scores and texts read, other questions named."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from predictions.recorded_questions import ASKED, PLACES, choices_of, question_rows

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows


def write_log(folder: Path, lines: list[Any], tail: str = "") -> Path:
    file = folder / "20261020_samples_aokvqa.jsonl"
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    file.write_text(text + tail, encoding="utf-8")
    return file


def sample(i: int, answer: Any, **more: Any) -> dict[str, Any]:
    return {"doc_id": PLACES[i], "target": "ABCD"[ASKED[i][3]], "filtered_resps": answer, "acc": 1.0, **more}


@pytest.mark.parametrize("shape", [lambda text: [text], lambda text: text, lambda text: [[text]]])
def test_written_answers_join_on_the_place(tmp_path: Path, rows: QuestionRows, shape: Any) -> None:
    lines = [sample(2, shape("(B) 2")), sample(0, shape("D")), sample(1, shape("là-haut"))]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert found.answers == {
        0: StudentAnswer(3, [], "D"),
        1: StudentAnswer(2, [], "là-haut"),
        2: StudentAnswer(1, [], "(B) 2"),
    }
    assert found.format == "lmms-eval samples (written answers), joined on doc_id = place"


def test_attempts_that_name_different_options_count_as_cannot_tell(
    tmp_path: Path, rows: QuestionRows
) -> None:
    lines = [sample(0, ["D", "A"]), sample(1, ["B", "(B) à droite"]), sample(2, [""], resps=[["B"]])]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert choices_of(found.answers) == {0: None, 1: 1, 2: None}
    assert found.answers[0].written == "D\nA"


def test_responses_stand_in_where_nothing_was_filtered(tmp_path: Path, rows: QuestionRows) -> None:
    line = {"doc_id": 0, "target": "D", "resps": [["A"]]}
    assert read_recorded(write_log(tmp_path, [line]), rows).answers == {0: StudentAnswer(0, [], "A")}


LIKELIHOODS = [-3.0, -1.5, -1.5, -2.0]
AS_TEXT = [[str(number), "False"] for number in LIKELIHOODS]


@pytest.mark.parametrize(
    "given", [AS_TEXT, [[pair] for pair in AS_TEXT], [AS_TEXT], [[number, False] for number in LIKELIHOODS]]
)
def test_the_best_likelihood_wins_and_the_first_of_equals(
    tmp_path: Path, rows: QuestionRows, given: Any
) -> None:
    found = read_recorded(write_log(tmp_path, [sample(0, given)]), rows)
    assert found.answers == {0: StudentAnswer(1, LIKELIHOODS, "food")}
    assert found.format.startswith("lmms-eval samples (log-likelihoods)")
    assert found.missing == [1, 2]


def test_losses_become_negative_scores(tmp_path: Path, rows: QuestionRows) -> None:
    losses = [[str(-number), "True"] for number in LIKELIHOODS]
    lines = [sample(0, losses), sample(1, [["0.0", "True"], ["2", "False"], ["2", "False"], ["2", "False"]])]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert found.answers[0] == StudentAnswer(1, LIKELIHOODS, "food")
    assert found.answers[1] == StudentAnswer(0, [0.0, -2.0, -2.0, -2.0], "à gauche")
    assert found.format.startswith("lmms-eval samples (losses, the lowest wins)")


def test_numbers_of_both_signs_are_refused(tmp_path: Path, rows: QuestionRows) -> None:
    mixed = sample(0, [["-1", "True"], ["1", "False"], ["1", "False"], ["1", "False"]])
    with pytest.raises(DataEngineError, match="above and below 0"):
        read_recorded(write_log(tmp_path, [mixed]), rows)


def test_missing_likelihoods_are_no_match_and_nan_is_cannot_tell(tmp_path: Path, rows: QuestionRows) -> None:
    broken = [["nan", "False"], *AS_TEXT[1:]]
    found = read_recorded(write_log(tmp_path, [sample(0, AS_TEXT[:3]), sample(1, broken)]), rows)
    assert found.answers == {1: StudentAnswer(None, [], "[nan, -1.5, -1.5, -2.0]")}
    assert [(one.row, one.reason) for one in found.unmatched] == [
        ("line 1", "3 likelihoods for 4 choices: other questions?")
    ]


def test_a_docs_own_id_is_taken_before_its_place(tmp_path: Path, rows: QuestionRows) -> None:
    lines = [
        {"doc_id": place, "target": "", "filtered_resps": [letter], "doc": {"question_id": key}}
        for place, letter, key in [(3, "A", "q-mouth"), (0, "B", "q-café"), (2, "C", "q-count")]
    ]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "lmms-eval samples (written answers), joined on doc.question_id = question_id"


@pytest.mark.parametrize(("ids", "index"), [([7, 8, 9], [7, 8, 9]), (["x", "y", "z"], PLACES)])
def test_a_docs_index_is_an_id_or_a_place(tmp_path: Path, ids: list[Any], index: list[int]) -> None:
    rows = question_rows(tmp_path, ids)
    lines = [
        sample(i, ["A"], doc_id=100 + i, doc={"index": index[i], "question": ASKED[i][1]}) for i in range(3)
    ]
    found = read_recorded(write_log(tmp_path, lines[::-1]), rows)
    assert choices_of(found.answers) == {0: 0, 1: 0, 2: 0}
    to = "question_id" if index == ids else "place"
    assert found.format == f"lmms-eval samples (written answers), joined on doc.index = {to}"


def test_an_index_is_an_id_or_a_place_whichever_matches_more_rows(tmp_path: Path) -> None:
    """Ids from 2 on and an index from 0 on: as an id, the index would match two of three rows."""
    rows = question_rows(tmp_path, [2, 3, 4])
    lines = [
        {"doc_id": 50 + i, "target": "", "filtered_resps": ["ABC"[i]], "doc": {"index": place}}
        for i, place in enumerate(PLACES)
    ]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "lmms-eval samples (written answers), joined on doc.index = place"


def test_one_key_is_used_for_the_whole_file(tmp_path: Path) -> None:
    """Ids that are also places: the id is used; a line without an id is not joined on its place instead."""
    rows = question_rows(tmp_path, [3, 0, 2])
    lines = [
        {"doc_id": 0, "target": "", "filtered_resps": ["A"], "doc": {"question_id": 0}},
        {"doc_id": 2, "target": "", "filtered_resps": ["B"], "doc": {"question_id": 2}},
        {"doc_id": 3, "target": "", "filtered_resps": ["C"], "doc": {"question_id": 3}},
        {"doc_id": 3, "target": "", "filtered_resps": ["D"], "doc": {}},
    ]
    found = read_recorded(write_log(tmp_path, lines[:3]), rows)
    assert choices_of(found.answers) == {0: 2, 1: 0, 2: 1}
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert choices_of(found.answers) == {0: 2, 1: 0, 2: 1}
    assert [(one.row, one.reason) for one in found.unmatched] == [("line 4", "has no doc.question_id")]


READABLE = ["D", "(D)", "d.", "cigarette", " Cigarette ", "D. cigarette", "(D) cigarette", "3", 3, ["D"]]


@pytest.mark.parametrize("target", [*READABLE, None, "", "['smoke', 'cig']", "None"])
def test_a_target_that_agrees_or_says_nothing_is_accepted(
    tmp_path: Path, rows: QuestionRows, target: Any
) -> None:
    assert 0 in read_recorded(write_log(tmp_path, [sample(0, ["A"], target=target)]), rows).answers


@pytest.mark.parametrize("target", ["A", "(b)", "food", "A. toothpick", "A. cigarette", "D. food", "0", 2])
def test_a_target_that_is_not_the_answer_is_no_match(tmp_path: Path, rows: QuestionRows, target: Any) -> None:
    lines = [sample(0, ["A"], target=target), sample(1, ["A"])]
    found = read_recorded(write_log(tmp_path, lines), rows)
    assert choices_of(found.answers) == {1: 0}
    assert [(one.row, one.kind) for one in found.unmatched] == [("line 1", "another answer")]
    assert found.unmatched[0].reason == (
        f"target {str(target)!r} is not the question file's answer: other questions or another order?"
    )


def test_a_log_in_another_order_is_an_error(tmp_path: Path, rows: QuestionRows) -> None:
    lines = [{**sample(i, ["A"]), "doc_id": PLACES[(i + 1) % 3]} for i in range(3)]
    file = write_log(tmp_path, lines)
    with pytest.raises(DataEngineError) as caught:
        read_recorded(file, rows)
    assert str(caught.value) == (
        f"{file}: line 1: target 'D' is not the question file's answer: other questions or another order?; "
        "none of its 3 rows answers a question of the question file, give predictions of the same questions"
    )


def test_a_doc_of_another_question_or_order_is_no_match(tmp_path: Path, rows: QuestionRows) -> None:
    docs = [
        {"question": "What is this?"},
        {"choices": ["猫", "à droite", "là-haut", "à gauche"]},
        {"question": "Look.\nHOW MANY  dogs? A. 1 B. 2", "choices": ["1", "2", "3", "4"]},
    ]
    found = read_recorded(
        write_log(tmp_path, [sample(i, ["A"], doc=doc) for i, doc in enumerate(docs)]), rows
    )
    assert choices_of(found.answers) == {2: 0}
    assert [one.kind for one in found.unmatched] == ["another question", "other choices"]


def test_an_incomplete_last_line_and_other_bad_lines_are_named(tmp_path: Path, rows: QuestionRows) -> None:
    lines = ["{torn", '{"doc_id": 0}', "[1]", "", sample(0, ["A"], acc=float("nan")), sample(0, ["B"])]
    found = read_recorded(write_log(tmp_path, lines, tail='{"doc_id": 2, "target": "A", "filte'), rows)
    assert choices_of(found.answers) == {0: 0}
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("line 1", "malformed row"),
        ("line 2", "malformed row"),
        ("line 3", "malformed row"),
        ("line 6", "answered twice"),
        ("line 7", "malformed row"),
    ]


def test_half_a_surrogate_pair_can_be_written_later(tmp_path: Path, rows: QuestionRows) -> None:
    found = read_recorded(write_log(tmp_path, [sample(0, ["\ud800 food"])]), rows)
    assert found.answers[0] == StudentAnswer(1, [], "\ufffd food")
    msgspec.json.encode(found.answers[0])
