"""The chat client: strict JSON where the server takes it, else text; replies in any form; errors without secrets."""

import asyncio
import email.utils
import json
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest

from dataengine_lib.chat.ask_many import ask_each
from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.server_errors import retry_after
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import Faults, PlaygroundServer, serve
from dataengine_lib.replies.json_reply import strict_object

SCHEMA = strict_object(answer={"type": "string", "enum": ["A", "B"]})


def say(messages: list[dict[str, Any]]) -> str:
    return f"text for {messages[-1]['content']}"


def fill_in(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
    return f'{{"answer": "{schema["properties"]["answer"]["enum"][0]}"}}'


async def _complete(client: ChatClient, texts: list[str], schema: dict[str, Any] | None) -> list[Reply]:
    async with client:
        asked = [client.complete([{"role": "user", "content": text}], schema=schema) for text in texts]
        return await asyncio.gather(*asked)


def complete(
    texts: list[str], faults: Faults = (), schema: dict[str, Any] | None = SCHEMA, model: str = "local"
) -> tuple[list[Reply], PlaygroundServer, ChatClient]:
    with serve(say, faults, fill_in) as server:
        client = ChatClient(model, server.base_url, "sk-secret-1234", ChatSettings(max_attempts=2), "student")
        return asyncio.run(_complete(client, texts, schema)), server, client


def forms(server: PlaygroundServer) -> list[bool]:
    return ["response_format" in body for body in server.requests]


def test_a_schema_is_sent_strictly_and_the_reply_says_so() -> None:
    (reply,), server, client = complete(["x"])
    assert (reply.text, reply.structured, reply.attempts, client.sent) == ('{"answer": "A"}', True, 1, 1)
    named = {"name": "answer", "strict": True, "schema": SCHEMA}
    assert server.requests[0]["response_format"] == {"type": "json_schema", "json_schema": named}
    assert SCHEMA["required"] == ["answer"] and SCHEMA["additionalProperties"] is False


def test_without_a_schema_none_is_sent() -> None:
    (reply,), server, _ = complete(["x"], schema=None)
    assert (reply.text, reply.structured, forms(server)) == ("text for x", False, [False])


def test_a_server_without_schemas_is_asked_for_one_once_also_by_many_at_a_time() -> None:
    texts = [f"q{number}" for number in range(12)]
    replies, server, client = complete(texts, lambda body: "no-schema")
    assert [reply.text for reply in replies] == [f"text for {text}" for text in texts]
    assert not any(reply.structured for reply in replies) and all(reply.attempts == 1 for reply in replies)
    assert Counter(forms(server)) == {True: 1, False: 12} and client.sent == 13


def test_what_was_learned_about_a_server_is_kept_when_connections_reopen() -> None:
    with serve(say, lambda body: "no-schema") as server:
        client = ChatClient("local", server.base_url, "k")
        for _ in range(2):
            asyncio.run(_complete(client, ["x"], SCHEMA))
        assert forms(server) == [True, False, False]


def test_a_plain_400_to_the_first_schema_is_tried_without() -> None:
    replies, server, _ = complete(["x", "y"], lambda body: "400" if "response_format" in body else None)
    assert [reply.structured for reply in replies] == [False, False]
    assert forms(server) == [True, False, False]


def test_a_400_with_and_without_the_schema_is_not_due_to_the_schema() -> None:
    with serve(say, ["400", "400"], fill_in) as server:
        client = ChatClient("local", server.base_url, "k")
        with pytest.raises(AskFailed, match="400"):
            asyncio.run(_complete(client, ["bad"], SCHEMA))
        (reply,) = asyncio.run(_complete(client, ["good"], SCHEMA))
    assert reply.structured and forms(server) == [True, False, True]


def test_a_400_after_schemas_were_taken_is_that_requests_own() -> None:
    with serve(say, [None, "400"], fill_in) as server:
        client = ChatClient("local", server.base_url, "k")
        asyncio.run(_complete(client, ["x"], SCHEMA))
        with pytest.raises(AskFailed, match="400"):
            asyncio.run(_complete(client, ["x"], SCHEMA))
        assert forms(server) == [True, True]


def test_passing_faults_are_tried_again_with_the_schema() -> None:
    (reply,), server, _ = complete(["x"], ["429"])
    assert reply.structured and reply.attempts == 2 and forms(server) == [True, True]


def test_a_stop_names_the_role_and_the_server() -> None:
    with pytest.raises(TeacherStop, match=r"^student at http://127.* key was refused"):
        complete(["x"], ["401"])
    with pytest.raises(TeacherStop, match="'gone' is not served"):
        complete(["x"], ["404"], model="gone")


def answer(content: Any, finish: Any = "stop", **usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {
        "id": "x",
        "model": "m",
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": usage,
    }


@contextmanager
def raw(status: int, body: Any, headers: dict[str, str] | None = None) -> Iterator[str]:
    """The URL of a server that always sends this; `KEY` in it becomes the key that it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *given: Any) -> None: ...

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps(body).replace("KEY", self.headers["Authorization"]).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def ask(url: str, attempts: int = 1) -> Reply:
    client = ChatClient("local", url, "sk-secret-1234", ChatSettings(max_attempts=attempts), "student")
    (reply,) = asyncio.run(_complete(client, ["x"], None))
    return reply


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("body", "text", "tokens"),
    [
        (answer([THOUGHT, {"type": "text", "text": "A"}], prompt_tokens=5, completion_tokens=2), "A", (5, 2)),
        (answer("A", prompt_tokens=5.0, completion_tokens=2.5), "A", (5, 2)),
        (answer("A", prompt_tokens="5", completion_tokens=None), "A", (5, 0)),
        (answer("A", prompt_tokens=float("nan"), completion_tokens="many"), "A", (0, 0)),
        (answer("A \ud83d", None, prompt_tokens=5), "A ?", (5, 0)),
        (answer({"text": "A"}), "", (0, 0)),
        ({**answer("A"), "usage": [1], "id": 7, "model": None}, "A", (0, 0)),
    ],
    ids=["parts", "floats", "texts", "no numbers", "half a character", "object", "other types"],
)
def test_paid_replies_of_any_form_are_read(body: Any, text: str, tokens: tuple[int, int]) -> None:
    with raw(200, body) as url:
        reply = ask(url)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == (text, *tokens)
    assert isinstance(reply.prompt_tokens, int) and reply.finish_reason == ("stop" if text else "empty")
    assert msgspec.json.decode(msgspec.json.encode(reply), type=Reply) == reply


@pytest.mark.parametrize(
    "when", ["nan", "inf", "1e400", "", "soon", "Thu, 01 Jan 99999 00:00:00 GMT", "Mon, 99 Foo 2099 00:00:00",
             "Sat, 01 Jan 2396 00:00:00 GMT", "Wed, 31 Feb 2026 99:99:99 GMT"]
)  # fmt: skip
def test_an_absurd_retry_after_does_not_stop_the_run(when: str) -> None:
    with (
        raw(429, {"error": {"message": "slow"}}, {"Retry-After": when}) as url,
        pytest.raises(AskFailed, match="slow"),
    ):
        ask(url, attempts=2)


@pytest.mark.parametrize("days", [-2, 0, 2])
def test_a_date_to_wait_for_is_of_the_servers_clock(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86_400)
    sent, until = (email.utils.formatdate(now + seconds, usegmt=True) for seconds in (0, 20))
    assert retry_after({"date": sent, "retry-after": until}) == 20
    assert retry_after({"date": until, "retry-after": sent}) == 0
    assert retry_after({"date": "soon", "retry-after": "7"}) == 7


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_filtered_request_is_declined_and_not_the_servers_fault(schema: dict[str, Any] | None) -> None:
    error = {"message": "filtered by the content management policy", "code": "content_filter"}
    with raw(400, {"error": error}) as url, pytest.raises(AskFailed, match="filtered") as caught:
        client = ChatClient("local", url, "k")
        asyncio.run(_complete(client, ["x"], schema))
    assert caught.value.declined and not caught.value.teacher_at_fault and client.sent == 1


ECHO = {"error": {"message": "no access for KEY", "code": "KEY"}}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        *[(status, ECHO, {}) for status in (400, 401, 402, 403, 404, 422, 429, 500)],
        (400, {"error": {"message": "KEY", "code": "content_filter"}}, {}),
        (429, {"error": {"message": "KEY", "code": "insufficient_quota"}}, {}),
        (429, ECHO, {"Retry-After": "9999"}),
        (200, {"error": "KEY", "choices": []}, {}),
    ],
)
def test_the_key_is_in_no_traceback(status: int, body: Any, headers: dict[str, str]) -> None:
    async def ask_many() -> None:
        async with ChatClient("local", url, "sk-secret-1234", ChatSettings(max_attempts=1)) as client:

            async def ask(item: str) -> Reply:
                return await client.complete([{"role": "user", "content": item}], schema=SCHEMA)

            await ask_each(ask, ["x"] * 9, 2, lambda item, reply: None, lambda item, failure: None)

    with raw(status, body, headers) as url:
        with pytest.raises((AskFailed, TeacherStop)) as one:
            ask(url)
        try:
            asyncio.run(ask_many())
        except TeacherStop as stop:
            assert "sk-secret" not in "".join(traceback.format_exception(stop))
    shown = "".join(traceback.format_exception(one.value))
    assert "sk-secret" not in shown and "another exception" not in shown


def test_a_run_interrupted_in_a_pause_does_not_show_the_key() -> None:
    async def interrupted() -> None:
        async with ChatClient("local", url, "sk-secret-1234") as client:
            task = asyncio.create_task(client.complete([{"role": "user", "content": "x"}]))
            while not client.sent:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            task.cancel()
            await task

    with raw(429, ECHO, {"Retry-After": "60"}) as url, pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(interrupted())
    shown = "".join(traceback.format_exception(caught.value))
    assert "pause(pause)" in shown and "sk-secret" not in shown


def test_the_urls_password_is_in_no_message() -> None:
    url = "http://user:s3/cret@here/v1"
    with pytest.raises(ParameterError, match="port") as caught:
        ChatClient("local", url, "k")
    assert "'s3'" not in "".join(traceback.format_exception(caught.value))
    with raw(400, {"error": {"message": "no user:s3cret here"}}) as url, pytest.raises(AskFailed) as failed:
        ask(url.replace("http://", "http://user:s3cret@"))
    assert "s3cret" not in str(failed.value)


def test_a_refused_connection_stops_and_a_dropped_one_is_a_failure(closed_url: str) -> None:
    with pytest.raises(TeacherStop, match=r"cannot be reached .*Cannot connect to host"):
        ask(closed_url)
    with serve(say, ["drop"]) as server, pytest.raises(AskFailed) as dropped:
        ask(server.base_url)
    assert "ServerDisconnected" in str(dropped.value) and dropped.value.unanswered


def test_a_refusal_is_a_reply() -> None:
    (reply,), _, _ = complete(["x"], ["refusal"])
    assert (reply.finish_reason, reply.structured) == ("refusal", True)


def test_a_key_in_a_reply_that_is_no_completion_is_not_cut_in_two() -> None:
    message = "x" * 80 + " Incorrect API key provided: sk-secret-1234 is wrong"
    with raw(200, {"error": {"message": message}}) as url, pytest.raises(TeacherStop) as failed:
        ask(url)
    assert "sk-se" not in str(failed.value) and "***" in str(failed.value)


def test_error_codes_of_other_types_are_passed_over() -> None:
    with (
        raw(400, {"error": {"message": "odd", "type": ["a"], "code": {"b": 1}}}) as url,
        pytest.raises(AskFailed) as failed,
    ):
        ask(url)
    assert "odd" in str(failed.value)


def test_tokens_by_their_other_names() -> None:
    usage = {"input_tokens": 12, "output_tokens": 3}
    with raw(200, {"choices": [{"message": {"content": "x"}}], "usage": usage}) as url:
        reply = ask(url)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.has_token_counts) == (12, 3, True)
    with raw(200, {"choices": [{"message": {"content": "x"}}]}) as url:
        assert not ask(url).has_token_counts
