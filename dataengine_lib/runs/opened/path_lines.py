"""`dataengine trace` (steps 1 to 6): the path of a question through a run as lines for a terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataengine_lib.core.text import printable_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.opened.opened_run import load_run


def question_lines(question_id: str, folder: Path) -> list[str]:
    """A line for each answer, query, reply and QA of a question, by round; empty where the folder has no such question."""
    if not question_id:
        return []
    try:
        path = load_run(folder).trace(question_id)
    except DataEngineError:  # the name may be that of a record: the caller says what was looked for
        return []
    return [line for row in path.to_dict("records") for line in _lines(row)]


def _lines(row: dict[str, Any]) -> Iterator[str]:
    shown = {name: printable_line(value) for name, value in row.items()}
    start = f"round {shown['round']}: {shown['part']}"
    if row["part"] == "query":
        role = "with its image as anchor" if row["role"] == "anchor" else "as an example"
        yield f"{start} {shown['query_id']} shows it {role}; image {shown['image_path']}, {shown['status']}"
        return
    reason = f" ({shown['reason']})" if row["reason"] else ""
    if row["part"] == "reply":
        yield f"  reply: {shown['status']}{reason}"
    elif row["part"] == "record":
        yield f"  QA {shown['record_id'] or shown['query_id']}: {shown['status']}{reason} {shown['question']}".rstrip()
    else:
        yield f"{start} {shown['question_id']}, {shown['status']}; {shown['question_type']}, image {shown['image_path']}"
        answers = f"right: {shown['right_answer']}; the student answered: {shown['model_answer']}"
        yield f"  {shown['question']}; {answers}"
