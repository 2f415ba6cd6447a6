"""One client for all who ask a server: strict JSON where it is taken, text where it is not, found out once."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from dataengine_lib.models.chat_client import ChatClient
from dataengine_lib.models.teacher import AskFailed, Reply, TeacherStop, objects_in, strict_object
from dataengine_lib.playground.server import Faults, PlaygroundServer, serve

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
        client = ChatClient(model, server.base_url, "sk-secret-1234", max_attempts=2, who="student")
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


def test_what_was_found_out_outlasts_the_connections() -> None:
    with serve(say, lambda body: "no-schema") as server:
        client = ChatClient("local", server.base_url, "k")
        for _ in range(2):
            asyncio.run(_complete(client, ["x"], SCHEMA))
        assert forms(server) == [True, False, False]


def test_a_plain_400_to_the_first_schema_is_tried_without() -> None:
    replies, server, _ = complete(["x", "y"], lambda body: "400" if "response_format" in body else None)
    assert [reply.structured for reply in replies] == [False, False]
    assert forms(server) == [True, False, False]


def test_a_400_that_the_text_gets_too_is_not_the_schemas_fault() -> None:
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


def test_a_stop_names_who_was_asked() -> None:
    with pytest.raises(TeacherStop, match=r"^student at http://127.* key was refused"):
        complete(["x"], ["401"])
    with pytest.raises(TeacherStop, match="'gone' is not served"):
        complete(["x"], ["404"], model="gone")


def test_a_refusal_is_a_reply() -> None:
    (reply,), _, _ = complete(["x"], ["refusal"])
    assert (reply.finish_reason, reply.structured) == ("refusal", True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"answer": "B"}', [{"answer": "B"}]),
        ('Sure:\n```json\n{"answer": "B"}\n```', [{"answer": "B"}]),
        ('{"types": [{"id": 1}, {"id": 2}, {"id"', [{"id": 1}, {"id": 2}]),
        ("{not json} B", []),
    ],
)
def test_objects_in_a_reply(text: str, found: list[dict[str, Any]]) -> None:
    assert objects_in(text) == found
