"""What a server's error means: retry, fail this request only, or stop asking (steps 0, 1, 3 and 4)."""

import email.utils
import time
from collections.abc import Mapping
from math import nan

import aiohttp
import openai

from dataengine_lib.chat.reply import TeacherStop

# Error codes of OpenAI's API, as in its guide "Error codes"; Azure and many other servers use the same ones.
FILTER_CODES = ("content_filter", "content_policy_violation")  # one request was refused by a content filter
_NO_MONEY_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "account_deactivated",
}
_NO_MODEL_CODES = {"model_not_found", "model_not_available", "model_deprecated"}

_LONGEST_WAIT_S = 120.0  # a server whose Retry-After is longer stops the run instead
_SENSIBLE_WAIT_S = 30 * 24 * 3600.0  # a Retry-After beyond is a fault of the server's clock and ignored


def is_temporary_status(status: int) -> bool:
    """Whether the same request may succeed a little later, by the HTTP status of the response."""
    # The statuses that OpenAI's own SDK retries.
    return status in (408, 409, 429) or status >= 500


def is_temporary(error: Exception) -> bool:
    """Whether the same request may succeed a little later, for any error of the client (timeouts are temporary)."""
    if isinstance(error, openai.APIStatusError):
        return is_temporary_status(error.status_code)
    # Other errors than the SDK's are a timeout, or the ValueError of a response that is no completion.
    return not isinstance(error, openai.APIError) or isinstance(
        error, openai.APIConnectionError | openai.APIResponseValidationError
    )


def connection_error(error: BaseException | None) -> aiohttp.ClientError | None:
    """The connection's own error behind those of the SDK and of httpx2, None if the connection was fine."""
    while error is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def is_unreachable(error: Exception) -> bool:
    """Whether no connection could be made: nothing was sent, so nothing is billed."""
    return isinstance(connection_error(error), aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def fatal_error(error: Exception, where: str, model: str) -> TeacherStop | None:
    """The TeacherStop, with its remedy, if this error will meet every request; else None.

    `where` names the server in the message, `model` the model that was asked for.
    """
    if not isinstance(error, openai.APIStatusError):
        return None
    status = error.status_code
    # Some servers send other types here than texts.
    codes = {code for code in (error.code, error.type) if isinstance(code, str)}
    problem = None
    # By the code, since OpenAI reports a used-up quota with status 429, as it does a rate limit.
    if status == 402 or codes & _NO_MONEY_CODES:
        problem = f"quota used up or billing stopped ({status}); top up, then run again"
    elif status == 401:
        problem = "the key was refused (401); set a valid OPENAI_API_KEY"
    elif status == 403:
        problem = f"this key may not use {model} (403); ask for access or name another model"
    elif status in (404, 410) or codes & _NO_MODEL_CODES:
        problem = (
            f"model {model!r} is not served there ({status}); check the URL and the model's name"
            " (it may be retired)"
        )
    elif (wait := retry_after(error.response.headers) or 0) > _LONGEST_WAIT_S:
        problem = f"asks to wait {wait:.0f} s; run again after that"
    return TeacherStop(f"{where}: {problem}") if problem else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, None when it does not say.

    Source: RFC 9110 (`Retry-After`: a number or a date); `retry-after-ms` as OpenAI and Azure send it.
    """
    try:
        # The more exact one where both are sent.
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        seconds = _standard_retry_after(headers.get("retry-after", ""))
    # A comparison with NaN is false, so an unreadable header counts as none.
    return max(0.0, seconds) if seconds < _SENSIBLE_WAIT_S else None


def _standard_retry_after(value: str) -> float:
    """Seconds of `7` or `Wed, 21 Oct 2026 07:28:00 GMT`, NaN for anything else."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_tz(value)
        return email.utils.mktime_tz(date) - time.time() if date else nan
    except (ValueError, OverflowError):
        return nan
