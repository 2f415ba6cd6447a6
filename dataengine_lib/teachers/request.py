"""request."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.chat.messages import user_message
from dataengine_lib.core.files import inside
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.json_reply import qa_schema

_OWN_TEACHERS = ("annotations", "replay:")  # these read more of a query than its prompt


class Canon(msgspec.Struct, frozen=True):
    """How queries are asked: what of a run's parameters a reply depends on.

    The output limit, the service tier and the server's address are left out: a reply that is whole is the reply
    under another limit too, and what was paid for is not to be paid for again because of a new address.
    """

    teacher: str  # the model's name, see recorded_name
    temperature: float | None = None
    seed: int | None = None
    max_side: int = 1024
    json_replies: bool = True
    image_root: Path | None = None

    def request(self, query: Query, image: str = "") -> dict[str, Any]:
        """The canonical request: a chat request's body with the image's SHA-256 in place of its bytes.

        `image` is what `image(query)` said before, so that no file is read twice.
        """
        asked: dict[str, Any] = {
            "model": self.teacher,
            "messages": messages(query, image or self.image(query)),
        }
        if self.temperature is not None:
            asked |= {"temperature": self.temperature, "seed": self.seed}
        if self.teacher.startswith(_OWN_TEACHERS):
            fields = ("query_id", "image_id", "image_path", "question_type")
            return asked | {name: getattr(query, name) for name in fields}
        if self.json_replies:
            asked["schema"] = list(qa_schema(query.prompt)["properties"])
        return asked

    def image(self, query: Query) -> str:
        """What stands for the query's picture, empty where none is sent."""
        if not query.attach_image:
            return ""
        return f"sha256:{image_sha256(self.image_root, query.image_path)} at most {self.max_side} pixels"


def messages(query: Query, image: str = "") -> list[dict[str, Any]]:
    """A query as chat messages; `image` stands for its picture, or is its URL."""
    return user_message(query.prompt, image if query.attach_image else "")


def image_sha256(root: Path | None, path: str) -> str:
    """SHA-256 of an image file's bytes, `missing` and its path where there is none: asking for it fails with the reason."""
    if root:
        with suppress(OSError, DataEngineError):
            return hashlib.sha256(inside(root, path).read_bytes()).hexdigest()
    return f"missing {path}"
