"""Step 3: queries, and the canonical requests by whose keys the ledger knows their replies."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.chat.messages import user_message
from dataengine_lib.core.bad_rows import MALFORMED, BadRow, BadRows, usable_rows
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import QaForm, Query
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_file
from dataengine_lib.replies.qa_json import qa_schema

_NOT_PROMPTED = ("annotations", "replay:")  # these read more of a query than its prompt


class CanonicalRequests(msgspec.Struct, frozen=True):
    """Makes the canonical request of a query from those parameters that its reply depends on.

    The output limit, the service tier and the server's address are not among them: a complete reply would be the same
    under another limit, and a new address is no reason to pay again. `teacher` is the name of `recorded_name`.
    """

    teacher: str
    temperature: float | None = None
    seed: int | None = None
    max_side: int = 1024
    json_replies: bool = True
    image_root: Path | None = None

    def of(self, query: Query, image: str = "") -> dict[str, Any]:
        """A chat request's body with the image's SHA-256 in place of its bytes.

        `image` is an earlier result of `image_name(query)`, so that no file is read twice.
        """
        request: dict[str, Any] = {
            "model": self.teacher,
            "messages": messages(query, image or self.image_name(query)),
        }
        if self.temperature is not None:
            request |= {"temperature": self.temperature, "seed": self.seed}
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        if self.teacher.startswith(_NOT_PROMPTED):
            fields = ("query_id", "image_id", "image_path", "question_type")
            return request | {name: getattr(query, name) for name in fields}
        if self.json_replies:
            # Names only: they show whether a short answer is asked for, and a change of details keeps the
            # keys.
            request["schema"] = list(qa_schema(query.prompt, QaForm.of(query))["properties"])
        return request

    def image_name(self, query: Query) -> str:
        """What stands for the query's picture in its request, empty where none is sent."""
        if not query.attach_image:
            return ""
        return f"sha256:{_image_sha256(self.image_root, query.image_path)} at most {self.max_side} pixels"


def messages(query: Query, image: str = "") -> list[dict[str, Any]]:
    """A query as chat messages; `image` is the URL of its picture, or what stands for it."""
    return user_message(query.prompt, image if query.attach_image else "")


def _image_sha256(root: Path | None, path: str) -> str:
    """SHA-256 of an image file's bytes; `missing` and the path where there is none: its request fails with the reason."""
    if root:
        with suppress(OSError, DataEngineError):
            return hashlib.sha256(image_file(root, path).read_bytes()).hexdigest()
    return f"missing {path}"


class _Row(Query, kw_only=True):
    """A row of the file; questions with their answers, as step 1 writes them, have a prompt and a type too."""

    correct_choice_idx: int | None = None


def read_queries(path: Path, bad: BadRows) -> list[Query]:
    """The queries of `path`; rows without a query id get one that their content decides.

    Rows that cannot be asked are added to `bad`: without a prompt or a type, or with the id of an earlier one.
    Raises DataEngineError when the file holds no queries, or too many of its rows cannot be used.
    """
    queries = _usable_queries(path, bad, {})
    if not queries:
        raise DataEngineError(f"{path}: holds no queries; give gptvqa_prompt.json of construct-queries")
    return queries


def read_spares(path: Path, bad: BadRows, main: Sequence[Query]) -> list[Query]:
    """The spare queries of `path`, which may be none; a row with the id of one of `main` cannot be asked either.

    Raises DataEngineError as `read_queries` does.
    """
    return _usable_queries(path, bad, {query.query_id: "a query of input" for query in main})


def _usable_queries(path: Path, bad: BadRows, first: dict[str, str]) -> list[Query]:
    """The queries of `path` whose ids are not in `first`, which says where an id stands; the other rows go to `bad`."""
    queries: list[Query] = []
    for where, row in usable_rows(json_rows(path), _Row, bad):
        query = Query(**{name: getattr(row, name) for name in Query.__struct_fields__})
        if row.correct_choice_idx is not None:
            bad.add(BadRow(where, "is a question with its answer, not a query", MALFORMED))
            continue
        if not query.query_id:
            content = f"{query.image_id}\n{query.question_type}\n{query.prompt}".encode()
            query.query_id = f"r-{hashlib.sha256(content).hexdigest()[:16]}"
        if not query.prompt.strip() or not query.question_type.strip():
            empty = "question_type" if query.prompt.strip() else "prompt"
            bad.add(BadRow(where, f"{empty} is empty", MALFORMED))
        elif query.query_id in first:
            same = f"the same query_id as {first[query.query_id]} ({one_line(query.query_id)[:60]})"
            bad.add(BadRow(where, same, "repeated query_id"))
        else:
            queries.append(query)
            first[query.query_id] = where
    bad.check()
    return queries
