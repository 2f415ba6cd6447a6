"""The path of one question through a run (steps 1 to 6) as a frame: bad case, queries, replies, QAs, fixed or not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.text import nearest_name, shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.frames.answers import outcome_of
from dataengine_lib.frames.columns import make_frame

if TYPE_CHECKING:
    import pandas as pd

_COPIED = (
    "round",
    "question_type",
    "query_id",
    "record_id",
    "image_id",
    "image_path",
    "question",
    "right_answer",
)


def case_path(question_id: str, frames: Mapping[str, "pd.DataFrame"]) -> "pd.DataFrame":
    """The rows of the frames `answers`, `bad_cases`, `queries`, `replies` and `records` that belong to a question.

    By round: its answer, or bad case, then each query that shows it to the teacher with the query's replies and QAs. The
    `status` of an answer is right or wrong in the first evaluation, then its outcome; of a reply answered or the failure's
    kind; of a QA kept or dropped; of a query neighbour or random. Raises DataEngineError for an unknown question_id.
    """
    answers, cases = (_of(frames[name], question_id) for name in ("answers", "bad_cases"))
    queries = frames["queries"]
    shows = queries[[question_id in examples for examples in queries["example_ids"]]]
    if not len(answers) and not len(cases) and not len(shows):
        known = dict.fromkeys([*frames["answers"]["question_id"], *frames["bad_cases"]["question_id"]])
        near = f"; the nearest id is {nearest_name(question_id, known)!r}" if known else ""
        raise DataEngineError(f"{shown(question_id)}: no question of that id in this run{near}")
    rows: list[dict[str, Any]] = []
    before: bool | None = None
    for number in sorted({*answers["round"], *cases["round"], *shows["round"]}):
        of_round = {
            name: _in_round(found, number) for name, found in (("answers", answers), ("bad_cases", cases))
        }
        for row in of_round["answers"] or of_round["bad_cases"]:
            first = "right" if row["correct"] else "wrong"
            status = first if before is None else outcome_of(before, row["correct"])
            part = "bad case" if of_round["bad_cases"] else "answer"
            given = {"question_id": question_id, "model_answer": row["model_answer"]}
            rows.append(_row(part, status, row) | given)
            before = bool(row["correct"])
        for query in _in_round(shows, number):
            rows += _query_rows(question_id, query, frames)
    return make_frame("trace", rows)


def _of(frame: "pd.DataFrame", question_id: str) -> "pd.DataFrame":
    return frame[frame["question_id"] == question_id]


def _in_round(frame: "pd.DataFrame", number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frame[frame["round"] == number].to_dict("records")
    return found


def _query_rows(
    question_id: str, query: dict[str, Any], frames: Mapping[str, "pd.DataFrame"]
) -> list[dict[str, Any]]:
    """The query, then its replies and QAs."""
    anchor = query["neighbour"] and query["example_ids"][0] == question_id
    drawn = {"role": "anchor" if anchor else "example", "similarity": query["similarity"]}
    rows = [_row("query", "neighbour" if query["neighbour"] else "random", query) | drawn]
    for name in ("replies", "records"):
        frame = frames[name]
        # rows of files without query ids cannot be put to a query
        same = frame[(frame["query_id"] == query["query_id"]) & (frame["query_id"] != "")]
        for row in _in_round(same, query["round"]):
            if name == "replies":
                rows.append(_row("reply", row["status"], row))
            else:
                rows.append(_row("record", "kept" if row["kept"] else "dropped", row))
    return rows


def _row(part: str, status: str, row: Mapping[str, Any]) -> dict[str, Any]:
    copied = {name: row[name] for name in _COPIED if name in row}
    return copied | {"part": part, "status": status, "reason": row.get("reason", "")}
