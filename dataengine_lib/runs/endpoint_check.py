"""`dataengine doctor`: whether a teacher's server is there, has the model, and takes a JSON schema."""

import asyncio
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2

from dataengine_lib.chat.endpoint import NO_KEY, on_loopback, shown_url
from dataengine_lib.chat.prices import estimate_tokens, read_prices
from dataengine_lib.chat.reply import AskFailed, Reply
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.json_reply import as_text, qa_schema
from dataengine_lib.teachers.loading import load_chat

# OpenAI's deprecations page: shut down before the list of models told so.
RETIRED = {
    "gpt-4": "gpt-4.1",
    "gpt-4-turbo": "gpt-4.1",
    "gpt-4-vision-preview": "gpt-4.1",
    "gpt-4-32k": "gpt-4.1",
    "text-davinci-003": "gpt-4.1-mini",
}
ROOM = 300  # tokens of the one reply that is asked for; models that think first may need more
MOST_USD = 0.01  # that the one request may cost
SOON = 60  # days before a shutdown that are worth a warning
_PROMPT = "Write one easy question about a picture of a dog on a beach, with four choices. Keep it short."
Mark = Literal["ok", "warn", "bad"]  # bad will stop a run, warn may
Check = tuple[Mark, str]


def check_listing(model: str, url: str, key: str, today: datetime.date | None = None) -> Check:
    """List the server's models: costs nothing, and shows whether address, key and model are right."""
    if url.startswith("https://api.openai.com") and model in RETIRED:
        return "bad", f"{model} was shut down; take {RETIRED[model]} or another of today's models"
    headers = {} if key == NO_KEY else {"Authorization": f"Bearer {key}"}
    shown = shown_url(url)
    try:
        answer = httpx2.get(f"{url}/models", headers=headers, timeout=10, trust_env=not on_loopback(url))
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        return "bad", f"{shown} does not answer ({type(error).__name__}); check base_url and the network"
    if answer.status_code in (401, 403):
        return "bad", f"{shown} refuses the key (status {answer.status_code}); check OPENAI_API_KEY"
    if answer.status_code != 200:
        return "warn", f"{shown} answers, but lists no models (status {answer.status_code})"
    try:
        models: dict[str, Any] = {str(row["id"]): row.get("shutdown_date") for row in answer.json()["data"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "warn", f"{shown} answers, but its list of models cannot be read"
    named = next((name for name in (model, f"{model}:latest") if name in models), None)
    if named is None:
        # Others list base models, or serve one model under any name: asking is the proof there.
        mark: Mark = "bad" if url.startswith("https://api.openai.com") else "warn"
        return mark, f"{shown} lists no model {model}; it offers {', '.join(sorted(models)[:8])}"
    return _shutdown(model, shown, models[named], today or datetime.datetime.now(datetime.UTC).date())


def _shutdown(model: str, url: str, date: Any, today: datetime.date) -> Check:
    try:
        end = _day(date) if date else None
    except (ValueError, OverflowError, OSError):
        return "warn", f"{model} at {url}, whose shutdown_date {str(date)[:40]!r} cannot be read"
    if end is not None and end <= today:
        return "bad", f"{model} was shut down on {end}; take another of today's models"
    if end is not None and (end - today).days <= SOON:
        return "warn", f"{model} at {url}, which shuts it down on {end}: {(end - today).days} days are left"
    return "ok", f"{model} at {url}" + (f", until {end}" if end else "")


def _day(date: Any) -> datetime.date:
    """A date as servers write it: `2026-01-31`, with a time behind it, or Unix seconds."""
    if isinstance(date, int | float):
        return datetime.datetime.fromtimestamp(date, datetime.UTC).date()
    return datetime.datetime.fromisoformat(str(date)).date()


def check_asking(spec: str, url: str, *, paid: bool, prices: Path | None = None) -> Iterator[Check]:
    """Ask one small question under a schema where that is free, or `paid` says that it may cost up to a cent.

    `prices` is the step's own price table.
    """
    price = read_prices(prices).of(spec)
    if not paid and not on_loopback(url):
        yield "ok", "JSON schema not tried: doctor --ask sends one request, for a cent at most"
        return
    if price and (most := price.cost(estimate_tokens(_PROMPT) + 200, 0, ROOM)) > MOST_USD:
        yield "warn", f"not asked: one reply may cost {most:.3f} US dollars, more than {MOST_USD}"
        return
    try:
        reply = asyncio.run(_ask(spec, url))
    except AskFailed as failure:
        yield "bad", f"one request failed: {failure}"
        return
    except DataEngineError as error:
        yield "bad", str(error)
        return
    cost = ""
    if price:
        cost = f", {price.of(reply):.5f} US dollars"
    tokens = f"{reply.prompt_tokens} and {reply.completion_tokens} tokens in {reply.seconds:.1f} s{cost}"
    if reply.finish_reason == "refusal":
        yield "warn", f"the model refused to answer ({tokens}); take another one"
    elif reply.finish_reason == "content_filter":
        yield "warn", f"the server's content filter kept the reply back ({tokens}); take another model"
    elif reply.finish_reason != "stop":
        yield "warn", f"the reply ended with {reply.finish_reason} ({tokens}); raise max_output_tokens"
    elif not reply.structured:
        yield "warn", f"no JSON schema: replies are read from text ({tokens})"
    elif as_text(reply.text) == reply.text:
        yield "warn", f"the schema is taken but not kept to: replies are read as they come ({tokens})"
    else:
        yield "ok", f"JSON schema works ({tokens})"


async def _ask(spec: str, url: str) -> Reply:
    settings = ChatSettings(base_url=url, max_output_tokens=ROOM, max_attempts=2)
    async with load_chat(spec, settings) as chat:
        return await chat.complete([{"role": "user", "content": _PROMPT}], schema=qa_schema(_PROMPT))
