"""Address and key of an OpenAI-compatible server, from a parameter and the environment (steps 0, 1, 3 and 4)."""

import base64
import os
from urllib.parse import unquote, urlsplit

from dataengine_lib.core.text import shown
from dataengine_lib.errors import ParameterError

NO_KEY = "none"  # sent to servers that want no key, since the SDK insists on one
_OPENAI_URL = "https://api.openai.com/v1"


def endpoint(base_url: str | None) -> tuple[str, str]:
    """URL and key of the server: `base_url`, else OPENAI_BASE_URL, else OpenAI itself, and OPENAI_API_KEY.

    Raises ParameterError when the URL is not valid, or when OpenAI itself is meant and there is no key.
    """
    url = (base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL).rstrip("/")
    if not url.startswith(("http://", "https://")):
        given = url.partition("?")[0].rpartition("@")[2]  # a password stands before @, a key behind ?
        raise ParameterError(f"base_url must begin with http:// or https:// (given: {shown(given)})")
    shown_url(url)  # raises ParameterError for a URL that cannot be parsed
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and url.startswith("https://api.openai.com"):
        raise ParameterError(
            "OPENAI_API_KEY is not set; export it, or give base_url (or OPENAI_BASE_URL) of another server"
        )
    return url, key or NO_KEY


def on_loopback(url: str) -> bool:
    """Whether a server is on this machine: it is reached without a proxy, and nobody charges for it."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def shown_url(url: str) -> str:
    """A server's URL as messages and files may show it: without user, password and query.

    Raises ParameterError when it is not a URL or its port is not a number.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # its message shows the text behind the colon, which may be a part of the password
        raise ParameterError(
            "base_url: not a URL, or its port is not a number up to 65535; correct it"
        ) from None
    # "https://me:secret@host:8000/v1?key=1" is shown as "https://host:8000/v1".
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def split_user(url: str) -> tuple[str, dict[str, str]]:
    """A URL without user and password, and the header that carries them in place of the key (RFC 7617)."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    # For "http://me:pa%20ss@host:8000/v1": the credentials are "me:pa ss", the URL becomes
    # "http://host:8000/v1".
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    header = {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), header
