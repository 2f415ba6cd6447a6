"""Tests of yes/no and open-ended question files: MME, POPE, VQAv2, OK-VQA, VizWiz and GQA as they are published."""

import json
from pathlib import Path
from typing import Any

import pytest
from question_tables import JPEG

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import NO_ANSWER, OPEN, YES_NO, Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import read_question_file, read_questions


def written(file: Path, content: Any) -> Path:
    """A JSON file; a tuple of rows becomes JSON lines."""
    if isinstance(content, tuple):
        file.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    else:
        file.write_text(json.dumps(content), encoding="utf-8")
    return file


POPE = (
    {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a dog in the image?", "label": "yes"},
    {"question_id": 2, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a car in the image?", "label": "no"},
)  # fmt: skip


def test_pope_as_published(tmp_path: Path) -> None:
    first, second = read_questions(written(tmp_path / "coco_pope_random.json", POPE))
    assert (first.answer_kind, first.choices, first.correct_choice_idx) == (YES_NO, ["yes", "no"], 0)
    assert (second.correct_choice_idx, second.question) == (1, "Is there a car in the image?")
    assert (first.image_id, first.question_id) == (310196, "1")


def test_pope_and_mme_as_documents_of_lmms_eval(tmp_path: Path) -> None:
    pope = {"id": "0", "question_id": "1", "question": "Is there a dog?", "answer": "no",
            "image_source": "COCO_val2014_000000310196", "image": None, "category": "adversarial"}  # fmt: skip
    (found,) = read_questions(written(tmp_path / "pope.jsonl", (pope,)))
    assert (found.image_id, found.question_type, found.correct_choice_idx) == (310196, "adversarial", 1)
    name = "code_reasoning/0020.png"
    mme = tuple(
        {"question_id": name, "image": None, "question": f"Is it {word}? Please answer yes or no.",
         "answer": answer, "category": "code_reasoning"}
        for word, answer in (("1", "Yes"), ("2", "No"))
    )  # fmt: skip
    pair = read_questions(written(tmp_path / "mme.jsonl", mme))
    assert [row.question_id for row in pair] == [f"{name}-1", f"{name}-2"]
    assert {row.image_path for row in pair} == {name}
    assert [row.correct_choice_idx for row in pair] == [0, 1]
    with_repeat = read_question_file(written(tmp_path / "mme.jsonl", (*mme, mme[0])))
    assert len(with_repeat.skipped) == 2


def table(folder: Path, name: str, heading: str, *rows: list[str]) -> Path:
    lines = [heading.replace(" ", "\t"), *("\t".join(row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_mme_as_vlmevalkit_publishes_it(tmp_path: Path) -> None:
    file = table(
        tmp_path, "MME.tsv", "index image_path question answer category",
        ["0", "a.png", "Is it red?", "Yes", "color"], ["1", "a.png", "Is it blue?", "No", "color"],
    )  # fmt: skip
    first, second = read_questions(file)
    assert (first.answer_kind, first.question_type, first.image_path) == (YES_NO, "color", "a.png")
    assert [first.correct_choice_idx, second.correct_choice_idx] == [0, 1]


def test_images_inside_a_table_without_options_are_unpacked(tmp_path: Path) -> None:
    import base64

    picture = base64.b64encode(JPEG).decode()
    file = table(
        tmp_path, "POPE.tsv", "index image question answer category",
        ["0", picture, "Is there a dog?", "Yes", "adversarial,popular"], ["1", "0", "Is there a cat?", "No", "random"],
    )  # fmt: skip
    first, second = read_questions(file, tmp_path / "images")
    assert first.image_path == second.image_path
    assert (tmp_path / "images" / first.image_path).read_bytes() == JPEG


def test_tables_with_one_answer_and_with_ten(tmp_path: Path) -> None:
    gqa = table(
        tmp_path, "GQA.tsv", "index image_path question answer",
        ["1", "a.jpg", "Is it red?", "yes"], ["2", "a.jpg", "What is it?", "car"], ["3", "b.jpg", "Who?", "man"],
    )  # fmt: skip
    assert [row.direct_answers for row in read_questions(gqa)] == [["yes"], ["car"], ["man"]]
    ten = ["unanswerable"] * 6 + ["dog"] * 4
    vizwiz = table(
        tmp_path, "VizWiz.tsv", "index image_path question answers", ["1", "a.jpg", "What?", str(ten)]
    )
    (found,) = read_questions(vizwiz)
    assert (found.answer_kind, found.choices, found.correct_choice_idx) == (OPEN, [], NO_ANSWER)
    assert found.direct_answers == ten


def test_an_odd_answer_in_a_yes_no_file_is_a_faulty_row(tmp_path: Path) -> None:
    rows = tuple({**POPE[0], "question_id": n, "label": "maybe" if n == 3 else "yes"} for n in range(9))
    found = read_question_file(written(tmp_path / "pope.json", rows))
    assert len(found.questions) == 8
    assert found.skipped[0].reason == "answer 'maybe' is neither yes nor no"


QUESTIONS = {
    "info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": "val2014", "license": {},
    "questions": [
        {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000},
        {"image_id": 262149, "question": "Is it red?", "question_id": 262149000},
    ],
}  # fmt: skip


def answers(*texts: str) -> list[dict[str, Any]]:
    return [{"answer": t, "answer_confidence": "yes", "answer_id": n} for n, t in enumerate(texts, 1)]


ANNOTATIONS = {
    "info": {}, "data_type": "mscoco", "data_subtype": "val2014", "license": {},
    "annotations": [
        {"question_type": "is it", "multiple_choice_answer": "yes", "answers": answers(*["yes"] * 10),
         "image_id": 262149, "answer_type": "yes/no", "question_id": 262149000},
        {"question_type": "where is", "multiple_choice_answer": "down", "answers": answers(*["down"] * 9, "at table"),
         "image_id": 262148, "answer_type": "other", "question_id": 262148000},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"),
        ("OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json"),
        ("my_questions.json", "my_annotations.json"),
    ],
)
def test_vqav2_and_ok_vqa_from_either_of_their_files(tmp_path: Path, asked: str, answered: str) -> None:
    file, other = written(tmp_path / asked, QUESTIONS), written(tmp_path / answered, ANNOTATIONS)
    found = read_questions(file)
    assert found == read_questions(other)
    assert [row.answer_kind for row in found] == [OPEN, OPEN]  # also a yes/no question has ten answers
    assert found[0].direct_answers == ["down"] * 9 + ["at table"]
    assert (found[0].question_id, found[0].image_id, found[0].question_type) == (
        "262148000",
        262148,
        "where_is",
    )
    assert [row.question_type for row in read_questions(file, type_field="answer_type")] == [
        "other",
        "yes/no",
    ]


def test_the_codes_of_ok_vqa_s_types_are_replaced_by_their_names(tmp_path: Path) -> None:
    rows = [{**row, "question_type": "one"} for row in ANNOTATIONS["annotations"]]
    content = ANNOTATIONS | {"annotations": rows, "question_types": {"one": "Vehicles and Transportation"}}
    written(tmp_path / "mscoco_val2014_annotations.json", content)
    file = written(tmp_path / "OpenEnded_mscoco_val2014_questions.json", QUESTIONS)
    assert {row.question_type for row in read_questions(file)} == {"vehicles_and_transportation"}


def test_a_missing_file_of_answers_is_named_but_a_test_split_has_none(tmp_path: Path) -> None:
    file = written(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", QUESTIONS)
    with pytest.raises(DataEngineError, match=r"beside it, v2_mscoco_val2014_annotations\.json"):
        read_questions(file)
    alone = written(tmp_path / "v2_mscoco_val2014_annotations.json", ANNOTATIONS)
    file.unlink()
    with pytest.raises(DataEngineError, match=r"beside it, v2_OpenEnded_mscoco_val2014_questions\.json"):
        read_questions(alone)
    test = written(tmp_path / "test_questions.json", QUESTIONS | {"data_subtype": "test2015"})
    content = read_question_file(test, unanswered=True)
    assert content.unanswered and len(content.questions) == 2
    assert read_question_file(test).skipped[0].kind == "no accepted answer"


def test_a_question_without_its_annotation_and_a_broken_row_are_left_out(tmp_path: Path) -> None:
    asked = [*QUESTIONS["questions"], {"image_id": 1, "question": "Why?", "question_id": 5}, {"question": 3}]
    written(tmp_path / "a_annotations.json", ANNOTATIONS)
    found = read_question_file(
        written(tmp_path / "a_questions.json", QUESTIONS | {"questions": asked}), unanswered=True
    )
    assert len(found.questions) == 2
    assert [(row.row, row.kind) for row in found.skipped] == [
        ("questions[2]", "no accepted answer"),
        ("questions[3]", "malformed row"),
    ]


def test_vizwiz_as_published(tmp_path: Path) -> None:
    rows = [
        {"image": f"VizWiz_val_0000000{n}.jpg", "question": "What is this?", "answer_type": "unanswerable",
         "answerable": 0, "answers": [{"answer_confidence": "no", "answer": "unsuitable"}] * 10}
        for n in range(2)
    ]  # fmt: skip
    first, second = read_questions(written(tmp_path / "val.json", rows))
    assert first.question_id != second.question_id
    assert (first.image_path, first.question_type) == ("VizWiz_val_00000000.jpg", "unanswerable")
    assert first.direct_answers == ["unsuitable"] * 10


def test_gqa_as_published(tmp_path: Path) -> None:
    content = {
        f"0{n}": {"question": text, "imageId": "n161313", "answer": answer, "fullAnswer": "Yes.", "isBalanced": True,
                  "types": {"structural": "query", "semantic": "rel", "detailed": "relS"}}
        for n, (text, answer) in enumerate([("Is it red?", "yes"), ("What is it?", "car"), ("Which?", "left")])
    }  # fmt: skip
    found = read_questions(written(tmp_path / "testdev_balanced_questions.json", content))
    assert [row.question_id for row in found] == ["00", "01", "02"]
    assert [row.direct_answers for row in found] == [["yes"], ["car"], ["left"]]
    assert {(row.image_path, row.question_type) for row in found} == {("n161313.jpg", "relation")}


def test_what_step_0_writes_is_read_back(tmp_path: Path) -> None:
    questions = [*read_questions(written(tmp_path / "p.json", POPE))]
    questions += [
        Question(question="What?", choices=[], correct_choice_idx=-1, direct_answers=["cat"], image_id=3,
                 question_id="o", answer_kind=OPEN)
    ]  # fmt: skip
    file = write_json(tmp_path / "classified.json", {"color": questions})
    read = read_questions(file)
    assert [(row.answer_kind, row.choices, row.direct_answers) for row in read] == [
        (row.answer_kind, row.choices, row.direct_answers) for row in questions
    ]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"answer_kind": "essay"}, "unknown answer_kind"),
        ({"answer_kind": "open", "direct_answers": []}, "no accepted answer"),
        ({"answer_kind": "open", "choices": ["a", "b"]}, "unusable choices"),
        ({"answer_kind": "yes_no", "choices": ["yes", "no"], "correct_choice_idx": 2}, "index outside the choices"),
    ],
)  # fmt: skip
def test_rows_with_a_kind_that_cannot_be_used(tmp_path: Path, changed: dict[str, Any], kind: str) -> None:
    row = {"question": "What?", "image_id": 1, "choices": [], "direct_answers": ["cat"], **changed}
    assert read_question_file(written(tmp_path / "q.json", [row])).skipped[0].kind == kind


@pytest.mark.parametrize("choices", [["no", "yes"], ["yes", "no", "maybe"], ["true", "false"]])
def test_a_yes_no_question_has_the_choices_yes_and_no_in_this_order(
    tmp_path: Path, choices: list[str]
) -> None:
    row = {"question": "Is it?", "image_id": 1, "correct_choice_idx": 0, "answer_kind": "yes_no"}
    rows = [row | {"choices": choices}, row | {"choices": ["Yes", "No"]}]
    found = read_question_file(written(tmp_path / "q.json", rows))
    assert [one.choices for one in found.questions] == [["Yes", "No"]]
    assert [(one.kind, one.reason) for one in found.skipped] == [
        ("unusable choices", "a yes/no question has the choices yes and no, in this order")
    ]


def test_answers_that_are_letters_are_not_open_answers(tmp_path: Path) -> None:
    rows = [{"question": "What?", "image": "a.jpg", "answer": letter} for letter in "ABCD"]
    found = read_question_file(written(tmp_path / "q.json", rows))
    assert found.questions == [] and "choices" in found.skipped[0].reason
