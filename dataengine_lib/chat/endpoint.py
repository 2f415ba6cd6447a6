"""Address and key of an OpenAI-compatible server, from a parameter and the environment (steps 0, 1, 3 and 4)."""

import base64
import os
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from dataengine_lib.chat.reply import Reply
from dataengine_lib.core.secrets.masking import SecretMask
from dataengine_lib.core.text import shown
from dataengine_lib.errors import ParameterError

_LONGEST_MESSAGE = 300  # characters of a server's error message that are shown
NO_KEY = "none"  # sent to servers that want no key, since the SDK insists on one
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_HOST = "api.openai.com"
# The names that the vendors' own documentation gives their keys; any other server has OPENAI_API_KEY.
VENDOR_KEYS = {
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
    "api.mistral.ai": "MISTRAL_API_KEY",
}


def key_variable(url: str) -> str:
    """The environment variable that holds the key of a server."""
    return VENDOR_KEYS.get(urlsplit(url).hostname or "", "OPENAI_API_KEY")


def on_anthropic(url: str) -> bool:
    """Whether a server is Anthropic's."""
    return urlsplit(url).hostname == "api.anthropic.com"


def scores_no_prompts(base_url: str | None) -> bool:
    """Whether a server is known to give no log-probabilities of prompts, at least with images."""
    try:
        return urlsplit(shown_url(_server_url(base_url))).hostname in (_OPENAI_HOST, *VENDOR_KEYS)
    except ParameterError:  # of an address that is none, which `endpoint` says
        return False


def _server_url(base_url: str | None) -> str:
    return (base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL).strip().rstrip("/")


def endpoint(base_url: str | None) -> tuple[str, str]:
    """URL and key of the server: `base_url`, else OPENAI_BASE_URL, else OpenAI itself, and the key in the environment.

    It is in the variable of `key_variable`, else in OPENAI_API_KEY. The URL may hold a password or a query; `Server`
    takes it apart. Raises ParameterError when the URL is not valid, or when OpenAI itself or a vendor with a variable of
    its own is meant and there is no key.
    """
    url = _server_url(base_url)
    if not url.startswith(("http://", "https://")):
        given = url.partition("?")[0].rpartition("@")[2]  # a password stands before @, a key behind ?
        raise ParameterError(f"base_url must begin with http:// or https:// (given: {shown(given)})")
    shown_url(url)  # raises ParameterError for a URL that cannot be parsed
    variable = key_variable(url)
    key = next(filter(None, (os.environ.get(name, "").strip() for name in (variable, "OPENAI_API_KEY"))), "")
    if not key and urlsplit(url).hostname in (_OPENAI_HOST, *VENDOR_KEYS):
        raise ParameterError(
            f"{variable} is not set; export it, or give base_url (or OPENAI_BASE_URL) of another server"
        )
    return url, key or NO_KEY


def on_loopback(url: str) -> bool:
    """Whether a server is on this machine: it is reached without a proxy, and costs nothing."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def shown_url(url: str) -> str:
    """A server's URL as messages and files may show it: without user, password, query and fragment.

    Raises ParameterError when it is not a URL, when its port is not a number, and when a password in it is not encoded.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message shows the text behind the colon, which may be a part of the password
        raise ParameterError(
            "base_url: not a URL, or its port is not a number up to 65535; correct it"
        ) from None
    # In "http://me:1/2@host" the host would be "me": a password with a slash that was not encoded.
    if "@" in parts.path.lstrip("/").partition("/")[0] or "@" in parts.query + parts.fragment:
        raise ParameterError(
            "base_url: @ stands behind the host; write / ? # @ in a user name or password as %2F %3F %23 %40"
        )
    # "https://me:secret@host:8000/v1/?key=1" is shown as "https://host:8000/v1".
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


@dataclass(frozen=True)
class Server:
    """How a server is asked. `url` holds no secret: user, password and query are sent by `headers` and `query`.

    `mask` knows all secrets of the URL, the key and the environment; whatever comes from the server goes through it.
    """

    url: str
    key: str
    headers: dict[str, str]
    query: dict[str, str]
    mask: SecretMask

    @classmethod
    def of(cls, url: str, key: str) -> Self:
        """The parts of a URL such as `https://me:secret@host/v1?api-key=1`; raises what `shown_url` raises."""
        plain_url = shown_url(url)  # before anything else, since it checks the URL
        parts, headers = urlsplit(url), {}
        if parts.username or parts.password:
            # in place of the key (RFC 7617): for "http://me:pa%20ss@host" the credentials are "me:pa ss"
            credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(plain_url, key, headers, query, SecretMask.of_server(url, key))

    def shown(self, text: str) -> str:
        """A server's message with all secrets masked, shortened to 300 characters."""
        # Masked first: a key that is cut in two would no longer be found.
        return self.mask.masked(text)[:_LONGEST_MESSAGE]

    def masked_reply(self, reply: Reply) -> Reply:
        """The reply as it may be stored: a server may repeat the key in any of its fields."""
        mask = self.mask
        return msgspec.structs.replace(
            reply,
            text=mask.masked_writing(reply.text),
            model=mask.masked(reply.model),
            request_id=mask.masked(reply.request_id),
            service_tier=mask.masked(reply.service_tier),
            usage=mask.masked_value(reply.usage),
            problem=self.shown(reply.problem),
            top_logprobs=[(mask.masked(token), logprob) for token, logprob in reply.top_logprobs],
            prompt_logprobs=[(mask.masked(token), logprob) for token, logprob in reply.prompt_logprobs],
        )
