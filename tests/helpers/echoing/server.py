"""A server that repeats what it was sent, keys and passwords included, in any part of its answer."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

KEY = "sk-canary-5d1e8b+/x"
USER, PASSWORD, TOKEN, QUERY = "cänary@user", 'p@ss/can"ary<1>', "tok-canary-77%", "query+canary=9"
QA = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)


class Given(NamedTuple):
    """A server's URL as users write it: what stands before the host and behind the path, and what of it is secret."""

    name: str
    before: str
    behind: str
    secrets: tuple[str, ...]

    def url(self, port: int) -> str:
        return f"http://{self.before}127.0.0.1:{port}/v1{self.behind}"


GIVEN = [
    Given("key", "", "", ()),
    Given(
        "password",
        f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@",
        "",
        (USER, PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()),
    ),
    Given(
        "token",
        f"{quote(TOKEN, safe='')}@",
        "",
        (TOKEN, base64.b64encode(f"{TOKEN}:".encode()).decode()),
    ),
    Given("query", "", f"?api-version=7&api-key={quote(QUERY, safe='')}", (QUERY,)),
]
# What the server answers: (name, status, how the body is made of the echoed text).
ANSWERS: list[tuple[str, int, Any]] = [
    ("in the reply", 200, lambda echo: {"choices": [{"message": {"content": f"{QA}\n{echo}"}}], "model": echo,
                                        "id": echo, "usage": {"prompt_tokens": 3, "completion_tokens": 4, "note": echo}}),
    ("cut", 200, lambda echo: {"choices": [{"message": {"content": echo}, "finish_reason": "length"}], "model": echo}),
    ("empty", 200, lambda echo: {"choices": [{"message": {"content": None, "reasoning": echo},
                                              "finish_reason": "stop"}], "id": echo}),
    ("of a provider", 200, lambda echo: {"choices": [{"finish_reason": "error", "error": {"message": echo},
                                                      "message": {"content": echo}}]}),
    ("refused", 400, lambda echo: {"error": {"message": f"refused {echo}", "code": echo, "param": echo}}),
    ("as text in a text", 400, lambda echo: {"error": json.dumps({"detail": [{"loc": [echo], "msg": echo}]})}),
    ("key refused", 401, lambda echo: {"error": {"message": f"Incorrect API key provided: {echo}"}}),
    ("page", 403, lambda echo: f"<html><title>{escape(echo)}</title></html>"),
    ("busy", 503, lambda echo: echo),
]  # fmt: skip


def forms(secrets: tuple[str, ...]) -> set[str]:
    """Every form of the secrets that no file or line may hold, beside base64 of the key."""
    found = {base64.b64encode(KEY.encode()).decode().rstrip("=")}
    for secret in (KEY, *secrets):
        once = json.dumps(secret)[1:-1]
        found |= {secret, quote(secret), quote(secret, safe=""), once, json.dumps(once)[1:-1], escape(secret)}
        found |= {json.dumps(secret, ensure_ascii=False)[1:-1]}
    return found


def leaks(folder: Path, given: Given, printed: str = "") -> list[str]:
    """Where a secret stands: files below `folder`, or `printed`."""
    secrets = forms(given.secrets)
    texts = {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    texts["printed"] = printed.encode()
    return [
        f"{name}: {secret}" for name, text in texts.items() for secret in secrets if secret.encode() in text
    ]


class EchoServer(ThreadingHTTPServer):
    """`paths` are those asked for, with their queries; `headers` the Authorization headers that came along."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.paths: list[str] = []
        self.headers: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: EchoServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self._answer(self.server.status, self.server.body)

    def do_GET(self) -> None:
        self._answer(200, lambda echo: {"data": [{"id": echo, "shutdown_date": echo}]})

    def _answer(self, status: int, body: Any) -> None:
        authorization = self.headers.get("Authorization") or ""
        self.server.paths.append(self.path)
        self.server.headers.append(authorization)
        kind, _, value = authorization.partition(" ")
        decoded = base64.b64decode(value).decode() if kind == "Basic" else value
        user, _, password = decoded.partition(":")
        query = urlsplit(self.path).query
        values = [unquote(part.partition("=")[2]) for part in query.split("&")]
        coded = [quote(password, safe=""), base64.b64encode(KEY.encode()).decode()]
        echo = " | ".join([authorization, decoded, user, password, query, *values, KEY, *coded])
        made = body(echo)
        data = (made if isinstance(made, str) else json.dumps(made)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-request-id", f"req {KEY}")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def echo_server(status: int, body: Any) -> Iterator[EchoServer]:
    """The server, listening on a free port of this machine."""
    with EchoServer(status, body) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
