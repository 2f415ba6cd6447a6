"""The playground's OpenAI-compatible server on loopback, around any function that writes replies (steps 0, 3 and 4).

In the demo the real client asks the scripted teacher through it; tests make it misbehave on purpose.
"""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any
from urllib.parse import parse_qsl

from dataengine_lib.playground.server_batches import BatchStore, RequestRefused

# Chat messages -> the reply's text; with the JSON schema of `response_format` as second argument if there is one.
_ReplyWriter = Callable[[list[dict[str, Any]]], str]
StructuredWriter = Callable[[list[dict[str, Any]], dict[str, Any]], str]
Fault = str | tuple[int, Any] | None
# One fault per request in their order, or a function of the request's body; see PlaygroundServer.
Faults = Iterable[Fault] | Callable[[dict[str, Any]], Fault]
_CODES = {"401": "invalid_api_key", "404": "model_not_found", "429": "rate_limit_exceeded"}
_TOKEN = re.compile(r"\w+|[^\w\s]")  # splits "(A) dog, cat." into ( A ) dog , cat .
_IMAGE_TOKENS = 85  # what OpenAI counts for a small image
_HANG_S = 60.0  # of a request with fault "timeout", unless the server is closed before


def count_tokens(text: str) -> int:
    """The number of words and punctuation marks, in place of a tokenizer's tokens: the same on every machine."""
    return len(_TOKEN.findall(text))


