"""A local server that speaks as a vendor does: one for all cells of the table, a path for each."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from vendors.dialect import KEY, Sent

Script = Callable[[dict[str, Any], int], Sent]
"""What a request's body is answered with, the number of the request from 0."""


@dataclass
class Line:
    """One path of the server: its URL, what it answers with, and the requests that came."""

    url: str
    script: Script
    lead: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)


class VendorServer:
    """The lines of one HTTP server by the first part of their path."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lines: dict[str, Line] = {}

    def line(self, script: Script, lead: str = "") -> Line:
        """A new line."""
        name = f"cell{len(self.lines)}"
        self.lines[name] = Line(f"http://127.0.0.1:{self.port}/{name}/v1", script, lead)
        return self.lines[name]


@contextmanager
def vendor_server() -> Iterator[VendorServer]:
    """A server on loopback for as long as the block runs."""
    found: list[VendorServer] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # head and body in one packet: two of them wait for each other's acknowledgement

        def log_message(self, *given: Any) -> None: ...

        def do_POST(self) -> None:
            line = found[0].lines[self.path.split("/")[1]]
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            line.requests.append(body)
            sent = line.script(body, len(line.requests) - 1)
            text = sent.body if isinstance(sent.body, str) else json.dumps(sent.body)
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            data = (line.lead + text.replace(KEY, key)).encode()
            self.send_response(sent.status)
            headers = {"Content-Type": "application/json", **sent.headers, "Content-Length": str(len(data))}
            for name, value in headers.items():
                self.send_header(name, value)
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
