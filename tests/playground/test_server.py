"""The playground's server follows OpenAI's protocol, and breaks it in the ways that a test names."""

import http.client
import json
from typing import Any

import pytest

from dataengine_lib.playground.server import PlaygroundServer, count_tokens, serve


def _post(connection: http.client.HTTPConnection, body: Any) -> tuple[int, dict[str, str], bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def _connect(server: PlaygroundServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)


BODY = {"model": "any", "messages": [{"role": "user", "content": "say it twice"}]}


def test_reply_usage_and_keep_alive() -> None:
    with serve(lambda messages: messages[-1]["content"] + " twice") as server:
        connection = _connect(server)
        sockets = set()
        for number in (1, 2):
            status, headers, raw = _post(connection, BODY)
            sockets.add(connection.sock)
            answer = json.loads(raw)
            assert (status, headers["x-request-id"]) == (200, f"req-{number}")
            assert answer["choices"][0]["message"]["content"] == "say it twice twice"
            assert answer["choices"][0]["finish_reason"] == "stop"
            assert answer["usage"]["prompt_tokens"] == 3 and answer["usage"]["completion_tokens"] == 4
        assert len(sockets) == 1
        assert [body["model"] for body in server.requests] == ["any", "any"]


def test_models_and_unknown_paths() -> None:
    with serve(lambda messages: "") as server:
        connection = _connect(server)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"][0]["id"] == "playground"
        connection.request("GET", "/elsewhere")
        assert connection.getresponse().status == 404


@pytest.mark.parametrize("body", [b"{", b"[]", {"model": "m"}])
def test_an_invalid_chat_request_gets_status_400(body: Any) -> None:
    with serve(lambda messages: "") as server:
        assert _post(_connect(server), body)[0] == 400
        assert server.requests == []


def test_faults_come_in_order_and_then_stop() -> None:
    faults = [
        "429 retry-after=3",
        "500",
        "quota",
        "malformed",
        "wrong-shape",
        "length",
        "refusal",
        "content_filter",
    ]
    with serve(lambda messages: "a reply", faults) as server:
        connection = _connect(server)
        got = [_post(connection, BODY) for _ in range(len(faults) + 1)]
    assert [status for status, _, _ in got] == [429, 500, 429, 200, 200, 200, 200, 200, 200]
    assert got[0][1]["Retry-After"] == "3"
    assert json.loads(got[2][2])["error"]["code"] == "insufficient_quota"
    with pytest.raises(json.JSONDecodeError):
        json.loads(got[3][2])
    assert "choices" not in json.loads(got[4][2])
    cut, refused, filtered, well = (json.loads(raw)["choices"][0] for _, _, raw in got[5:])
    assert cut["finish_reason"] == "length" and len(cut["message"]["content"]) < len("a reply")
    assert refused["message"]["refusal"] and refused["message"]["content"] is None
    assert filtered["finish_reason"] == "content_filter"
    assert well["message"]["content"] == "a reply"


def test_dropped_connection_and_failing_writer() -> None:
    def writer(messages: list[dict[str, Any]]) -> str:
        raise RuntimeError("no words")

    with serve(writer, lambda body: "drop" if body["model"] == "drop" else None) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            _post(_connect(server), BODY | {"model": "drop"})
        status, _, raw = _post(_connect(server), BODY)
        assert status == 500 and "no words" in raw.decode()


def test_closing_frees_hanging_requests() -> None:
    with serve(lambda messages: "", ["timeout"]) as server:
        connection = _connect(server)
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()


FORM = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}}}


def test_a_schema_goes_to_the_structured_writer() -> None:
    with serve(lambda messages: "text", structured=lambda messages, schema: json.dumps(schema)) as server:
        connection = _connect(server)
        bodies = [_post(connection, BODY | more)[2] for more in ({}, {"response_format": FORM})]
    contents = [json.loads(raw)["choices"][0]["message"]["content"] for raw in bodies]
    assert contents == ["text", '{"type": "object"}']


def test_without_a_structured_writer_a_schema_is_ignored() -> None:
    with serve(lambda messages: "text") as server:
        raw = _post(_connect(server), BODY | {"response_format": FORM})[2]
    assert json.loads(raw)["choices"][0]["message"]["content"] == "text"


def test_a_server_can_refuse_schemas() -> None:
    with serve(lambda messages: "text", lambda body: "no-schema") as server:
        connection = _connect(server)
        status, _, raw = _post(connection, BODY | {"response_format": FORM})
        assert status == 400 and "response_format" in json.loads(raw)["error"]["message"]
        assert _post(connection, BODY)[0] == 200


def test_an_image_counts_as_a_fixed_number_of_tokens() -> None:
    parts = [{"type": "text", "text": "say it"}, {"type": "image_url", "image_url": {"url": "data:…"}}]
    with serve(lambda messages: "") as server:
        raw = _post(_connect(server), {"model": "m", "messages": [{"role": "user", "content": parts}]})[2]
    assert json.loads(raw)["usage"]["prompt_tokens"] == 2 + 85


def test_tokens() -> None:
    assert count_tokens("(A) dog, cat.") == 7
