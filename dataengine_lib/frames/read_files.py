"""Steps 1 to 4: reads the files of a run for its frames; a row that cannot be used is left out and counted."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dataengine_lib.core.bad_rows import BadRows, usable_rows
from dataengine_lib.core.files import UNDECODABLE, file_content, json_value
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import UNKNOWN_IMAGE, Answer
from dataengine_lib.evaluation.rounds.evaluation_file import read_answers
from dataengine_lib.queries.bad_cases import bad_case_rows, case_key
from dataengine_lib.questions.categories import type_name

_T = TypeVar("_T")
_ALL_MAY_BE_BAD = 1.0  # of the rows: whoever looks at a run wants to see what is there


def read_rows(file: Path, type: type[_T], warnings: list[str]) -> list[_T]:
    """The rows of a JSON list or of JSON lines; none where the file is missing. Rows left out are said in `warnings`.

    A last line that a run has not finished writing, or that a killed run left, is left out like any other.
    Raises DataEngineError when the file cannot be read.
    """
    if not file.is_file():
        return []
    if (rows := _all_rows(file, type)) is not None:
        return rows
    bad = BadRows(file, _ALL_MAY_BE_BAD, keep=1)
    found = [row for _, row in usable_rows(json_rows(file, may_be_empty=True), type, bad)]
    warnings += bad.warnings()
    return found


def _all_rows(file: Path, type: type[_T]) -> list[_T] | None:
    """The rows decoded at once, several times faster than one by one; None where one of them cannot be used."""
    content = file_content(file)
    try:
        if content[:64].lstrip()[:1] == b"[":
            decoder: msgspec.json.Decoder[list[_T]] = msgspec.json.Decoder(list[type], strict=False)  # type: ignore[valid-type]
            return json_value(content, decoder)
        return msgspec.json.Decoder(type, strict=False).decode_lines(content)
    except UNDECODABLE:
        return None


def read_evaluation(file: Path, warnings: list[str]) -> list[Answer]:
    """The answers of an evaluation, ours or v1's; none where the file is missing, see `read_rows`."""
    if not file.is_file():
        return []
    bad = BadRows(file, _ALL_MAY_BE_BAD, wanted="aokvqa_eval.json of evaluate", keep=1)
    answers = read_answers(file, bad)
    warnings += bad.warnings()
    return answers


class _BadCase(Answer, kw_only=True):
    """A bad case as any version wrote it: fields may be missing, and texts may be numbers."""

    question: str = ""
    choices: list[str | int | float] = []  # type: ignore[assignment]  # noqa: RUF012
    correct_choice_idx: int = -1
    idx: int | str = UNKNOWN_IMAGE  # type: ignore[assignment]
    question_id: int | str = ""  # type: ignore[assignment]
    image_path: str | None = ""  # type: ignore[assignment]
    model_answer: Any = ""


def read_bad_case_answers(file: Path, warnings: list[str]) -> list[Answer]:
    """The bad cases, by type in the file's order; none where the file is missing, see `read_rows`.

    `question_id` is the name by which queries call a bad case. A case of which only the prompt is known has it as its
    question.
    """
    if not file.is_file():
        return []
    bad = BadRows(file, _ALL_MAY_BE_BAD, wanted="bad_case_aokvqa_classified.json of evaluate", keep=1)
    cases = []
    for kind, rows in bad_case_rows(file, bad).items():
        for where, case in usable_rows(rows, _BadCase, bad):
            choices = [str(choice) for choice in case.choices]
            chosen, given = case.predicted_choice_idx, case.model_answer
            if isinstance(given, int):  # MLLM-DataEngine's files have the index of the option
                chosen, given = given, choices[given] if 0 <= given < len(choices) else ""
            fields = msgspec.structs.asdict(case) | {
                "question": case.question or case.prompt,
                "choices": choices,
                "idx": case.idx if isinstance(case.idx, int) else -1,
                "question_id": case_key(case.question_id, case.idx, where),
                "question_type": type_name(kind or case.question_type),
                "image_path": case.image_path or "",
                "predicted_choice_idx": chosen,
                "model_answer": given if isinstance(given, str) else "",
            }
            cases.append(Answer(**fields))
    bad.check()
    warnings += bad.warnings()
    return cases
