"""`dataengine doctor`: does a model's server answer, does it have the model, and does it accept a JSON schema?"""

import asyncio
import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from dataengine_lib.chat.endpoint import NO_KEY, Server, key_variable, on_anthropic, on_loopback
from dataengine_lib.chat.prices import estimate_tokens, read_prices
from dataengine_lib.chat.reply import AskFailed, Reply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.qa_json import qa_schema, v1_text
from dataengine_lib.runs.checks.finding import Mark
from dataengine_lib.teachers.loading import load_chat

# Models that OpenAI shut down before its list of models had a `shutdown_date`.
# Source: https://platform.openai.com/docs/deprecations
_RETIRED = {
    "gpt-4": "gpt-4.1",
    "gpt-4-turbo": "gpt-4.1",
    "gpt-4-vision-preview": "gpt-4.1",
    "gpt-4-32k": "gpt-4.1",
    "text-davinci-003": "gpt-4.1-mini",
}
_MAX_OUTPUT_TOKENS = 300  # of the one reply; models that reason first may need more
MAX_USD = 0.01  # that the one request may cost
_WARN_DAYS = 60  # before a shutdown
_SCHEMA_TOKENS = 200  # an upper estimate of what the schema adds to the prompt
_LISTED = {"limit": "1000"}  # models on one page of Anthropic's list, at most
_PROMPT = "Write one easy question about a picture of a dog on a beach, with four choices. Keep it short."


class EndpointFinding(NamedTuple):
    """What one check of a server found, as a mark and one line."""

    mark: Mark
    message: str


