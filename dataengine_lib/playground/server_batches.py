"""Step 3 of the playground: the Batch API's files and batches, for the server on loopback.

Source of the paths and fields: OpenAI's API reference, "Batch" and "Files".
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[int, dict[str, Any]], tuple[int, dict[str, Any]]]
ENDPOINT = "/v1/chat/completions"
MOST_LINES, MOST_BYTES = 50_000, 200_000_000


class Refused(Exception):
    """An error answer: status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Batches:
    """Uploaded files and the batches made of them; `answer(number, body)` gives each line's status and body.

    `expire` says after how many lines the batch of that number ends as expired, None for never. `took` counts the
    lines that were answered, by custom id: what a user pays for. `fail` gives an error code to a batch that is to fail,
    `spoil` what is sent of a file in place of its content.
    """

    def __init__(self, answer: Answer, expire: Callable[[int], int | None] = lambda number: None) -> None:
        self.answer, self.expire = answer, expire
        self.fail: Callable[[int], str | None] = lambda number: None
        self.spoil: Callable[[bytes], bytes] = lambda content: content
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.took: list[str] = []
        self._lock = threading.Lock()

    def upload(self, raw: bytes, content_type: str) -> dict[str, Any]:
        """The file of a multipart form."""
        boundary = content_type.partition("boundary=")[2].strip('"').encode()
        for part in raw.split(b"--" + boundary):
            head, _, body = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                return self._keep(body.removesuffix(b"\r\n"))
        raise Refused(400, "no file in the form")

    def _keep(self, content: bytes) -> dict[str, Any]:
        with self._lock:
            name = f"file-{len(self.files)}"
            self.files[name] = content
        return {"id": name, "object": "file", "bytes": len(content), "purpose": "batch", "created_at": 0,
                "filename": "batch.jsonl", "status": "processed"}  # fmt: skip

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A new batch, at work at once."""
        content = self.files.get(asked["input_file_id"])
        if content is None:
            raise Refused(400, f"no file {asked['input_file_id']}")
        with self._lock:
            number = len(self.batches)
            batch = {"id": f"batch-{number}", "object": "batch", "endpoint": asked["endpoint"], "created_at": number,
                     "completion_window": asked["completion_window"], "input_file_id": asked["input_file_id"],
                     "status": "validating", "metadata": asked.get("metadata"), "output_file_id": None,
                     "error_file_id": None, "errors": None,
                     "request_counts": {"total": 0, "completed": 0, "failed": 0}}  # fmt: skip
            self.batches[batch["id"]] = batch
        threading.Thread(target=self._work, args=(number, batch, content), daemon=True).start()
        return batch

    def get(self, name: str) -> dict[str, Any]:
        """A batch as it stands."""
        if name not in self.batches:
            raise Refused(404, f"no batch {name}")
        return self.batches[name]

    def list(self, after: str, limit: int) -> dict[str, Any]:
        """The batches, newest first, from the one after `after`."""
        names = list(self.batches)[::-1]
        begin = names.index(after) + 1 if after in names else 0
        page = names[begin : begin + limit]
        return {"object": "list", "data": [self.batches[name] for name in page],
                "has_more": begin + limit < len(names), "first_id": page[0] if page else None,
                "last_id": page[-1] if page else None}  # fmt: skip

    def cancel(self, name: str) -> dict[str, Any]:
        """The batch will stop soon, with what is done."""
        batch = self.get(name)
        if batch["status"] not in ("validating", "in_progress"):
            raise Refused(409, f"cannot cancel a batch that is {batch['status']}")
        batch["status"] = "cancelling"
        return batch

    def content(self, name: str) -> bytes:
        """What a file holds."""
        if name not in self.files:
            raise Refused(404, f"no file {name}")
        return self.spoil(self.files[name])

    def _work(self, number: int, batch: dict[str, Any], content: bytes) -> None:
        lines = content.splitlines()
        counts = batch["request_counts"]
        counts["total"] = len(lines)
        code = self.fail(number) or (
            "too_large" if len(lines) > MOST_LINES or len(content) > MOST_BYTES else ""
        )
        if code:
            said = "more than 50,000 lines or 200 MB" if code == "too_large" else code.replace("_", " ")
            error = {"code": code, "message": said, "line": None}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
            return
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        good: list[bytes] = []
        bad: list[bytes] = []
        end, ending = self.expire(number), "completed"
        for place, line in enumerate(lines):
            asked = json.loads(line)
            if batch["status"] == "cancelling" or place == end:
                ending = "cancelled" if batch["status"] == "cancelling" else "expired"
                bad += [_line(json.loads(rest)["custom_id"], None, ending) for rest in lines[place:]]
                break
            status, body = self.answer(number, asked["body"])
            self.took += [asked["custom_id"]] * (status == 200)
            (good if status == 200 else bad).append(_line(asked["custom_id"], (status, body)))
            counts["completed" if status == 200 else "failed"] += 1
            if place % 1000 == 999:
                time.sleep(0.001)  # others have a turn
        for field, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[field] = self._keep(b"\n".join(rows) + b"\n")["id"]
        batch["status"] = ending


def _line(custom_id: str, answer: tuple[int, dict[str, Any]] | None, ending: str = "") -> bytes:
    row: dict[str, Any] = {
        "id": f"line-{custom_id[:8]}",
        "custom_id": custom_id,
        "response": None,
        "error": None,
    }
    if answer is None:
        row["error"] = {"code": f"batch_{ending}", "message": f"This request was not executed: {ending}."}
    else:
        row["response"] = {"status_code": answer[0], "request_id": "r", "body": answer[1]}
    return json.dumps(row).encode()
