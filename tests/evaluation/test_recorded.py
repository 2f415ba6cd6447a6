"""Tests of predictions made elsewhere: each format, its join keys, and rows that are reported and never guessed."""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openpyxl import Workbook

from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer
from dataengine_lib.evaluation.recorded.join import read_recorded
from dataengine_lib.questions.reader import QuestionRows, read_question_file

# (id, question, choices, correct); row 1 of the file cannot be used, so places are 0, 2, 3
ASKED: list[tuple[str, str, list[str], int]] = [
    ("q-mouth", "What is in his mouth?", ["toothpick", "food", "popsicle stick", "cigarette"], 3),
    ("q-café", "Où est le café?", ["à gauche", "à droite", "là-haut", "猫"], 0),
    ("q-count", "How many dogs?", ["1", "2", "3", "4"], 1),
]
PLACES = [0, 2, 3]
# the predictions below: right, wrong, right
PICKED = [3, 2, 1]


@pytest.fixture
def rows(tmp_path: Path) -> QuestionRows:
    return question_rows(tmp_path, [asked[0] for asked in ASKED])


def question_rows(folder: Path, ids: list[Any]) -> QuestionRows:
    records: list[dict[str, Any]] = [
        {
            "image_id": 9,
            "question_id": key,
            "question": text,
            "choices": choices,
            "correct_choice_idx": correct,
        }
        for key, (_, text, choices, correct) in zip(ids, ASKED, strict=True)
    ]
    records.insert(
        1, {"image_id": 9, "question_id": "bad", "question": "", "choices": [], "correct_choice_idx": 0}
    )
    file = folder / "questions.json"
    file.write_text(json.dumps(records))
    found = read_question_file(file)
    assert found.places == PLACES
    return found