def message_text(message: dict[str, Any]) -> str:
    """The text of a chat message, whose content may be a text or a list of parts."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


class PlaygroundServer(ThreadingHTTPServer):
    """A server for chat completions, models, files and batches; `serve` starts one.

    `base_url` is the address for clients. `requests` are the chat bodies received so far, in order, those in batches
    included. `before_answer(path)` is called when a call of the Batch API is done and its response not yet sent.

    A fault makes the response to one request go wrong: `"429"`, `"429 retry-after=2"` or another status; `"quota"`;
    `"400 unsupported temperature"` or another field; `"400 says WORDS"`; `"timeout"`; `"drop"` (close the connection);
    `"half"` (of the body); `"malformed"` (JSON); `"wrong-shape"`; `"length"`, `"refusal"` or `"content_filter"` (as
    finish reason); `"no-usage"` (no token counts); `"no-schema"` (refuse a request with `response_format`, else
    behave). `(STATUS, BODY)`: this response, the body as JSON, or as it is where it is bytes. None: behave.
    """

    daemon_threads = True
    # Python's 5 waiting connections are too few for a client that opens many at once.
    request_queue_size = 128

    def __init__(
        self,
        writer: _ReplyWriter,
        faults: Faults,
        structured: StructuredWriter | None,
        headers: Callable[[], dict[str, str]] = dict,
    ) -> None:
        # Port 0: the system chooses a free one.
        super().__init__(("127.0.0.1", 0), _Handler)
        self.writer, self.structured, self.headers = writer, structured, headers
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()  # set when the server closes, so that hanging requests end
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self._lock = threading.Lock()
        self.models: list[dict[str, Any]] = [
            {"id": "playground", "object": "model", "created": 0, "owned_by": "playground"}
        ]
        self.batches = BatchStore(self._batch_answer)
        self.before_answer: Callable[[str], None] = lambda path: None
        self._fault_of = faults if callable(faults) else None
        # after the last fault of a list the server behaves
        self._faults = iter(()) if callable(faults) else chain(faults, repeat(None))

    def received(self, body: dict[str, Any]) -> tuple[int, Fault]:
        """Note a request; returns its number and its fault."""
        with self._lock:
            self.requests.append(body)
            fault = self._fault_of(body) if self._fault_of else next(self._faults)
            return len(self.requests), fault

    def _batch_answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and response body for a request in a batch; only statuses and finish reasons work as faults."""
        number, fault = self.received(body)
        if isinstance(fault, tuple):
            return fault
        if fault and fault[:3].isdigit():
            code = _CODES.get(fault[:3], "")
            return int(fault[:3]), {"error": {"message": f"fault {fault}", "type": code, "code": code}}
        return 200, _completion(number, body["model"], body["messages"], self.written(body), fault or "")

    def written(self, body: dict[str, Any]) -> str:
        """The reply's text, by the structured writer if the request has a JSON schema and there is such a writer."""
        form = body.get("response_format") or {}
        if self.structured and form.get("type") == "json_schema":
            return self.structured(body["messages"], form["json_schema"]["schema"])
        return self.writer(body["messages"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about a client that closes the connection (killed, timed out)."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive: one connection serves many requests
    disable_nagle_algorithm = True
    server: PlaygroundServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests are in `server.requests`."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        batches = self.server.batches
        match path.strip("/").split("/"):
            case ["v1", "batches"]:
                # GET /v1/batches?after=batch-3&limit=20
                options = dict(parse_qsl(query))
                return self._batch(
                    lambda: batches.list(options.get("after", ""), int(options.get("limit", 20)))
                )
            case ["v1", "batches", name]:
                return self._batch(lambda: batches.get(name))
            case ["v1", "files", name, "content"]:
                return self._batch(lambda: batches.content(name))
        if self.path.rstrip("/") == "/v1/models":
            self._send(200, {"object": "list", "data": self.server.models})
        else:
            self._error(404, "", f"no such path: {self.path}")
        return None

    def _batch(self, call: Callable[[], dict[str, Any] | bytes]) -> None:
        """Answer a call of the Batch API with what `call` returns."""
        try:
            found = call()
        except RequestRefused as error:
            return self._error(error.status, "", str(error))
        self.server.before_answer(self.path)
        return self._send_bytes(200, found, {}) if isinstance(found, bytes) else self._send(200, found)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        batches = self.server.batches
        match self.path.strip("/").split("/"):
            case ["v1", "files"]:
                return self._batch(lambda: batches.upload(raw, self.headers["Content-Type"]))
            case ["v1", "batches"]:
                return self._batch(lambda: batches.create(json.loads(raw)))
            case ["v1", "batches", name, "cancel"]:
                return self._batch(lambda: batches.cancel(name))
        if self.path != "/v1/chat/completions":
            return self._error(404, "", f"no such path: {self.path}")
        try:
            body = json.loads(raw)
            messages, model = body["messages"], body["model"]
        except (ValueError, KeyError, TypeError) as error:
            return self._error(400, "invalid_request", f"no chat request: {error}")
        number, fault = self.server.received(body)
        if isinstance(fault, tuple):
            return self._send(*fault)
        # "429 retry-after=2" gives "429" and "2".
        kind, _, wait = (fault or "").partition(" retry-after=")
        if kind == "no-schema":
            if "response_format" in body:
                return self._error(400, "invalid_request", "response_format json_schema is not supported")
            kind = ""
        if self._send_fault(kind, wait):
            return None
        try:
            text = self.server.written(body)
        except Exception as error:  # whatever fails in a writer is a status 500, as on any server
            return self._error(500, "server_error", f"{type(error).__name__}: {error}")
        # Here there is no fault, or one that changes the reply itself.
        completion = _completion(number, model, messages, text, "" if kind == "half" else kind)
        if kind == "half":
            return self._half(json.dumps(completion).encode())
        return self._send(200, completion, {"x-request-id": f"req-{number}"})

    def _send_fault(self, kind: str, wait: str) -> bool:
        """Send the response of a fault that needs no reply; False if there is none of this kind."""
        if kind == "quota":
            self._error(429, "insufficient_quota", "fault quota")
        elif kind.startswith("400 unsupported "):
            name = kind.removeprefix("400 unsupported ")
            self._error(400, "unsupported_parameter", f"Unsupported parameter: '{name}'", param=name)
        elif kind.startswith("400 says "):
            self._error(400, "invalid_request_error", kind.removeprefix("400 says "))
        elif kind.isdigit():
            headers = {"Retry-After": wait} if wait else {}
            self._error(int(kind), _CODES.get(kind, ""), f"fault {kind}", headers)
        elif kind in ("timeout", "drop"):
            if kind == "timeout":
                self.server.closing.wait(_HANG_S)
            self.close_connection = True
        elif kind == "malformed":
            self._send_bytes(200, b'{"id": "chat', {})
        elif kind == "wrong-shape":
            self._send(200, {"error": {"message": "upstream went away"}})
        else:
            return False
        return True

    def _half(self, body: bytes) -> None:
        """Send the first half of a body whose whole length was announced, then close the connection."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])

    def _error(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
        param: str | None = None,
    ) -> None:
        error = {"message": message, "type": code, "code": code, "param": param}
        self._send(status, {"error": error}, headers)

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(
            status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or {}
        )

    def _send_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        headers |= self.server.headers()
        for name, value in headers.items():
            self.send_header(name, value)
        # Headers and body in one packet: the body would wait until the headers are acknowledged (Nagle's algorithm).
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]
        self.flush_headers()


def _completion(
    number: int, model: str, messages: list[dict[str, Any]], text: str, fault: str
) -> dict[str, Any]:
    """The body of a chat completion, with the finish reason of `fault`. Source: OpenAI's API reference."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    finish = "stop"
    if fault == "length":
        message["content"], finish = text[: len(text) // 2], "length"
    elif fault == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    elif fault == "content_filter":
        message["content"], finish = "", "content_filter"
    elif fault and fault != "no-usage":
        raise ValueError(f"unknown fault {fault!r}")
    prompt_tokens = sum(count_tokens(message_text(message)) for message in messages)
    parts = [
        part for message in messages if isinstance(message["content"], list) for part in message["content"]
    ]
    prompt_tokens += _IMAGE_TOKENS * sum(part.get("type") == "image_url" for part in parts)
    written = count_tokens(message["content"] or "")
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": written, "total_tokens": prompt_tokens + written,
             "prompt_tokens_details": {"cached_tokens": 0}}  # fmt: skip
    return {
        "id": f"chat-{number}", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        **({} if fault == "no-usage" else {"usage": usage}),
    }  # fmt: skip


@contextmanager
def serve(
    writer: _ReplyWriter,
    faults: Faults = (),
    structured: StructuredWriter | None = None,
    headers: Callable[[], dict[str, str]] = dict,
) -> Iterator[PlaygroundServer]:
    """A running server on a free port of 127.0.0.1; `writer` turns chat messages into the reply's text.

    `structured` does so for requests with a JSON schema; without it a schema is accepted and ignored, as some servers
    do. `headers` returns headers for every response.
    """
    server = PlaygroundServer(writer, faults, structured, headers)
    # poll_interval: shutdown waits that long at most (Python's own is 0.5 s).
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
