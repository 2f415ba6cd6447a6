"""Steps 2 and 3: the queries, and the teacher's replies with what they cost, as frames."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dataengine_lib.chat.ledger import PaidReply
from dataengine_lib.chat.prices import FREE_TEACHERS
from dataengine_lib.core.records import CHOICE, Query, Result
from dataengine_lib.frames.answers import image_id_text
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.frames.read_files import read_rows
from dataengine_lib.teachers.reply_files import LEDGER, Failure

if TYPE_CHECKING:
    import pandas as pd

ANSWERED = "answered"
_Row = TypeVar("_Row", Query, Result)


def queries_frame(rounds: Mapping[int, Iterable[Query]]) -> "pd.DataFrame":
    """The queries by round, in the order of the files."""
    rows = [
        {
            "round": number,
            "query_id": query.query_id,
            "question_type": query.question_type,
            "image_id": image_id_text(query.image_id),
            "image_path": query.image_path,
            "anchor_image_id": image_id_text(query.anchor_image_id),
            "anchor_image_path": query.anchor_image_path,
            "neighbour": query.neighbour,
            "similarity": query.similarity,
            "example_ids": query.example_ids,
            "cause": _text(query.cause),
            "answer_kind": query.answer_kind or CHOICE,
            "template": query.template,
            "prompt": query.prompt,
        }
        for number, queries in rounds.items()
        for query in queries
    ]
    return make_frame("queries", rows)


def by_round(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    """Rows of a single step by the round that they name, 0 for those made outside a run."""
    rounds: dict[int, list[_Row]] = {}
    for row in rows:
        rounds.setdefault(row.round, []).append(row)
    return rounds


def step_replies_frame(
    output: Path, results: Iterable[Result], failures: Iterable[Failure], images: Mapping[str, str]
) -> "pd.DataFrame":
    """The replies of one run of step 3, with the costs that the ledger beside its `output` has.

    `images` are the paths of the queries' images by query_id.
    """
    rounds: dict[int, list[Result | Failure]] = {
        number: [*rows] for number, rows in by_round(results).items()
    }
    # a failure does not say its round: it is that of the results
    rounds.setdefault(max(rounds, default=0), []).extend(failures)
    costs = request_costs(read_rows(output.with_name(LEDGER), PaidReply, []))
    return replies_frame(rounds, dict.fromkeys(rounds, costs), dict.fromkeys(rounds, images))


def replies_frame(
    rounds: Mapping[int, Iterable[Result | Failure]],
    costs: Mapping[int, Mapping[str, float]],
    images: Mapping[int, Mapping[str, str]],
) -> "pd.DataFrame":
    """The replies by round: those that can be used (`status` answered), and failures (`status` their kind).

    `costs` are the US dollars of a round's requests by key, see `request_costs`. Queries that are the same request share
    its cost, which counts at the first of them, so that the sum is what was paid. Teachers without a price cost 0.
    `images` are the paths of a round's images by query_id, for the failures, which do not name theirs.
    """
    rows, counted = [], set[tuple[int, str]]()
    for number, replies in rounds.items():
        of_round = images.get(number, {})
        for reply in replies:
            key = (number, reply.request_key)
            cost = costs.get(number, {}).get(reply.request_key, 0.0 if _is_free(reply.model) else None)
            rows.append(
                {
                    "round": number,
                    "query_id": reply.query_id,
                    "question_type": reply.question_type,
                    "image_id": image_id_text(reply.image_id),
                    "model": reply.model,
                    "prompt_tokens": reply.prompt_tokens,
                    "cached_tokens": reply.cached_tokens,
                    "completion_tokens": reply.completion_tokens,
                    "cost_usd": 0.0 if reply.request_key and key in counted else cost,
                    "request_key": reply.request_key,
                    "raw_instructions": reply.raw_instructions,
                }
                | _how_it_ended(reply, of_round)
            )
            counted.add(key)
    return make_frame("replies", rows)


def _how_it_ended(reply: Result | Failure, images: Mapping[str, str]) -> dict[str, str]:
    if isinstance(reply, Failure):
        image_path = images.get(reply.query_id, "")
        return {"status": reply.kind, "reason": reply.reason, "image_path": image_path}
    return {"status": ANSWERED, "finish_reason": reply.finish_reason, "image_path": reply.image_path}


def _is_free(model: str) -> bool:
    """Whether the teacher has no price: the playground's, the built-in one, replies that are replayed."""
    return model.partition(":")[0] in FREE_TEACHERS


def request_costs(rows: Iterable[PaidReply]) -> dict[str, float]:
    """US dollars of each request key in a ledger, over all replies to it; NaN where one has no price."""
    costs: dict[str, float] = {}
    for row in rows:
        # other kinds of rows are no replies, see PaidReply
        if row.key and not (row.lost_usd or row.question_type):
            costs[row.key] = costs.get(row.key, 0.0) + (float("nan") if row.usd is None else row.usd)
    return costs


def _text(value: str | msgspec.UnsetType) -> str:
    return "" if isinstance(value, msgspec.UnsetType) else value


def query_columns(row: Any) -> dict[str, Any]:
    """The columns that say which query a training record or a reject comes from."""
    return {
        "query_id": row.query_id,
        "question_type": row.question_type,
        "image_id": image_id_text(row.image_id),
        "image_path": row.image_path,
        "raw_instructions": row.raw_instructions,
        "record_id": row.record_id,
    }
