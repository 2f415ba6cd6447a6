"""Masking of keys, passwords and tokens in texts (all steps), in every form in which servers and libraries repeat them."""

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Self
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

MASK = "***"
# Names of a query's parts that are no secret: Azure's `api-version`, and what other gateways want in the URL.
OPEN_QUERY_NAMES = {"api-version", "api_version", "version", "model", "deployment", "region", "location"}
# What people give as a key to servers that want none, such as Ollama's and LM Studio's documentation.
_NO_SECRETS = {
    "none", "null", "empty", "dummy", "fake", "test", "local", "ollama", "lm-studio", "lmstudio", "no-key",
    "sk-no-key-required", "not-needed", "not needed", "nokey", "no", "na", "n/a", "xxx", "token", "key", "api-key",
    "api_key", "apikey", "sk-xxx", "your-api-key", "placeholder", "changeme",
}  # fmt: skip
_KEYS = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY",
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN",
)  # fmt: skip
# A proxy's URL may hold a password too, and errors of connections repeat it.
_URLS = ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_ENDPOINT")
_SHORT = 6  # characters; a shorter secret is masked only as a word of its own
_WORD = 12  # characters; letters alone, shorter than this, may be a word of any language


class SecretMask:
    """Replaces secrets by `***`: as given, percent-encoded or decoded, escaped in JSON or HTML, or in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = dict.fromkeys(secret.strip() for secret in secrets)
        self.secrets = [secret for secret in found if secret and secret.lower() not in _NO_SECRETS]
        self._all = _pattern(self.secrets)
        self._unlike_words = _pattern(s for s in self.secrets if not (s.isalpha() and len(s) < _WORD))

    @classmethod
    def of_environment(cls) -> Self:
        """The secrets that this process was given: keys, tokens, and what the URLs of servers and proxies hold."""
        return cls(_in_environment())

    @classmethod
    def of_server(cls, url: str, key: str) -> Self:
        """The secrets of a server's URL and its key, and those of the environment."""
        return cls([key, *url_secrets(url), *_in_environment()])

    def masked(self, text: str) -> str:
        """A message, or any text about a server, without secrets."""
        return self._all.sub(MASK, text) if self._all else text

    def masked_writing(self, text: str) -> str:
        """What a model or a person wrote, without secrets.

        A user name or password that is a word (`dog`) stays: training data would lose that word everywhere.
        """
        return self._unlike_words.sub(MASK, text) if self._unlike_words else text

    def masked_value(self, value: Any) -> Any:
        """A JSON value with all texts in it masked."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, list):
            return [self.masked_value(item) for item in value]
        if isinstance(value, dict):
            return {self.masked(str(name)): self.masked_value(item) for name, item in value.items()}
        return value


def url_secrets(url: str) -> list[str]:
    """What of a URL is secret: user, password, both together as RFC 7617 sends them, query and fragment.

    Nothing for a text that is no URL.
    """
    try:
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return []
    # as written too: a part that was not encoded where it should be is repeated so
    found = [password, user, parts.password or "", parts.username or ""]
    if user or password:
        found.append(base64.b64encode(f"{user}:{password}".encode()).decode())
    for part in parts.query.split("&"):
        # `http://host/v1?TOKEN` has no name before the value
        name, _, value = part.partition("=") if "=" in part else ("", "", part)
        if unquote_plus(name).lower() not in OPEN_QUERY_NAMES:
            found += [unquote_plus(value), value]
    return [secret for secret in [*found, unquote(parts.fragment)] if secret]


def _in_environment() -> Iterator[str]:
    for name in _KEYS:
        yield os.environ.get(name, "")
    for name in _URLS:
        # HTTP_PROXY is written in both ways
        for spelt in (name, name.lower()):
            yield from url_secrets(os.environ.get(spelt, ""))


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """What matches any form of any secret, the longest first; None without secrets."""
    forms = {form: len(secret) < _SHORT for secret in secrets for form in _forms(secret)}
    parts = []
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        # "me" is masked in "user me:", not in "some"
        edges = (r"(?<![^\W_])", r"(?![^\W_])") if forms[form] and len(form) < _SHORT else ("", "")
        # hexadecimal digits of percent-encoding, and names in headers, come in either case
        text = f"(?i:{re.escape(form)})" if len(form) >= _SHORT else re.escape(form)
        parts.append(f"{edges[0]}{text}{edges[1]}")
    return re.compile("|".join(parts)) if parts else None


def _forms(secret: str) -> set[str]:
    """The forms of a secret: for `a"b` also `a%22b`, `a\\"b`, `a&quot;b` and `YSJi`."""
    found = {secret, unquote(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for text in tuple(found):
        escaped = json.dumps(text)[1:-1]
        # twice escaped: JSON inside a text of JSON, as in a notebook's file
        found |= {escaped, json.dumps(escaped)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        found |= {html.escape(text), html.escape(text, quote=False), repr(text)[1:-1]}
    if len(secret) >= _SHORT:
        data = secret.encode("utf-8", "surrogatepass")
        for coded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
            # without the padding, which some programs leave out
            found.add(coded.decode().rstrip("="))
    return {form for form in found if form}
