"""A local server that speaks as a vendor does: one for all cells of the table, a path for each."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from dataengine_lib.playground.server_batches import BatchStore
from vendors.dialect import KEY, BatchApi, Sent, Vendor

Script = Callable[[dict[str, Any], int], Sent]
"""What a request's body is answered with, the number of the request from 0."""


@dataclass
class Line:
    """One path of the server: its URL, what it answers with, and the requests that came, those in batches included.

    `on_call` is what a call of the Batch API is answered with instead, the number of the call from 0.
    """

    url: str
    script: Script
    vendor: Vendor
    requests: list[dict[str, Any]] = field(default_factory=list)
    on_call: Callable[[int], Sent | None] = lambda number: None
    calls: int = 0

    def __post_init__(self) -> None:
        self.batches = BatchStore(self._in_batch)

    def sent(self, body: dict[str, Any]) -> Sent:
        """The response to a chat request."""
        self.requests.append(body)
        return self.script(body, len(self.requests) - 1)

    def _in_batch(self, body: dict[str, Any]) -> tuple[int, Any]:
        found = self.sent(body)
        return found.status, json.loads(found.body) if isinstance(found.body, str) else found.body

    def batch_call(self, method: str, path: list[str], raw: bytes, kind: str) -> Sent | None:
        """The response to a call of the Batch API; None where the path is none of it."""
        api = self.vendor.batches
        if path[0] not in ("files", "batches") or not isinstance(api, BatchApi):
            return None
        number, self.calls = self.calls, self.calls + 1
        if (fault := self.on_call(number)) is not None:
            return fault
        match method, *path:
            case "POST", "files":
                return Sent(200, api.upload(self.batches.upload(raw, kind)))
            case "GET", "files", name, "content":
                return Sent(200, self.batches.content(name).decode())
            case "POST", "batches":
                return Sent(200, api.state(self.batches.create(json.loads(raw))))
            case "GET", "batches", name:
                return Sent(200, api.state(self.batches.get(name)))
        found = self.batches.list("", 100)
        return Sent(200, found | {"data": [api.state(batch) for batch in found["data"]]})


class VendorServer:
    """The lines of one HTTP server by the first part of their path."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lines: dict[str, Line] = {}

    def line(self, script: Script, vendor: Vendor) -> Line:
        """A new line."""
        name = f"cell{len(self.lines)}"
        self.lines[name] = Line(f"http://127.0.0.1:{self.port}/{name}/v1", script, vendor)
        return self.lines[name]


@contextmanager
def vendor_server() -> Iterator[VendorServer]:
    """A server on loopback for as long as the block runs."""
    found: list[VendorServer] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # head and body in one packet: two of them wait for each other's acknowledgement

        def log_message(self, *given: Any) -> None: ...

        def do_GET(self) -> None:
            self.answer("GET")

        def do_POST(self) -> None:
            self.answer("POST")

        def answer(self, method: str) -> None:
            # /cell7/v1/batches/batch-0?limit=100
            name, _, *path = self.path.partition("?")[0].strip("/").split("/")
            line = found[0].lines[name]
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = line.batch_call(method, path, raw, self.headers.get("Content-Type", ""))
            if sent is None:
                sent = line.sent(json.loads(raw))
            text = sent.body if isinstance(sent.body, str) else json.dumps(sent.body)
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            data = (line.vendor.lead + text.replace(KEY, key)).encode()
            self.send_response(sent.status)
            headers = {"Content-Type": "application/json", **sent.headers, "Content-Length": str(len(data))}
            for head, value in headers.items():
                self.send_header(head, value)
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.append(VendorServer(server.server_port))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found[0]
    finally:
        server.shutdown()
        server.server_close()