def write_json(folder: Path, content: Any, name: str = "recorded.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


def choices_of(found: dict[int, StudentAnswer]) -> dict[int, int | None]:
    return {i: answer.choice for i, answer in found.items()}


# --- aokvqa_eval.json


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


# --- lmms-eval sample logs


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


# --- VLMEvalKit tables

HEAD = ["index", "question", "A", "B", "C", "D", "answer", "category", "prediction", "hit"]


def table(keys: list[Any], predictions: list[Any]) -> list[list[Any]]:
    return [
        [key, text, *choices, "ABCD"[correct], "count", prediction, 1]
        for key, (_, text, choices, correct), prediction in zip(keys, ASKED, predictions, strict=True)
    ]


def write_table(folder: Path, suffix: str, lines: list[list[Any]], head: list[str] = HEAD) -> Path:
    file = folder / f"model_dataset{suffix}"
    if suffix == ".xlsx":
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        for line in [head, *lines]:
            sheet.append(line)
        book.save(file)
    else:
        with file.open("w", encoding="utf-8", newline="") as stream:
            delimiter = "\t" if suffix == ".tsv" else ","
            csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([head, *lines])
    return file


SUFFIXES = pytest.mark.parametrize("suffix", [".tsv", ".csv", ".xlsx"])


@SUFFIXES
def test_a_table_joins_on_the_place(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    lines = table(PLACES, ["D", 'It is\nlà-haut, "I\tthink"', "B"])
    found = read_recorded(write_table(tmp_path, suffix, lines[::-1]), rows)
    assert found.answers == {
        0: StudentAnswer(3, [], "D"),
        1: StudentAnswer(None, [], 'It is\nlà-haut, "I\tthink"'),
        2: StudentAnswer(1, [], "B"),
    }
    assert found.format == "VLMEvalKit table, joined on index = place"


@SUFFIXES
def test_a_table_joins_on_ids_before_places(tmp_path: Path, suffix: str) -> None:
    rows = question_rows(tmp_path, [3, 0, 2])
    lines = table([3.0, 0.0, 2.0], ["A", "B", "C"])  # as pandas writes a column with a gap
    found = read_recorded(write_table(tmp_path, suffix, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "VLMEvalKit table, joined on index = question_id"


def test_ids_of_other_questions_do_not_win_over_places(tmp_path: Path) -> None:
    rows = question_rows(tmp_path, [3, 0, 2])
    found = read_recorded(write_table(tmp_path, ".tsv", table(PLACES, ["A", "B", "C"])), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert found.format == "VLMEvalKit table, joined on index = place"


def test_numbers_and_formulas_of_a_workbook_are_values(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["=1+1", "B", 2])
    lines[2][2:6] = [1, 2.0, 3, 4]  # the options as numbers
    found = read_recorded(write_table(tmp_path, ".xlsx", lines), rows)
    assert found.answers[0] == StudentAnswer(None, [], "=1+1")  # a formula that was never computed
    assert found.answers[2] == StudentAnswer(1, [], "2")


def test_options_that_a_table_made_floats_are_the_same(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["D", "A", "2"])
    lines[2][2:6] = ["1.0", "2.0", "3.0", "4.0"]
    assert read_recorded(write_table(tmp_path, ".tsv", lines), rows).answers[2] == StudentAnswer(1, [], "2")
    lines[2][2:6] = ["1.0", "2.5", "3.0", "4.0"]
    assert read_recorded(write_table(tmp_path, ".tsv", lines), rows).missing == [2]


@pytest.mark.parametrize(
    ("given", "own", "same"),
    [
        ("1.5", "1.50", True),
        ("1e-05", "0.00001", True),
        ("7", "007", True),
        ("0.5", ".5", True),
        ("", "None", True),
        ("", "nan", True),
        ("None", "", True),
        ("1.5", "1.05", False),
        ("", "no", False),
        ("None", "no", False),
        ("1,5", "15", False),
    ],
)
def test_options_as_pandas_writes_them(
    tmp_path: Path, rows: QuestionRows, given: str, own: str, same: bool
) -> None:
    for place in (1, 3):  # in the middle, and last, where an empty cell is no option
        lines = table(PLACES, ["D", "A", "B"])
        lines[2][2 + place] = given
        rows.questions[2].choices = [own if i == place else choice for i, choice in enumerate(ASKED[2][2])]
        rows.questions[2].choices = (
            [*filter(None, rows.questions[2].choices)] if place == 3 else rows.questions[2].choices
        )
        rows.questions[2].correct_choice_idx = 0
        lines[2][6] = "A"
        found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
        assert (2 in found.answers) is same


def test_the_answer_in_a_table_must_agree_with_the_question_file(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["D", "A", "B"])
    lines[0][6], lines[1][6] = "C", ""
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert choices_of(found.answers) == {1: 0, 2: 1}
    reason = "answer 'C' is not the question file's answer: other questions or another order?"
    assert [(one.row, one.reason) for one in found.unmatched] == [("row 2", reason)]


def test_ids_that_pandas_made_floats_are_the_same_on_both_sides(tmp_path: Path) -> None:
    """Three equal questions that only their ids tell apart."""
    heading = "index\tquestion\tA\tB\tanswer\timage_path\n"
    file = tmp_path / "questions.tsv"
    file.write_text(heading + "".join(f"{n}.0\tWhich?\tx\ty\tA\t{n}.jpg\n" for n in (2, 0, 1)))
    head = ["index", "question", "A", "B", "answer", "prediction"]
    lines = [[f"{n}.0", "Which?", "x", "y", "A", "AB"[n == 2]] for n in range(3)]
    found = read_recorded(write_table(tmp_path, ".tsv", lines, head), read_question_file(file))
    assert choices_of(found.answers) == {0: 1, 1: 0, 2: 0}
    assert found.format == "VLMEvalKit table, joined on index = question_id"
    predictions = write_json(tmp_path, {"2.0": {"multiple_choice": "y"}})
    assert choices_of(read_recorded(predictions, read_question_file(file)).answers) == {0: 1}
    file.write_text(heading + "5\tWhich?\tx\ty\tA\t1.jpg\n5.0\tWhich?\tx\ty\tA\t2.jpg\n")
    (twice,) = read_question_file(file).skipped
    assert (twice.row, twice.reason) == ("row 3", "index 5 occurs twice, first in row 2")


def test_a_file_for_more_questions_is_allowed(tmp_path: Path, rows: QuestionRows) -> None:
    lines = [
        *table(PLACES, ["D", "A", "B"]),
        *([str(n), *table(PLACES, ["D"] * 3)[0][1:]] for n in range(9, 99)),
    ]
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert len(found.answers) == 3 and not found.unmatched and len(found.surplus) == 90
    assert found.format.endswith(
        "joined on index = place; rows about none of the questions: 90 (first: row 5)"
    )
    with pytest.raises(DataEngineError, match="none of its 90 rows answers a question"):
        read_recorded(write_table(tmp_path, ".tsv", lines[3:]), rows)


def test_a_quote_that_never_ends_does_not_swallow_rows(tmp_path: Path, rows: QuestionRows) -> None:
    file = write_table(tmp_path, ".tsv", table(PLACES, ["A", "B", "C"]))
    file.write_text(file.read_text(encoding="utf-8") + '0\t"never ends\n', encoding="utf-8")
    with pytest.raises(DataEngineError, match=r"row 5: a quotation mark opens a cell"):
        read_recorded(file, rows)


def test_case_white_space_and_composition_do_not_matter(tmp_path: Path, rows: QuestionRows) -> None:
    lines = table(PLACES, ["a", "b", "c"])
    lines[1][1] = "OU\u0300  est le\ncafe\u0301? "
    lines[1][2] = " A\u0300 gauche"
    found = read_recorded(write_table(tmp_path, ".tsv", lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("ours", [True, False])
def test_a_hint_may_stand_before_the_question(tmp_path: Path, rows: QuestionRows, ours: bool) -> None:
    hint = "He is on a motorbike."
    line = [hint, *table(PLACES, ["A", "B", "C"])[0]]
    if ours:
        rows.questions[0].question = f"{hint}\n{ASKED[0][1]}"
    else:
        line[2] = f"{hint} {line[2]}"
    assert choices_of(
        read_recorded(write_table(tmp_path, ".tsv", [line], ["hint", *HEAD]), rows).answers
    ) == {0: 0}
    line[0] = "It is dark."
    with pytest.raises(DataEngineError, match="row 2: question"):
        read_recorded(write_table(tmp_path, ".tsv", [line], ["hint", *HEAD]), rows)


@SUFFIXES
def test_each_fault_of_a_table_is_named(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    good = table(PLACES, ["A", "B", "C"])
    other, order, gap, far, none = ([*good[0]] for _ in range(5))
    other[1] = "What is in her mouth?"
    order[2:4] = order[3:1:-1]
    gap[3] = ""
    far[0] = 1000000
    none[0] = ""
    lines = [other, order, gap, far, none, [""] * len(HEAD), *good, [*good[2]]]
    found = read_recorded(write_table(tmp_path, suffix, lines), rows)
    assert choices_of(found.answers) == {0: 0, 1: 1, 2: 2}
    assert [(one.row, one.kind) for one in found.unmatched] == [
        ("row 2", "another question"),
        ("row 3", "other choices"),
        ("row 4", "other choices"),
        ("row 6", "no key"),
        ("row 11", "answered twice"),
    ]
    assert [one.row for one in found.surplus] == ["row 5"]


def test_a_table_of_other_questions_is_an_error_with_the_first_reason(
    tmp_path: Path, rows: QuestionRows
) -> None:
    lines = table(PLACES, ["A", "B", "C"])
    for line in lines:
        line[1] = "Another\nquestion? " + "long " * 30
    with pytest.raises(DataEngineError) as caught:
        read_recorded(write_table(tmp_path, ".xlsx", lines), rows)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/model_dataset.xlsx: row 2: question 'Another\\nquestion? long ")
    assert "none of its 3 rows" in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(tmp_path))


# --- no format

QUESTIONS = [{"question_id": "q-mouth", "question": "?", "choices": ["a", "b"], "correct_choice_idx": 0}]
UNKNOWN: list[tuple[str, bytes]] = [
    ("q.json", json.dumps(QUESTIONS).encode()),
    ("q.json", b"[]"),
    ("q.json", b"{}"),
    ("q.json", b'{"image_scene": [{"question": "?"}]}'),
    ("q.json", b"5"),
    ("q.json", b"{"),
    ("q.json", b'{"\xff": {"multiple_choice": "a"}}'),
    ("q.json", b"[" * 100_000),
    ("q.jsonl", b""),
    ("q.jsonl", b'{"question": "?"}\n'),
    ("q.tsv", b""),
    ("q.tsv", b"index\tquestion\tA\tB\n0\t?\ta\tb\n"),
    ("q.tsv", b"index\tquestion\tA\tB\tprediction\n"),
    ("q.csv", b'index,question,A,B,prediction\n0,"?,a,b,A\n'),
    ("q.csv", "index,question,A,B,prediction\n0,é,a,b,A\n".encode("latin-1")),
    ("q.xlsx", b"no workbook"),
    ("q.xlsx", b"PK\x05\x06" + b"\0" * 18),
    ("q.xls", b"\xd0\xcf\x11\xe0"),
    ("q.txt", b"A\n"),
]


@pytest.mark.parametrize(("name", "content"), UNKNOWN)
def test_an_unknown_format_is_one_line(tmp_path: Path, rows: QuestionRows, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataEngineError) as caught:
        read_recorded(file, rows)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_the_formats_that_are_read_are_named(tmp_path: Path, rows: QuestionRows) -> None:
    file = tmp_path / "q.txt"
    file.write_text("A")
    with pytest.raises(DataEngineError, match=r"aokvqa_eval\.json, A-OKVQA .* lmms-eval .* VLMEvalKit table"):
        read_recorded(file, rows)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".tsv", ".xlsx", ".txt"])
def test_a_missing_file_says_so(tmp_path: Path, rows: QuestionRows, suffix: str) -> None:
    with pytest.raises(
        DataEngineError, match=r"cannot be read \(No such file or directory\); check the path"
    ):
        read_recorded(tmp_path / f"none{suffix}", rows)
