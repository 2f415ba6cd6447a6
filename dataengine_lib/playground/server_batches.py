"""The Batch API's files and batches in memory, for the playground's server (step 3, `mode: batch`).

Source of the paths and fields: OpenAI's API reference, "Batch" and "Files".
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

MOST_LINES, MOST_BYTES = 50_000, 200_000_000  # of one batch, OpenAI's own limits


class RequestRefused(Exception):
    """Makes the server answer with this status and error message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BatchStore:
    """Uploaded files and the batches made of them; `answer(body)` gives each request's status and response body.

    `answered` lists the custom ids of the requests with status 200, which a user pays for. Three functions make
    batches go wrong: `expires_after(number)` is the line after which the batch of that number expires and
    `error_code(number)` the code with which it fails, both None for not at all; `corrupt(content)` is what is sent of a
    file.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]) -> None:
        self.answer = answer
        self.expires_after: Callable[[int], int | None] = lambda number: None
        self.error_code: Callable[[int], str | None] = lambda number: None
        self.corrupt: Callable[[bytes], bytes] = lambda content: content
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered: list[str] = []
        self._lock = threading.Lock()

    def upload(self, raw: bytes, content_type: str) -> dict[str, Any]:
        """Store the file of a multipart form; returns its description."""
        boundary = content_type.partition("boundary=")[2].strip('"').encode()
        # a part: `\r\nContent-Disposition: form-data; name="file"; …\r\n\r\nCONTENT\r\n`
        for part in raw.split(b"--" + boundary):
            head, _, body = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                return self._keep(body.removesuffix(b"\r\n"))
        raise RequestRefused(400, "no file in the form")

    def _keep(self, content: bytes) -> dict[str, Any]:
        with self._lock:
            name = f"file-{len(self.files)}"
            self.files[name] = content
        return {"id": name, "object": "file", "bytes": len(content), "purpose": "batch", "created_at": 0,
                "filename": "batch.jsonl", "status": "processed"}  # fmt: skip

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """A new batch, whose requests are answered in a thread from now on."""
        content = self.files.get(request["input_file_id"])
        if content is None:
            raise RequestRefused(400, f"no file {request['input_file_id']}")
        with self._lock:
            number = len(self.batches)
            batch = {"id": f"batch-{number}", "object": "batch", "endpoint": request["endpoint"], "created_at": number,
                     "completion_window": request["completion_window"], "input_file_id": request["input_file_id"],
                     "status": "validating", "metadata": request.get("metadata"), "output_file_id": None,
                     "error_file_id": None, "errors": None,
                     "request_counts": {"total": 0, "completed": 0, "failed": 0}}  # fmt: skip
            self.batches[batch["id"]] = batch
        threading.Thread(target=self._work, args=(number, batch, content), daemon=True).start()
        return batch

    def get(self, name: str) -> dict[str, Any]:
        """The batch in its present state."""
        if name not in self.batches:
            raise RequestRefused(404, f"no batch {name}")
        return self.batches[name]

    def list(self, after: str, limit: int) -> dict[str, Any]:
        """A page of the batches, newest first, from the one after `after` on."""
        # a dict keeps the order of creation
        names = list(self.batches)[::-1]
        begin = names.index(after) + 1 if after in names else 0
        page = names[begin : begin + limit]
        return {"object": "list", "data": [self.batches[name] for name in page],
                "has_more": begin + limit < len(names), "first_id": page[0] if page else None,
                "last_id": page[-1] if page else None}  # fmt: skip

    def cancel(self, name: str) -> dict[str, Any]:
        """Stop the batch soon; what was answered is kept."""
        batch = self.get(name)
        if batch["status"] not in ("validating", "in_progress"):
            raise RequestRefused(409, f"cannot cancel a batch that is {batch['status']}")
        batch["status"] = "cancelling"
        return batch

    def content(self, name: str) -> bytes:
        """The content of a file, corrupted if a test asks for it."""
        if name not in self.files:
            raise RequestRefused(404, f"no file {name}")
        return self.corrupt(self.files[name])

    def _work(self, number: int, batch: dict[str, Any], content: bytes) -> None:
        """Answer a batch's requests until all are done, it is cancelled or it expires."""
        lines = content.splitlines()
        counts = batch["request_counts"]
        counts["total"] = len(lines)
        code = self.error_code(number) or (
            "too_large" if len(lines) > MOST_LINES or len(content) > MOST_BYTES else ""
        )
        if code:
            message = "more than 50,000 lines or 200 MB" if code == "too_large" else code.replace("_", " ")
            error = {"code": code, "message": message, "line": None}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
            return
        # else it was cancelled before this thread began
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        good: list[bytes] = []
        bad: list[bytes] = []
        end, ending = self.expires_after(number), "completed"
        for place, line in enumerate(lines):
            request = json.loads(line)
            if batch["status"] == "cancelling" or place == end:
                ending = "cancelled" if batch["status"] == "cancelling" else "expired"
                # requests that were not reached are listed in the error file
                bad += [_line(json.loads(rest)["custom_id"], None, ending) for rest in lines[place:]]
                break
            status, body = self.answer(request["body"])
            self.answered += [request["custom_id"]] * (status == 200)
            (good if status == 200 else bad).append(_line(request["custom_id"], (status, body)))
            counts["completed" if status == 200 else "failed"] += 1
            if place % 1000 == 999:
                time.sleep(0.001)  # lets other threads run
        # without lines there is no file: its id stays None
        for field, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[field] = self._keep(b"\n".join(rows) + b"\n")["id"]
        # set last, so that a batch that has ended has its files
        batch["status"] = ending


def _line(custom_id: str, answer: tuple[int, dict[str, Any]] | None, ending: str = "") -> bytes:
    """A line of an output or error file; without an answer, of a request that `ending` ended first."""
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
