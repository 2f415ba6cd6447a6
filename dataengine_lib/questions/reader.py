"""Steps 0, 1, 2 and 5: question files of every format through one check; faulty rows are counted, not fatal."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.records import (
    CHOICE,
    KINDS,
    LETTERS,
    NO_ANSWER,
    OPEN,
    UNKNOWN_IMAGE,
    YES_NO,
    Question,
)
from dataengine_lib.core.text import caseless, shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, image_ref, locate
from dataengine_lib.questions.answer_kinds import YES_NO_CHOICES
from dataengine_lib.questions.categories import type_name
from dataengine_lib.questions.json_questions import json_question_rows
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault, list_in
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK
from dataengine_lib.questions.tables.parquet_files import is_parquet, parquet_rows
from dataengine_lib.questions.tables.tsv_table import is_table, table_rows


@dataclass
class QuestionRows:
    """A file's usable questions and its other rows; `unanswered` when it is a test split, whose answers are not public.

    `rows` and `places` have one entry a question: its row as a person finds it (`row 7`, `image_scene[7]`), and its
    number among all rows of the file, from 0.
    """

    questions: list[Question] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    skipped: list[BadRow] = field(default_factory=list)
    unanswered: bool = False


class _Row(msgspec.Struct, kw_only=True):
    """A question as files hold it: answers are null in A-OKVQA's test split, ids are numbers or strings."""

    split: str | None = None
    image_id: int | str | None = None
    question_id: int | str | None = None
    question: str
    choices: list[str | int | float] | None = None
    correct_choice_idx: int | None = None
    direct_answers: list[str | int | float] | str | None = None
    difficult_direct_answer: bool | None = None
    rationales: list[str] | None = None
    question_type: str | None = None
    image_path: str | None = None
    prompt: str | None = None
    teacher_type: str | None = None
    answer_kind: str | None = None


def read_question_file(
    file: Path,
    image_root: Path | None = None,
    *,
    type_field: str = "",
    split_field: str = "split",
    unanswered: bool = False,
    some_unanswered: bool = False,
) -> QuestionRows:
    """The usable questions in the file's order, and the rows left out.

    The format is recognised by the content: A-OKVQA's list, alone or as `questions` or `data`, our training data,
    `{type: [record]}` whose keys give the type where a record has none, SEED-Bench's JSON, records of
    MLLM-DataEngine v2, MMBench's or VLMEvalKit's TSV, POPE's lines, VQAv2's and OK-VQA's two files, VizWiz's, GQA's
    and lmms-eval's rows, as JSON or as the hub's Parquet. Questions without options are yes/no questions where the
    file's answers are, else open-ended ones; see `answer_kinds`. Images inside a table become files under `image_root`.
    `type_field` and `split_field` name the keys that hold a question's type and split. With `unanswered`, a file in which
    no row has an answer is read too: all its questions have NO_ANSWER as correct_choice_idx. With `some_unanswered`, so
    have the rows without an answer of any other file.
    Raises DataEngineError when the file cannot be read, is not a question file, or has no such field.
    """
    found = deque(found_rows(Path(file), image_root, OwnFields(type_field, split_field)))
    # a query's id is a question's id only where no other row has it
    ids = Counter(_given_id(row.content) for row in found)
    # a row without an answer is faulty where others have one
    unanswered = unanswered and not any(map(_answered, found))
    result, seen = QuestionRows(unanswered=unanswered and bool(found)), dict[str, str]()
    for place in range(len(found)):
        row = found.popleft()  # so that a row and its question are not both in memory
        question = _question(row, ids, unanswered or (some_unanswered and not _answered(row)))
        # answers and questions are matched by question_id, so each may occur once
        if isinstance(question, Question) and question.question_id in seen:
            same = f"question_id {question.question_id} occurs twice, first in {seen[question.question_id]}"
            question = ("repeated question_id", same)
        if isinstance(question, Question):
            seen[question.question_id] = row.row
            result.questions.append(question)
            result.rows.append(row.row)
            result.places.append(place)
        else:
            why, reason = question
            result.skipped.append(BadRow(row.row, reason, why))
    return result


def check_any_question(file: Path, content: QuestionRows) -> None:
    """Raise DataEngineError, saying what the file looks like, when none of its rows is a question."""
    if content.questions or any(row.kind == NO_IMAGE_TASK for row in content.skipped):
        return
    first = f"{content.skipped[0].row}: {content.skipped[0].reason}; " if content.skipped else ""
    raise DataEngineError(
        f"{file}: {first}none of its {len(content.skipped):,} rows is a question that can be used; it {looks_like(file)}"
    )


def found_rows(file: Path, image_root: Path | None, own: OwnFields) -> list[FoundRow]:
    """All rows of a file in A-OKVQA's fields, before the check; raises what `read_question_file` raises."""
    if is_parquet(file):
        return parquet_rows(file, image_root, own)
    return table_rows(file, image_root, own) if is_table(file) else json_question_rows(file, own)


def read_question_rows(
    file: Path, image_root: Path | None = None, *, type_field: str = "", split_field: str = "split"
) -> tuple[list[Question], list[BadRow]]:
    """(usable questions in the file's order, rows left out); raises what `read_question_file` raises."""
    content = read_question_file(file, image_root, type_field=type_field, split_field=split_field)
    return content.questions, content.skipped


