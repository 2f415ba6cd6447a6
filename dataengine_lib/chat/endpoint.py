"""endpoint."""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dataengine_lib.errors import ParameterError

if TYPE_CHECKING:
    pass


NO_KEY = "none"


OPENAI_URL = "https://api.openai.com/v1"


def endpoint(base_url: str | None) -> tuple[str, str]:
    """URL and key of an OpenAI-compatible server, from `base_url` and the environment.

    Raises ParameterError when OpenAI itself is meant and OPENAI_API_KEY is not set; others need no real key.
    """
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
    if not url.startswith(("http://", "https://")):
        given = url.partition("?")[0].rpartition("@")[2]  # a password stands before @, a key behind ?
        raise ParameterError(f"base_url must begin with http:// or https:// (given: {given!r})")
    shown_url(url)  # which sees whether it is one
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and url.startswith("https://api.openai.com"):
        raise ParameterError(
            "OPENAI_API_KEY is not set; export it, or give base_url (or OPENAI_BASE_URL) of another server"
        )
    return url, key or NO_KEY


def on_loopback(url: str) -> bool:
    """Whether a server is on this machine itself: no proxy leads there, and nobody sends a bill."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def shown_url(url: str) -> str:
    """What messages and files may show of a server's URL, which can carry a password.

    Raises ParameterError when its port is no number.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # whose message shows what stands behind the colon, which may be that password
        raise ParameterError(
            "base_url: it is no URL, or its port no number up to 65535; correct it"
        ) from None
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
