"""Question files (steps 0, 1, 5): A-OKVQA list, or `{type: [record]}`; wrong rows are counted, not fatal."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.data.bad_cases import type_name
from dataengine_lib.data.files import read_json
from dataengine_lib.data.image_refs import ImageRef, image_ref, locate
from dataengine_lib.data.records import LETTERS, Question
from dataengine_lib.errors import DataEngineError


class Skipped(msgspec.Struct, frozen=True):
    """A row that is left out, and why; `kind` is the reason to count by."""

    row: str
    reason: str
    kind: str = ""


@dataclass
class QuestionRows:
    """A file's usable questions and its other rows; `rows` and `places` say where each question stands.

    A row is what a person looks for (`row 7`, `image_scene[7]`), a place is the number in the whole file.
    """

    questions: list[Question] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class _Row(msgspec.Struct, kw_only=True):
    """A question as files hold it: A-OKVQA's test split has null answers, ids are numbers or strings."""

    split: str | None = None
    image_id: int | str | None = None
    question_id: int | str | None = None
    question: str
    choices: list[str | int | float]
    correct_choice_idx: int | None = None
    direct_answers: list[str | int | float] | str | None = None
    difficult_direct_answer: bool | None = None
    rationales: list[str] | None = None
    question_type: str | None = None
    image_path: str | None = None
    prompt: str | None = None


def read_question_file(file: Path) -> QuestionRows:
    """The usable questions in the file's order, with the rows left out.

    Types come from a dict's keys where a record has none.
    Raises DataEngineError when the file cannot be read or is no question file.
    """
    content: Any = read_json(file, list[msgspec.Raw] | dict[str, list[msgspec.Raw]])
    if isinstance(content, list):
        found = [(f"row {number}", "", raw) for number, raw in enumerate(content)]
    else:
        found = [
            (f"{kind}[{number}]", kind, raw)
            for kind, part in content.items()
            for number, raw in enumerate(part)
        ]
    result, seen = QuestionRows(), dict[str, str]()
    for place, (where, kind, raw) in enumerate(found):
        question = _question(raw, kind, where)
        if isinstance(question, Question) and question.question_id in seen:
            same = f"question_id {question.question_id} occurs twice, first in {seen[question.question_id]}"
            question = ("repeated question_id", same)
        if isinstance(question, Question):
            seen[question.question_id] = where
            result.questions.append(question)
            result.rows.append(where)
            result.places.append(place)
        else:
            why, reason = question
            result.skipped.append(Skipped(where, reason, why))
    return result


def read_question_rows(file: Path) -> tuple[list[Question], list[Skipped]]:
    """(usable questions in the file's order, rows left out with the reason)."""
    content = read_question_file(file)
    return content.questions, content.skipped


def read_questions(file: Path) -> list[Question]:
    """All questions of a file. Raises DataEngineError naming the first row that cannot be used."""
    questions, skipped = read_question_rows(file)
    if skipped:
        first = f"{skipped[0].row}: {skipped[0].reason}"
        raise DataEngineError(f"{file}: {first}; mend or remove that row ({len(skipped)} in all)")
    return questions


def image_of(question: Question, root: Path) -> str:
    """The path of a question's image relative to `root`: its own, or COCO's name for its id.

    Raises DataEngineError when the path leads outside the root or no file is there.
    """
    try:
        return locate(ImageRef(question.image_id, question.image_path), root)
    except DataEngineError as error:  # without the remedy, which names another step's parameter
        raise DataEngineError(str(error).partition(";")[0]) from error


def _question(raw: msgspec.Raw, kind: str, where: str) -> Question | tuple[str, str]:
    """The record, or (kind of reason, reason)."""
    try:
        row = msgspec.json.decode(raw, type=_Row, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return "malformed row", str(error)
    choices, correct = [str(choice).strip() for choice in row.choices], row.correct_choice_idx
    if not row.question.strip():
        return "empty question", "question is empty"
    if not 2 <= len(choices) <= len(LETTERS):
        return "unusable choices", f"{len(choices)} choices, 2 to {len(LETTERS)} are needed"
    if not all(choices):
        return "unusable choices", "a choice is empty"
    if correct is None:
        return "no correct choice", "correct_choice_idx is missing, so no answer can be judged"
    if not 0 <= correct < len(choices):
        reason = f"correct_choice_idx {correct} is outside the {len(choices)} choices"
        return "index outside the choices", reason
    try:
        image = image_ref(row.image_id, row.image_path)
    except ValueError:
        return "unusable image_id", f"image_id {row.image_id!r} is not a number"
    if image.image_id < 0 and not image.image_path:
        return "no image", "neither image_id nor image_path is given"
    question_id = "" if row.question_id is None else str(row.question_id)
    return Question(
        split=row.split or "",
        image_id=image.image_id,
        question_id=question_id or f"{image.image_id}-{where}",
        question=row.question.strip(),
        choices=choices,
        correct_choice_idx=correct,
        direct_answers=_direct_answers(row.direct_answers),
        difficult_direct_answer=bool(row.difficult_direct_answer),
        rationales=row.rationales or [],
        question_type=type_name(row.question_type or kind),
        image_path=image.image_path,
        prompt=row.prompt or "",
    )


def _direct_answers(given: list[str | int | float] | str | None) -> list[str]:
    if isinstance(given, str):  # copies of A-OKVQA on the Hub hold the list as text
        return [first or second for first, second in re.findall(r"""'([^']*)'|"([^"]*)\"""", given)] or [
            given
        ]
    return [str(answer) for answer in given or []]
