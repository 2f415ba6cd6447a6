"""A server whose replies list the most probable first tokens, in the forms of OpenAI, vLLM, SGLang and llama.cpp."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

Tokens = dict[str, float]
"""Probabilities of tokens, the most probable one first."""


def openai_form(tokens: Tokens) -> dict[str, Any]:
    """OpenAI's; SGLang's is the same."""
    rows = [{"token": token, "logprob": log(p), "bytes": [*token.encode()]} for token, p in tokens.items()]
    return {"content": [{**rows[0], "top_logprobs": rows}], "refusal": None}


def vllm_form(tokens: Tokens) -> dict[str, Any]:
    """vLLM's: a token that was sampled stands in the list beside the most probable ones, and no logprob is -inf."""
    found = openai_form(tokens)
    found["content"][0]["top_logprobs"].append({"token": "zebra", "logprob": -9999.0, "bytes": [122]})
    return found


def llama_cpp_form(tokens: Tokens) -> dict[str, Any]:
    """llama.cpp's: with ids, and the list sorted by its ids' order of probability."""
    found = openai_form(tokens)
    for number, row in enumerate(found["content"][0]["top_logprobs"]):
        row["id"] = number
    return found


def completion_form(tokens: Tokens) -> dict[str, Any]:
    """That of text completions, which some servers answer chats in."""
    first = next(iter(tokens))
    return {
        "tokens": [first],
        "token_logprobs": [log(tokens[first])],
        "top_logprobs": [{token: log(p) for token, p in tokens.items()}],
        "text_offset": [0],
    }


@contextmanager
def first_token_server(
    answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The base URL, and the bodies of all requests; `answer` gives the status and the response to a request's body."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body)
            status, response = answer(body)
            content = json.dumps(response).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests read the bodies."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(
    logprobs: dict[str, Any] | None, text: str = "A", finish_reason: str = "length"
) -> dict[str, Any]:
    """A chat completion of one token."""
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": logprobs,
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
    }
