"""Steps 0, 1 and 3: what a server's error means: try again, give this request up, or stop asking."""

import email.utils
import time
from collections.abc import Mapping
from math import nan

import aiohttp
import openai

from dataengine_lib.chat.reply import TeacherStop

LONGEST_WAIT = 120.0  # seconds of Retry-After that are waited for; a server asking for more is asked later
FILTERED = ("content_filter", "content_policy_violation")  # as Azure and OpenAI say it of one request
_STOP_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "account_deactivated",
}
_NO_MODEL = {"model_not_found", "model_not_available", "model_deprecated"}
_LONGEST_SENSIBLE = 30 * 24 * 3600.0  # seconds; a Retry-After beyond is a fault of the server's clock


def passing_status(status: int) -> bool:
    """A status after which the same request may well be answered a little later."""
    return status in (408, 409, 429) or status >= 500


def passing(error: Exception) -> bool:
    """An error after which the same request may well be answered a little later."""
    if isinstance(error, openai.APIStatusError):
        return passing_status(error.status_code)
    return not isinstance(error, openai.APIError) or isinstance(
        error, openai.APIConnectionError | openai.APIResponseValidationError
    )


def connection_error(error: BaseException | None) -> aiohttp.ClientError | None:
    """What became of the connection, which the layers above call by other names; None where it held."""
    while error is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def unreachable(error: Exception) -> bool:
    """Nobody listens there."""
    return isinstance(connection_error(error), aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def stop_for(error: Exception, where: str, model: str) -> TeacherStop | None:
    """The stop, with its remedy, when no request at all will be answered; `where` names who was asked."""
    if not isinstance(error, openai.APIStatusError):
        return None
    status = error.status_code
    codes = {code for code in (error.code, error.type) if isinstance(code, str)}
    says = None
    if status == 402 or codes & _STOP_CODES:
        says = f"quota used up or billing stopped ({status}); top up, then run again"
    elif status == 401:
        says = "the key was refused (401); set a valid OPENAI_API_KEY"
    elif status == 403:
        says = f"this key may not use {model} (403); ask for access or name another model"
    elif status in (404, 410) or codes & _NO_MODEL:
        says = (
            f"model {model!r} is not served there ({status}); check the URL and the model's name"
            " (it may be retired)"
        )
    elif (wait := retry_after(error.response.headers) or 0) > LONGEST_WAIT:
        says = f"asks to wait {wait:.0f} s; run again after that"
    return TeacherStop(f"{where}: {says}") if says else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, None when it does not say.

    Source: RFC 9110 (`Retry-After`: a number or a date); `retry-after-ms` as OpenAI and Azure send it.
    """
    try:
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        seconds = _standard(headers.get("retry-after", ""))
    return max(0.0, seconds) if seconds < _LONGEST_SENSIBLE else None


def _standard(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_tz(value)
        return email.utils.mktime_tz(date) - time.time() if date else nan
    except (ValueError, OverflowError):
        return nan
