"""Step 2: reads bad cases, `{type: [record]}` as step 1 writes them and as MLLM-DataEngine published them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import MALFORMED, BadRow, BadRows, usable_rows
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows_or_object, list_rows
from dataengine_lib.core.records import (
    CHOICE,
    FOUR_CHOICES,
    KINDS,
    MOST_CHOICES,
    OPEN,
    YES_NO,
    QaForm,
    most_accepted,
    qa_prompt,
)
from dataengine_lib.core.text import one_line, shown
from dataengine_lib.images.references import ImageRef, image_ref
from dataengine_lib.questions.categories import type_name

_PART = re.compile(r"(?m)^[ \t]*[A-Z][a-z]+:")  # matches "Question:" and "Answer:" at the beginning of a line
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class _Record(msgspec.Struct):
    question: str | None = None
    choices: list[str | int | float] | None = None
    correct_choice_idx: int | None = None
    image_id: int | str | None = None
    image_path: str | None = None
    prompt: str | None = None
    question_id: str | int | None = None
    idx: int | str | None = None  # the place in step 1's file, or MLLM-DataEngine's question_id
    question_type: str | None = None
    answer_kind: str | None = None
    direct_answers: list[str] | None = None
    model_answer: Any = None  # an option's text; MLLM-DataEngine's files have its index


@dataclass(frozen=True)
class BadCase:
    """A question that the student got wrong; `example` is its text as the teacher sees it.

    `key` identifies it in queries: its question_id, else its `idx`, else its place in the file. `form` is that of the
    QAs that it is an example of. `question`, the student's `answer` and the `right` one are empty where they are not known.
    """

    key: str
    question_type: str
    image: ImageRef
    example: str
    form: QaForm = FOUR_CHOICES
    question: str = ""
    answer: str = ""
    right: str = ""

    @property
    def asked(self) -> str:
        """The question; of a case that is a prompt alone, that text without the names of its parts."""
        return self.question or _PART.sub("", self.example)


def read_bad_cases(file: Path, bad: BadRows) -> dict[str, list[BadCase]]:
    """The bad cases by type, types in the file's order, empty ones included; a flat list is grouped by `question_type`.

    Records may lack `image_id`, `image_path` or `prompt`. Rows that cannot be used are added to `bad`.
    Raises DataEngineError when the file cannot be read, holds no bad cases, or too many of its rows cannot be used.
    """
    cases_by_type: dict[str, list[BadCase]] = {}
    for kind, rows in bad_case_rows(file, bad).items():
        if kind:
            cases_by_type.setdefault(type_name(kind), [])  # a type without a case is kept
        for where, record in usable_rows(rows, _Record, bad):
            # "Image scene" and "image_scene" are one type
            question_type = type_name(kind or record.question_type or "")
            no_type = BadRow(where, "has no question_type; group the records by type, or add it", MALFORMED)
            case = _case(record, question_type, where) if question_type else no_type
            if isinstance(case, BadCase):
                cases_by_type.setdefault(question_type, []).append(case)
            else:
                bad.add(case)
    bad.check()
    return cases_by_type


def bad_case_rows(file: Path, bad: BadRows) -> dict[str, list[JsonRow]]:
    """The rows of each type's list, those of a flat list under an empty key; what is no list is added to `bad`."""
    found = json_rows_or_object(file)
    if isinstance(found, list):
        return {"": found}
    rows: dict[str, list[JsonRow]] = {}
    for key, part in found.items():
        try:
            listed = json_value(part, _LIST)
        except UNDECODABLE as error:
            bad.n_rows += 1
            bad.add(BadRow(key, decode_fault(error), MALFORMED))
        else:
            rows[key] = list_rows(listed, key)
    return rows


def _case(record: _Record, question_type: str, where: str) -> BadCase | BadRow:
    """The case, or what is wrong with its row, `where` (`image_scene[0]`)."""
    try:
        image = image_ref(record.image_id, record.image_path)
    except ValueError:
        return BadRow(where, f"image_id {shown(record.image_id)} is not an image's id", "unusable image_id")
    kind = record.answer_kind or CHOICE
    if kind not in KINDS:
        return BadRow(where, f"answer_kind {shown(kind)} is not {CHOICE}, {YES_NO} or {OPEN}", MALFORMED)
    form, prompt = FOUR_CHOICES, _prompt(record, kind, question_type)
    if prompt:
        form = QaForm(kind, min(max(len(record.choices or []), 2), MOST_CHOICES) if kind == CHOICE else 4)
    elif kind == CHOICE and record.prompt and record.prompt.strip():
        prompt = record.prompt
    elif kind == OPEN:
        return BadRow(where, "needs question and direct_answers", "unusable answers")
    else:
        # a prompt in place of these is read as that of a multiple-choice question
        needs = f"needs question, choices and a correct_choice_idx inside them{', or prompt' if kind == CHOICE else ''}"
        return BadRow(where, needs, "unusable choices" if record.question else MALFORMED)
    # the prompt names the type itself, once
    example = "\n".join(
        line for line in prompt.strip().splitlines() if not line.lower().startswith("question type:")
    )
    return BadCase(
        case_key(record.question_id, record.idx, where),
        question_type,
        image,
        example,
        form,
        one_line(record.question or ""),
        _answered(record),
        _right(record, kind),
    )


def case_key(question_id: str | int | None, idx: str | int | None, where: str) -> str:
    """The name of a bad case in queries: its question_id, else its `idx`, else `where` it stands in the file."""
    key = question_id if question_id not in (None, "") else idx
    return str(key if key not in (None, "", -1) else where)


def _answered(record: _Record) -> str:
    """The student's answer, empty where the record does not say it."""
    given, choices = record.model_answer, record.choices or []
    if isinstance(given, int):
        given = str(choices[given]) if 0 <= given < len(choices) else ""
    return one_line(given) if isinstance(given, str) else ""


def _right(record: _Record, kind: str) -> str:
    """The right answer, empty where the record does not say it."""
    if kind == OPEN:
        return one_line(most_accepted(record.direct_answers or []))
    index, choices = record.correct_choice_idx, record.choices or []
    return one_line(str(choices[index])) if index is not None and 0 <= index < len(choices) else ""


def _prompt(record: _Record, kind: str, question_type: str) -> str:
    """The case as the teacher sees it, made from its parts; empty where some are missing."""
    right = -1 if record.correct_choice_idx is None else record.correct_choice_idx
    accepted = [text for text in map(one_line, record.direct_answers or []) if text]
    complete = bool(accepted) if kind == OPEN else 0 <= right < len(record.choices or [])
    if not record.question or not complete:
        return ""
    # each on one line: a line break in a question could make a line that looks like a heading of the prompt
    question, *choices = (one_line(str(text)) for text in (record.question, *(record.choices or [])))
    return qa_prompt(question, choices, right, question_type, kind, accepted)