def read_questions(
    file: Path, image_root: Path | None = None, *, type_field: str = "", split_field: str = "split"
) -> list[Question]:
    """All questions of a file. Raises DataEngineError naming the first row that cannot be used."""
    questions, skipped = read_question_rows(file, image_root, type_field=type_field, split_field=split_field)
    if skipped:
        first = f"{skipped[0].row}: {skipped[0].reason}"
        raise DataEngineError(f"{file}: {first}; correct or remove that row ({len(skipped)} in all)")
    return questions


def image_of(question: Question, root: Path) -> str:
    """The path of a question's image relative to `root`: its own, or COCO's name for its id.

    Raises DataEngineError when the path leads outside the root or no file is there.
    """
    try:
        return locate(ImageRef(question.image_id, question.image_path), root)
    except DataEngineError as error:  # without the advice behind ";", which names another step's parameter
        raise DataEngineError(str(error).partition(";")[0]) from error


def _given_id(row: Any) -> str:
    """The id that a row gives itself; in our training data that is the id of its query."""
    if not isinstance(row, dict):
        return ""
    given = row.get("question_id")
    # null and an empty text are no ids, 0 is one
    own = row.get("query_id") if given in (None, "") else given
    return str(own) if isinstance(own, int | str) else ""


def _answered(row: FoundRow) -> bool:
    """Whether a row has an answer, also one that cannot be read."""
    fault = row.fault or (row.content if isinstance(row.content, tuple) else None)
    if fault:
        return fault[0] in ("wrong answer letter", "index outside the choices")
    if not isinstance(row.content, dict):
        return False
    if row.content.get("answer_kind") == OPEN:
        return bool(row.content.get("direct_answers"))
    return row.content.get("correct_choice_idx") is not None


def _question(found: FoundRow, ids: Mapping[str, int], unanswered: bool) -> Question | RowFault:
    """The question of a row, or its fault; `ids` counts the rows of the file by the id that they give themselves."""
    # a fault that was found while the file was read
    if found.fault:
        return found.fault
    if isinstance(found.content, tuple):
        return found.content
    try:
        row = msgspec.convert(found.content, _Row, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        return "malformed row", str(error)
    is_open = row.answer_kind == OPEN
    if row.choices is None and not is_open:
        return "malformed row", "Object missing required field `choices`"
    choices = [str(choice).strip() for choice in row.choices or []]
    accepted = _direct_answers(row.direct_answers)
    if not row.question.strip():
        return "empty question", "question is empty"
    if row.answer_kind not in (None, "", *KINDS):
        reason = f"answer_kind {shown(row.answer_kind)} is none of {CHOICE}, {YES_NO} and {OPEN}"
        return "unknown answer_kind", reason
    if is_open:
        fault = _open_fault(choices, accepted, unanswered)
    else:
        fault = _choice_fault(choices, row.correct_choice_idx, unanswered)
    if not fault and row.answer_kind == YES_NO and tuple(map(caseless, choices)) != YES_NO_CHOICES:
        # students' answers are read and scored by these places
        fault = "unusable choices", "a yes/no question has the choices yes and no, in this order"
    if fault:
        return fault
    # checked above: only an open or an unanswered question may have none
    correct = NO_ANSWER if is_open or unanswered else row.correct_choice_idx
    try:
        image = image_ref(row.image_id, row.image_path)
    except ValueError:
        return "unusable image_id", f"image_id {str(row.image_id)[:40]!r} is too long for an id"
    if image.image_id == UNKNOWN_IMAGE and not image.image_path:
        return "no image", "neither image_id nor image_path is given"
    question_id = "" if row.question_id is None else str(row.question_id)
    if not question_id and ids[name := _given_id(found.content)] == 1:  # a query may have two QAs: not unique
        question_id = name
    # split and type are interned, since many questions have the same ones
    return Question(
        split=intern(row.split or ""),
        image_id=image.image_id,
        question_id=question_id or f"{image.image_id}-{found.row}",
        question=row.question.strip(),
        choices=choices,
        correct_choice_idx=NO_ANSWER if correct is None else correct,
        direct_answers=accepted,
        difficult_direct_answer=bool(row.difficult_direct_answer),
        rationales=row.rationales or [],
        question_type=intern(type_name(row.question_type or found.kind)),
        image_path=image.image_path,
        prompt=row.prompt or "",
        teacher_type=row.teacher_type or "",
        answer_kind=row.answer_kind or "",
    )


def _choice_fault(choices: list[str], correct: int | None, unanswered: bool) -> RowFault | None:
    if not 2 <= len(choices) <= len(LETTERS):
        return "unusable choices", f"{len(choices)} choices, 2 to {len(LETTERS)} are needed"
    if not all(choices):
        return "unusable choices", "a choice is empty"
    if unanswered:
        return None
    if correct is None:
        return "no correct choice", "the correct choice is not given, so no answer can be judged"
    if not 0 <= correct < len(choices):
        reason = f"correct_choice_idx {shown(correct)} is outside the {len(choices)} choices"
        return "index outside the choices", reason
    return None


def _open_fault(choices: list[str], accepted: list[str], unanswered: bool) -> RowFault | None:
    if choices:
        return "unusable choices", f"an open-ended question has {len(choices)} choices, none is needed"
    if not unanswered and not any(answer.strip() for answer in accepted):
        return "no accepted answer", "direct_answers is empty, so no answer can be judged"
    return None


def _direct_answers(given: list[str | int | float] | str | None) -> list[str]:
    if isinstance(given, str):
        listed = list_in(given)
        given = [given] * bool(given.strip()) if listed is None else listed
    # interned, since the ten answers of a question are often the same word
    return [intern(str(answer)) for answer in given or []]
