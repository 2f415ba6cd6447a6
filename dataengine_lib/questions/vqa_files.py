"""Steps 0, 1, 2 and 5: VQAv2's and OK-VQA's files, of which one holds the questions and one the ten answers to each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value, read_json
from dataengine_lib.core.records import OPEN
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.answer_kinds import accepted_answers
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault

# Words in which the two names differ: v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json
_QUESTIONS, _ANNOTATIONS = ("OpenEnded_", "questions"), ("", "annotations")
_TEST = "test"  # beginning of the data_subtype of splits whose answers are not public
_LABELS = ("task_type", "data_type", "data_subtype")  # keys of both files beside their rows


class _Questions(msgspec.Struct):
    questions: list[msgspec.Raw]
    data_subtype: str = ""


class _Annotations(msgspec.Struct):
    annotations: list[msgspec.Raw]
    question_types: dict[str, str] = {}  # OK-VQA: {"one": "Vehicles and Transportation"}


class _Question(msgspec.Struct):
    question_id: int | str
    question: str
    image_id: int | str


class _Annotation(msgspec.Struct):
    question_id: int | str
    answers: list[Any]
    question_type: str = ""
    answer_type: str = ""


_QUESTION = msgspec.json.Decoder(_Question)
_ANNOTATION = msgspec.json.Decoder(_Annotation)


def is_vqa(content: Mapping[str, msgspec.Raw]) -> bool:
    """Whether one JSON object is a questions or an annotations file of VQA's layout."""
    held = [key for key in ("questions", "annotations") if bytes(content.get(key, b""))[:1] == b"["]
    return len(held) == 1 and any(key in content for key in _LABELS) and "images" not in content


def vqa_rows(file: Path, content: Mapping[str, msgspec.Raw], own: OwnFields) -> list[FoundRow]:
    """The questions with their answers in A-OKVQA's fields; either file may be given, the other lies beside it.

    A test split, whose answers are not public, has no annotations file. Raises DataEngineError when another one's is
    missing, or when a file is not of this layout.
    Source: visualqa.org's and okvqa.allenai.org's input formats.
    """
    own.check(file, ["question_id", "image_id", "question", "question_type", "answer_type"])
    given_questions = "questions" in content
    asked_file = file if given_questions else _partner(file, _ANNOTATIONS, _QUESTIONS)
    if asked_file is None:
        raise DataEngineError(
            f"{file}: holds answers without their questions; put the file of the questions beside it, "
            f"{_partner_name(file, _ANNOTATIONS, _QUESTIONS)}"
        )
    asked: _Questions = read_json(asked_file, _Questions)
    answers_file = _partner(file, _QUESTIONS, _ANNOTATIONS) if given_questions else file
    if answers_file is None and not asked.data_subtype.startswith(_TEST):
        raise DataEngineError(
            f"{file}: holds questions without their answers; put the file of the answers beside it, "
            f"{_partner_name(file, _QUESTIONS, _ANNOTATIONS)}"
        )
    found = _Annotations([]) if answers_file is None else read_json(answers_file, _Annotations)
    answers = _by_question(found.annotations)
    return [
        _row(f"questions[{place}]", raw, answers, found.question_types, own)
        for place, raw in enumerate(asked.questions)
    ]


def _by_question(annotations: Sequence[msgspec.Raw]) -> dict[str, _Annotation]:
    """The annotations that can be read, by question id; a question without one has no answer, which its check reports."""
    found = {}
    for raw in annotations:
        try:
            one = json_value(raw, _ANNOTATION)
        except UNDECODABLE:
            continue
        found[str(one.question_id)] = one
    return found


def _row(
    where: str,
    raw: msgspec.Raw,
    answers: Mapping[str, _Annotation],
    types: Mapping[str, str],
    own: OwnFields,
) -> FoundRow:
    try:
        asked = json_value(raw, _QUESTION)
    except UNDECODABLE as error:
        fault: RowFault = ("malformed row", decode_fault(error))
        return FoundRow(where, fault)
    given = answers.get(str(asked.question_id))
    accepted = accepted_answers(given.answers) if given else []
    fields: dict[str, Any] = {
        "question_id": asked.question_id,
        "image_id": asked.image_id,
        "question": asked.question,
        "choices": [],
        "answer_kind": OPEN,
    }
    if isinstance(accepted, tuple):
        return FoundRow(where, fields, fault=accepted)
    fields["direct_answers"] = accepted
    if given:
        kind = types.get(given.question_type, given.question_type) or given.answer_type
        fields |= {"question_type": kind, "answer_type": given.answer_type}
    if own.type_field:  # question_type or answer_type
        fields["question_type"] = fields.get(own.type_field, "")
    return FoundRow(where, fields)


def _partner_name(file: Path, words: tuple[str, str], others: tuple[str, str]) -> str:
    """The published name of the other file: `v2_mscoco_val2014_annotations.json` for that of the questions."""
    name = file.name.replace(words[1], others[1])
    if words[0]:
        return name.replace(words[0], "", 1)
    return name.replace("mscoco", f"{others[0]}mscoco", 1) if others[0] not in name else name


def vqa_partner(file: Path) -> Path | None:
    """The file beside this one whose name says that the two are VQA's; None where there is none."""
    pairs = ((_QUESTIONS, _ANNOTATIONS), (_ANNOTATIONS, _QUESTIONS))
    return next(filter(None, (_beside(file, *pair) for pair in pairs)), None)


def _beside(file: Path, words: tuple[str, str], others: tuple[str, str]) -> Path | None:
    """The other file beside this one, by its published name or with one word changed; None where it is not there."""
    plain = file.name.replace(words[1], others[1])
    for name in dict.fromkeys((_partner_name(file, words, others), plain)):
        if name != file.name and (file.parent / name).is_file():
            return file.parent / name
    return None


def _partner(file: Path, words: tuple[str, str], others: tuple[str, str]) -> Path | None:
    """The other file beside this one, None where it is not there. Raises DataEngineError for a name without its word."""
    if found := _beside(file, words, others):
        return found
    if words[1] not in file.name:
        raise DataEngineError(
            f"{file}: VQA's layout has two files, whose names differ in questions and annotations; {shown(file.name)} "
            "has neither word, name both as they are published"
        )
    return None
