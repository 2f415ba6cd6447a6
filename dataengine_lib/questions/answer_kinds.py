"""Steps 0, 1, 2 and 5: rows of question files without options: yes/no questions (MME, POPE) and open-ended ones (VQAv2)."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dataengine_lib.core.records import LETTERS, OPEN, YES_NO
from dataengine_lib.core.text import answer_key, shown
from dataengine_lib.questions.rows import RowFault

YES_NO_CHOICES = ("yes", "no")
# Least share of a file's answers that are yes or no for its questions to be yes/no questions: in MME and POPE all are,
# in GQA and VQAv2, which are open-ended, a third.
_YES_NO_SHARE = 0.8
_LETTER_SHARE = (
    0.8  # of a file's answers that are a single letter: its options are there under an unknown name
)
# keys of the accepted answers: VQAv2, OK-VQA, VizWiz; GQA, MME; POPE; A-OKVQA
_ANSWERS = ("answers", "answer", "label", "direct_answers")
_QUESTION_IDS = ("question_id", "id", "index")
_TYPES = ("question_type", "category", "answer_type")
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def is_bare(row: Mapping[str, Any]) -> bool:
    """Whether a row is a question with an answer and no options: its kind is then that of the file."""
    named = ("choices", "options", "correct_choice_idx", "answer_kind", "A")
    return (
        isinstance(row.get("question", row.get("text")), str)
        and all(row.get(key) is None for key in named)
        and any(row.get(key) not in (None, "") for key in _ANSWERS)
    )


def accepted_answers(given: Any) -> list[str] | RowFault:
    """The accepted answers in a row, as texts: one, a list, or a list of `{answer: text}`; none where there are none."""
    if isinstance(given, list):
        parts = [one.get("answer") if isinstance(one, dict) else one for one in given]
    else:
        parts = [] if given in (None, "") else [given]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in parts):
        return "unusable answers", f"answers {shown(given)} are not texts"
    return [str(one) for one in parts]


def own_answers(row: Mapping[str, Any]) -> list[str] | RowFault:
    """The accepted answers of a JSON row, under the first of the usual keys that has some."""
    return accepted_answers(next((row[key] for key in _ANSWERS if row.get(key) not in (None, "")), None))


def is_yes_no(answers: Iterable[list[str] | RowFault]) -> bool:
    """Whether the questions with these accepted answers are yes/no questions: most have one answer, yes or no."""
    given = [row for row in answers if isinstance(row, list) and row]
    return bool(given) and sum(map(_yes_or_no, given)) >= _YES_NO_SHARE * len(given)


def are_letters(answers: Iterable[list[str] | RowFault]) -> bool:
    """Whether most accepted answers are the letter of an option: then the questions have options, and are not open."""
    given = [row for row in answers if isinstance(row, list) and row]
    letters = sum(len(row) == 1 and row[0].strip("(). ").upper() in {*LETTERS} for row in given)
    return bool(given) and letters >= _LETTER_SHARE * len(given)


def _yes_or_no(answers: list[str]) -> bool:
    return len(answers) == 1 and answer_key(answers[0]) in YES_NO_CHOICES


def kind_fields(answers: list[str] | RowFault, yes_no: bool) -> dict[str, Any] | RowFault:
    """The fields of a question without options that its accepted answers decide; `yes_no` is of the whole file."""
    if isinstance(answers, tuple):
        return answers
    if not yes_no:
        return {"choices": [], "correct_choice_idx": None, "direct_answers": answers, "answer_kind": OPEN}
    right = None
    if answers:
        if not _yes_or_no(answers):
            return "wrong answer letter", f"answer {shown(answers[0])} is neither yes nor no"
        right = YES_NO_CHOICES.index(answer_key(answers[0]))
    return {
        "choices": [*YES_NO_CHOICES],
        "correct_choice_idx": right,
        "direct_answers": [],
        "answer_kind": YES_NO,
    }


def without_options(row: Mapping[str, Any], yes_no: bool) -> dict[str, Any] | RowFault:
    """A JSON row without options in A-OKVQA's fields; `yes_no` is of the whole file.

    Source: POPE's published lines, VizWiz's annotations, GQA's questions, and the documents of lmms-eval's data sets.
    """
    fields = kind_fields(own_answers(row), yes_no)
    if isinstance(fields, tuple):
        return fields
    question_id = next((row[key] for key in _QUESTION_IDS if row.get(key) not in (None, "")), None)
    found = {
        "question": row.get("question", row.get("text")),
        "image_id": row.get("image_id"),
        "image_path": _image_path(row, question_id),
        "question_id": question_id,
        "question_type": next((row[key] for key in _TYPES if row.get(key)), _gqa_type(row.get("types"))),
        "split": row.get("split"),
        "rationales": row.get("rationales"),
        "prompt": row.get("prompt"),
        "teacher_type": row.get("teacher_type"),
        "difficult_direct_answer": row.get("difficult_direct_answer"),
    }
    if isinstance(row.get("image_source"), str) and not found["image_path"] and found["image_id"] is None:
        found["image_id"] = row["image_source"]  # lmms-eval's POPE: COCO_val2014_000000310196
    return found | fields


def _image_path(row: Mapping[str, Any], question_id: Any) -> Any:
    if row.get("image_path"):
        return row["image_path"]
    if isinstance(row.get("image"), str):
        return row["image"]
    if row.get("imageId") is not None:  # GQA: 2375429 and n161313, whose files are .jpg
        return f"{row['imageId']}.jpg"
    # lmms-eval's MME names a question after its image: code_reasoning/0020.png
    named = isinstance(question_id, str) and PurePosixPath(question_id).suffix.lower() in _IMAGE_SUFFIXES
    return question_id if named else None


def _gqa_type(types: Any) -> str:
    """GQA's `types` are {structural, semantic, detailed}; the semantic ones say what is asked about."""
    names = {"obj": "object", "attr": "attribute", "cat": "category", "rel": "relation", "global": "global"}
    kind = types.get("semantic") if isinstance(types, dict) else None
    return names.get(kind, kind) if isinstance(kind, str) else ""


def with_own_ids(rows: Sequence[Any]) -> None:
    """Number the ids of questions that share one, in place: MME's two questions about an image have one id.

    Source: lmms-lab/MME, `question_id: code_reasoning/0020.png`.
    """
    shared: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if isinstance(row, dict) and row.get("answer_kind") == YES_NO and row.get("question_id") is not None:
            shared.setdefault(str(row["question_id"]), []).append(row)
    for name, pair in shared.items():
        # other numbers of rows are repeats, which the check of the file reports
        if len(pair) == 2 and pair[0]["question"] != pair[1]["question"]:
            for number, row in enumerate(pair, 1):
                row["question_id"] = f"{name}-{number}"
