"""Step 2: reads bad cases, `{type: [record]}` as step 1 writes them and as MLLM-DataEngine published them."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import qa_prompt
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, image_ref
from dataengine_lib.questions.categories import type_name


class _Record(msgspec.Struct):
    question: str = ""
    choices: list[str] = []
    correct_choice_idx: int = -1
    image_id: int | str | None = None
    image_path: str | None = None
    prompt: str | None = None
    question_id: str | int | None = None
    idx: int | str | None = None  # the place in step 1's file, or MLLM-DataEngine's question_id
    question_type: str | None = None


@dataclass(frozen=True)
class BadCase:
    """A question that the student got wrong; `example` is its text as the teacher sees it.

    `key` identifies it in queries: its question_id, else its `idx`, else its place in the file.
    """

    key: str
    question_type: str
    image: ImageRef
    example: str


def read_bad_cases(file: Path) -> dict[str, list[BadCase]]:
    """The bad cases by type, types in the file's order, empty ones included; a flat list is grouped by `question_type`.

    Records may lack `image_id`, `image_path` or `prompt`. Raises DataEngineError naming the row at fault.
    """
    content: dict[str, list[_Record]] | list[_Record] = read_json(
        file, dict[str, list[_Record]] | list[_Record]
    )
    if isinstance(content, list):
        grouped: dict[str, list[_Record]] = {}
        for record in content:
            grouped.setdefault(record.question_type or "", []).append(record)
        if "" in grouped:
            raise DataEngineError(
                f"{file}: a record has no question_type; group the records by type, or add it"
            )
        content = grouped
    cases_by_type: dict[str, list[BadCase]] = {}
    for name, records in content.items():
        question_type = type_name(name)  # "Image scene" and "image_scene" are one type
        cases = cases_by_type.setdefault(question_type, [])
        cases += [
            _case(record, question_type, f"{file}: {name}[{row}]") for row, record in enumerate(records)
        ]
    return cases_by_type


def _case(record: _Record, question_type: str, where: str) -> BadCase:
    try:
        image = image_ref(record.image_id, record.image_path)
    except ValueError as error:
        raise DataEngineError(
            f"{where}: image_id {record.image_id!r} is not a number; correct or remove that row"
        ) from error
    if record.question and 0 <= record.correct_choice_idx < len(record.choices):
        # each on one line: a line break in a question could make a line that looks like a heading of the prompt
        question, *choices = (one_line(text) for text in (record.question, *record.choices))
        prompt = qa_prompt(question, choices, record.correct_choice_idx, question_type)
    elif record.prompt:
        prompt = record.prompt
    else:
        raise DataEngineError(
            f"{where}: needs question, choices and a correct_choice_idx inside them, or prompt; "
            "correct or remove that row"
        )
    # the prompt names the type itself, once
    example = "\n".join(
        line for line in prompt.strip().splitlines() if not line.lower().startswith("question type:")
    )
    key = record.question_id if record.question_id not in (None, "") else record.idx
    place = where.rpartition(": ")[2]  # "image_scene[0]"
    return BadCase(str(key if key not in (None, "", -1) else place), question_type, image, example)
