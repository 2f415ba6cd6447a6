"""Servers' URLs: what is sent, what may be shown, and that a server which repeats secrets gets them into no text."""

import asyncio
import base64
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest
from echoing.server import ANSWERS, GIVEN, KEY, PASSWORD, QUERY, TOKEN, USER, Given, echo_server, leaks

from dataengine_lib.chat.client import ChatClient
from dataengine_lib.chat.endpoint import Server, shown_url
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import ParameterError


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SENT = {
    "key": ("/v1/chat/completions", f"Bearer {KEY}"),
    "password": ("/v1/chat/completions", f"Basic {_base64(f'{USER}:{PASSWORD}')}"),
    "token": ("/v1/chat/completions", f"Basic {_base64(f'{TOKEN}:')}"),
    "query": ("/v1/chat/completions?api-version=7&api-key=query%2Bcanary%3D9", f"Bearer {KEY}"),
}


def ask(url: str) -> Reply:
    async def send() -> Reply:
        async with ChatClient("m", url, KEY, ChatSettings(max_attempts=1)) as client:
            return await client.complete([{"role": "user", "content": "x"}])

    return asyncio.run(send())


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: given.name)
@pytest.mark.parametrize(("status", "body"), [answer[1:] for answer in ANSWERS], ids=[a[0] for a in ANSWERS])
def test_a_server_that_repeats_secrets(tmp_path: Path, given: Given, status: int, body: Any) -> None:
    with echo_server(status, body) as server:
        try:
            shown = msgspec.json.encode(ask(given.url(server.server_port))).decode()
        except (AskFailed, TeacherStop) as error:
            # the whole traceback, as a notebook keeps it
            shown = "".join(traceback.format_exception(error))
    assert (server.paths[0], server.headers[0]) == SENT[given.name]
    assert leaks(tmp_path, given, shown) == []
    assert "***" in shown


@pytest.mark.parametrize(
    ("url", "shown", "query"),
    [
        ("https://host/v1?api-key=x", "https://host/v1", {"api-key": "x"}),
        ("https://host/v1/?a=1&b=", "https://host/v1", {"a": "1", "b": ""}),
        ("https://me:pw@Host:8000/v1#part", "https://host:8000/v1", {}),
        ("http://tok@[::1]:8000/v1", "http://[::1]:8000/v1", {}),
        ("https://host/openai/deployments/d?api-version=2024-10-21", "https://host/openai/deployments/d",
         {"api-version": "2024-10-21"}),
    ],
)  # fmt: skip
def test_urls_are_taken_apart(url: str, shown: str, query: dict[str, str]) -> None:
    server = Server.of(url, "k")
    assert (server.url, server.query) == (shown, query)


@pytest.mark.parametrize("url", ["http://me:12/cret@host/v1", "http://me?cret@host", "http://me#cret@host"])
def test_a_password_that_is_not_encoded_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ParameterError, match="base_url: ") as caught:
        shown_url(url)
    assert "cret" not in "".join(traceback.format_exception_only(caught.value))


def test_texts_that_only_look_alike_stay() -> None:
    """A short user name is masked as a word, a word in a model's own text not at all; `ollama` is no key."""
    server = Server.of("http://me:dog@host/v1?api-version=gpt", "ollama")
    assert server.shown("some ollama of me: dogma gpt") == "some ollama of ***: dogma gpt"
    assert server.masked_reply(Reply("Show me the dog")).text == "Show me the dog"
    assert server.shown("no dog") == "no ***"


def test_query_names_that_are_no_secret_are_shown() -> None:
    # written without encoding: a server may repeat it so, or with + read as a space
    server = Server.of(f"http://h/v1?sig={QUERY}", "k")
    assert server.shown(f"bad {QUERY}, query canary=9, query%20canary%3D9") == "bad ***, ***, ***"
    assert Server.of("http://h/v1?model=gpt-4o", "k").shown("no gpt-4o") == "no gpt-4o"
