"""Parameters that look like secrets are refused (all steps): notebooks and manifests would store them."""

import ast
import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dataengine_lib.core.secrets.masking import OPEN_QUERY_NAMES
from dataengine_lib.errors import ParameterError

# Keys of OpenAI and similar providers (sk-proj-abc…), Hugging Face (hf_abc…), GitHub (ghp_abc…), Google (AIzaSy…) and
# AWS (AKIA…), and URLs with a user (https://me:secret@host/v1, https://TOKEN@host).
_SECRET_VALUE = re.compile(
    r"\b(sk|rk|pk)-[\w-]{16,}|\bhf_\w{16,}|\b(gh[opsur]|github_pat)_\w{16,}|\bAIza[\w-]{30,}"
    r"|\bAKIA[0-9A-Z]{16}\b|://[^/\s@]+@"
)
# A text that is a URL and nothing else: https://host/v1?key=1
_URL = re.compile(r"\s*\w+://\S+\s*\Z")
# matches openai_api_key, hf_token, evaluate.token, password; not max_output_tokens
_SECRET_KEY = re.compile(r"(api|access|secret)_?key|(^|[._])token$|password|secret", re.IGNORECASE)


# papermill's own first line of the cell that it adds for the parameters that it was given
_PAPERMILL_CELL = "# Parameters\n"


def refuse_secrets(value: Any, where: str, key: str = "", advice: str = "") -> None:
    """Raise ParameterError for a value that looks like a secret, or for one inside it; `key` is its name.

    The message ends with `advice` and does not repeat the value.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            refuse_secrets(inner, where, f"{key}.{name}".lstrip("."), advice)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_secrets(inner, where, key, advice)
    elif isinstance(value, str) and value and (_looks_secret(value) or _SECRET_KEY.search(key)):
        raise ParameterError(
            f"{where}: {key}: looks like a secret, and parameters are stored in notebooks and manifests; delete it "
            "here and put a key into OPENAI_API_KEY, a URL with a password or key into OPENAI_BASE_URL"
            + advice
        )


def papermill_parameters(names: dict[str, Any]) -> dict[str, Any]:
    """What papermill was given, by the cells that a notebook's kernel has run (`In` of its globals).

    A step's Config knows its own names alone: papermill stores any other name too, `-p api_key sk-…`.
    """
    found: dict[str, Any] = {}
    for source in names.get("In", []):
        if not (isinstance(source, str) and source.startswith(_PAPERMILL_CELL)):
            continue
        for line in ast.parse(source).body:
            # papermill writes what is no literal, such as float("nan"), as a call
            with suppress(ValueError):
                if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                    found[line.targets[0].id] = ast.literal_eval(line.value)
    return found


def _looks_secret(value: str) -> bool:
    return bool(_SECRET_VALUE.search(value)) or (bool(_URL.match(value)) and _has_secret_query(value))


def _has_secret_query(url: str) -> bool:
    """Whether a URL has a query or fragment beyond what is known to be none: `?api-version=1` is open, `?key=1` is not."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # it is no URL, and its own check names that
        return False
    names = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return bool(parts.fragment) or not set(names) <= OPEN_QUERY_NAMES