def check_listing(model: str, url: str, key: str, today: datetime.date | None = None) -> EndpointFinding:
    """List the server's models, which costs nothing: are address, key and model right?

    `model` is the name that requests use, `url` ends in /v1; `today` is for tests.
    """
    if url.startswith("https://api.openai.com") and model in _RETIRED:
        return EndpointFinding(
            "bad", f"{model} was shut down; take {_RETIRED[model]} or another of today's models"
        )
    server = Server.of(url, key)
    headers = listing_headers(server.url, key) | server.headers
    shown = server.url
    try:
        # trust_env: a proxy named in the environment would not reach a server on this machine
        answer = httpx2.get(
            f"{shown}/models",
            headers=headers,
            params=_LISTED | server.query if on_anthropic(server.url) else server.query,
            timeout=10,
            trust_env=not on_loopback(url),
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        return EndpointFinding(
            "bad", f"{shown} does not answer ({type(error).__name__}); check base_url and the network"
        )
    if answer.status_code in (401, 403) and key == NO_KEY:
        return EndpointFinding("bad", f"{shown} wants a key, and {key_variable(url)} is not set; export it")
    if answer.status_code in (401, 403):
        return EndpointFinding(
            "bad", f"{shown} refuses the key (status {answer.status_code}); check {key_variable(url)}"
        )
    # a server without a list of models may still answer requests
    if answer.status_code != 200:
        return EndpointFinding("warn", f"{shown} answers, but lists no models (status {answer.status_code})")
    try:
        rows = server.mask.masked_value(answer.json()["data"])
        models: dict[str, Any] = {str(row["id"]): row.get("shutdown_date") for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError):
        return EndpointFinding("warn", f"{shown} answers, but its list of models cannot be read")
    # servers such as Ollama list llama3.1, pulled without a tag, as llama3.1:latest; Gemini lists models/gemini-3-flash
    named = next((name for name in (model, f"{model}:latest", f"models/{model}") if name in models), None)
    if named is None:
        # Other servers list base models only, or serve one model under any name: only a request can tell.
        mark: Mark = "bad" if url.startswith("https://api.openai.com") else "warn"
        return EndpointFinding(
            mark, f"{shown} lists no model {model}; it offers {', '.join(sorted(models)[:8])}"
        )
    return _shutdown(model, shown, models[named], today or datetime.datetime.now(datetime.UTC).date())


def listing_headers(url: str, key: str) -> dict[str, str]:
    """The headers with the key by which a server lists its models; Anthropic's list is no part of its layer for OpenAI.

    Source: https://platform.claude.com/docs/en/api/models/list.
    """
    if key == NO_KEY:
        return {}
    if on_anthropic(url):
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {key}"}


def _shutdown(model: str, url: str, date: Any, today: datetime.date) -> EndpointFinding:
    try:
        end = _day(date) if date else None
    except (ValueError, OverflowError, OSError):
        return EndpointFinding(
            "warn", f"{model} at {url}, whose shutdown_date {str(date)[:40]!r} cannot be read"
        )
    if end is not None and end <= today:
        return EndpointFinding("bad", f"{model} was shut down on {end}; take another of today's models")
    if end is not None and (end - today).days <= _WARN_DAYS:
        return EndpointFinding(
            "warn", f"{model} at {url}, which shuts it down on {end}: {(end - today).days} days left"
        )
    return EndpointFinding("ok", f"{model} at {url}" + (f", until {end}" if end else ""))


def _day(date: Any) -> datetime.date:
    """A date as servers write it: `2026-01-31`, `2026-01-31T00:00:00Z`, or Unix seconds."""
    if isinstance(date, int | float):
        return datetime.datetime.fromtimestamp(date, datetime.UTC).date()
    return datetime.datetime.fromisoformat(str(date)).date()


def check_request(spec: str, url: str, *, paid: bool, prices: Path | None = None) -> EndpointFinding:
    """Send one small request with a JSON schema, where that is free or `paid` allows it to cost up to MAX_USD.

    `spec` names the model (`openai:MODEL`); `prices` is the price table of the step that asks it.
    """
    price = read_prices(prices).of(spec)
    # a request to a server on this machine costs nothing
    if not paid and not on_loopback(url):
        return EndpointFinding(
            "ok", "JSON schema not tried; doctor --ask sends one request, which costs a cent at most"
        )
    prompt_tokens = estimate_tokens(_PROMPT) + _SCHEMA_TOKENS
    if price and (most := price.cost(prompt_tokens, 0, _MAX_OUTPUT_TOKENS)) > MAX_USD:
        return EndpointFinding(
            "warn", f"not asked: one reply may cost {most:.3f} US dollars, more than {MAX_USD}"
        )
    try:
        reply = asyncio.run(_ask(spec, url))
    except AskFailed as failure:
        return EndpointFinding("bad", f"one request failed: {failure}")
    except DataEngineError as error:
        return EndpointFinding("bad", str(error))
    cost = f", {price.of(reply):.5f} US dollars" if price else ""
    tokens = f"{reply.prompt_tokens} and {reply.completion_tokens} tokens in {reply.seconds:.1f} s{cost}"
    return EndpointFinding(*_judge(reply, tokens))


def _judge(reply: Reply, tokens: str) -> tuple[Mark, str]:
    """Whether replies like this one can be used; `tokens` is what it took."""
    if reply.finish_reason == "refusal":
        return "warn", f"the model refused to answer ({tokens}); take another one"
    if reply.finish_reason == "content_filter":
        return "warn", f"the server's content filter blocked the reply ({tokens}); take another model"
    if reply.failed:
        return "bad", f"{reply.problem} ({tokens})"
    if reply.finish_reason != "stop":
        return "warn", f"the reply ended with {reply.finish_reason} ({tokens}); raise max_output_tokens"
    if not reply.structured:
        return "warn", f"the server accepts no JSON schema; replies will be read as text ({tokens})"
    if v1_text(reply.text) == reply.text:  # v1_text changes replies that follow the schema
        return "warn", f"the server accepts the JSON schema, but the reply does not follow it ({tokens})"
    return "ok", f"JSON schema works ({tokens})"


async def _ask(spec: str, url: str) -> Reply:
    settings = ChatSettings(base_url=url, max_output_tokens=_MAX_OUTPUT_TOKENS, max_attempts=2)
    async with load_chat(spec, settings) as chat:
        return await chat.complete([{"role": "user", "content": _PROMPT}], schema=qa_schema(_PROMPT))
