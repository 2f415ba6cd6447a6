"""What a server's error means: retry, fail this request only, or stop asking (steps 0, 1, 3 and 4)."""

import email.utils
import random
import re
import time
from collections.abc import Mapping
from math import isnan, nan

import aiohttp
import openai

from dataengine_lib.chat.error_body import ErrorBody, ErrorReply, read_error
from dataengine_lib.chat.reply import TeacherStop

# Error codes in lower case. OpenAI's guide "Error codes"; Azure and many other servers use the same ones.
# A content filter refused one request: also Azure's inner code, DashScope's and Zhipu's.
_FILTER_CODES = {
    "content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed",
    "datainspectionfailed", "moderation_blocked", "prohibited_content", "1301",
}  # fmt: skip
_NO_MONEY_CODES = {
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated",
    # Moonshot · DashScope · Volcano Ark · Groq (two) · LiteLLM · SiliconFlow · Zhipu · others; not Together's
    # "credit_limit", which it gives to rate limits too
    "exceeded_current_quota_error", "arrearage", "accountoverdueerror", "organization_restricted",
    "blocked_api_access", "budget_exceeded",
    "30001", "30011", "1113", "insufficient_balance", "insufficient_credits", "payment_required", "billing_error",
    # Anthropic's, of a rate limit that ends with the month
    "enforced_spend_limit_reached",
    "account_suspended", "allocationquota.freetieronly", "insufficient_user_quota", "not_enough_balance",
}  # fmt: skip
_KEY_CODES = {
    "invalid_api_key", "api_key_invalid", "authentication_error", "invalid_authentication_error", "unauthenticated",
    "api_key_expired", "unauthorized", "incorrect_api_key_error",
}  # fmt: skip
_REGION_CODES = {"unsupported_country_region_territory", "region_not_supported", "unsupported_region"}
_NO_MODEL_CODES = {
    "model_not_found", "model_not_available", "model_deprecated", "deploymentnotfound", "model_not_exist", "20012",
    "invalid_model", "model_not_supported", "1211",
}  # fmt: skip

# "Insufficient Balance" · "Your paid balance is insufficient" · "requires more credits" · "in good standing"
# · "is suspended due to" · "payment required" · "Organization has been restricted"
_NO_MONEY = re.compile(
    r"insufficient (?:account |paid )?(?:balance|credit|fund|quota)"
    r"|\b(?:balance|credits?) (?:is|are|has|have) (?:been )?(?:too low|insufficient|exhausted|depleted|not enough|used up)"
    r"|not enough (?:balance|credits?|quota)|\b(?:balance|credits?|quota) is not enough"
    r"|reached your specified [\w ]{0,20}usage limits"
    r"|out of credits|more credits|credit balance|arrears|good standing|余额不足|欠费"
    r"|\baccount\b[^.,;]{0,120}\b(?:suspended|deactivated|disabled|not active|restricted|banned|overdue)\b"
    r"|credit limit exceeded|budget has been exceeded|over budget|spend(?:ing)? limit"
    r"|organization has been (?:restricted|disabled|suspended)|payment (?:is )?required|billing (?:hard )?limit",
    re.IGNORECASE,
)
# A warning about the future, which says nothing of the account now: matches "may lead to your account being suspended"
_WARNING = re.compile(
    r"\b(?:may|might|could|will|would)\b[^.,;:]{0,120}\b(?:suspended|deactivated|disabled|restricted|banned)\b",
    re.IGNORECASE,
)
# "API key not valid" · "Incorrect API key provided" · "invalid subscription key"
_BAD_KEY = re.compile(
    r"\b(?:api|subscription|access)[ _-]?(?:key|token)\b[^.;]{0,40}"
    r"\b(?:not valid|invalid|incorrect|expired|missing|revoked)"
    r"|\b(?:invalid|incorrect|missing|expired|no) (?:api|subscription|access|authentication)[ _-]?"
    r"(?:key|token|credentials)\b"
    r"|unauthorized|authentication fail|login fail",
    re.IGNORECASE,
)
# "Country, region, or territory not supported" · "User location is not supported for the API use"
_REGION = re.compile(
    r"(?<!image )\b(?:country|region|territory|location)\b[^.;]{0,40}"
    r"\b(?:not|un)[ -]?(?:supported|available|allowed|served)"
    r"|not (?:supported|available|allowed|served) in (?:your|this) (?:country|region|territory|location)",
    re.IGNORECASE,
)
# "Your input was flagged" · "content policy"
_FLAGGED = re.compile(r"\bflagged\b|moderation|content (?:management )?policy|content filter", re.IGNORECASE)
# "The model `x` does not exist" · "You do not have access to"
_ABOUT_MODEL = re.compile(r"\bmodels?\b|\baccess to\b|permission", re.IGNORECASE)
# "model 'x' not found" · "x is not a valid model ID" · "Invalid model name passed in model=x" · "Invalid model: x"
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,100}(?:not found|not exist|not available|no such)|(?:unknown|no such) model|not a valid model"
    r"|invalid model(?: name| id|:)",
    re.IGNORECASE,
)
# Something of one request that is missing: matches "image file not found", "url could not be found"
_MISSING_INPUT = re.compile(
    r"\b(?:file|image|picture|url)s? (?:\w+ ){0,2}not (?:be )?(?:found|exist)", re.IGNORECASE
)

# "Request too large for gpt-4o …: Limit 30000, Requested 50000": more than a minute's tokens in one request
_TOO_LARGE = re.compile(r"\brequest too large\b", re.IGNORECASE)

# Matches {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
_RETRY_INFO = re.compile(r'"retryDelay":\s*"(\d+(?:\.\d+)?)s"')
_LONGEST_ERROR = 100_000  # characters of a response in which it is looked for

_LONGEST_WAIT_S = 120.0  # a server whose Retry-After is longer stops the run instead
_SENSIBLE_WAIT_S = 30 * 24 * 3600.0  # a Retry-After beyond is a fault of the server's clock and ignored


# The statuses that OpenAI's own SDK retries; 425 "too early", 498 of Groq where its flex tier is full, 424 of TGI.
_TEMPORARY = (408, 409, 424, 425, 429, 498)
_DECLINING = (200, 400, 403, 422, 451)  # of a content filter


def is_temporary_status(status: int) -> bool:
    """Whether the same request may succeed a little later, by the HTTP status of the response."""
    return status in _TEMPORARY or status >= 500


def is_temporary_body(body: ErrorBody) -> bool:
    """Whether the same request may succeed a little later, by what the server says; also where it names no status."""
    if body.status == 429 and _TOO_LARGE.search(body.words):
        return False
    return body.status == 200 or is_temporary_status(body.status)


def body_of(error: Exception) -> ErrorBody | None:
    """What the server says about a request that failed; None where no response came."""
    if isinstance(error, openai.APIStatusError):
        return read_error(error.status_code, error.response.content)
    return error.body if isinstance(error, ErrorReply) else None


def is_temporary(error: Exception) -> bool:
    """Whether the same request may succeed a little later, for any error of the client (timeouts are temporary)."""
    if (body := body_of(error)) is not None:
        return is_temporary_body(body)
    # Other errors than the SDK's are a timeout, or the ValueError of a response that is no completion.
    return not isinstance(error, openai.APIError) or isinstance(
        error, openai.APIConnectionError | openai.APIResponseValidationError
    )


def is_declined(body: ErrorBody) -> bool:
    """Whether a content filter refused this one request; the server answers others."""
    if body.codes & _FILTER_CODES:
        return True
    if body.status not in _DECLINING:
        return False
    # "Your account has been suspended for violating our content policy" meets every request.
    return body.flagged or (_FLAGGED.search(body.words) is not None and not _names_money(body.words))


def connection_error(error: BaseException | None) -> aiohttp.ClientError | None:
    """The connection's own error behind those of the SDK and of httpx2, None if the connection was fine."""
    while error is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def is_unreachable(error: Exception) -> bool:
    """Whether no connection could be made: nothing was sent, so nothing is billed."""
    return isinstance(connection_error(error), aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def fatal_error(
    body: ErrorBody, where: str, model: str, wait_s: float | None = None, key: str = "OPENAI_API_KEY"
) -> TeacherStop | None:
    """The TeacherStop, with the server's words and a remedy, if this error will meet every request; else None.

    `where` names the server in the message, `model` the model that was asked for, `key` the variable that holds the key.
    `wait_s` is what the server asks to wait.
    """
    if is_declined(body):
        return None
    status = "" if body.status == 200 else f" ({body.status})"
    words = f": {body.words}" if body.words else ""
    problem = None
    # By codes and words first, since OpenAI reports a used-up quota with status 429, as it does a rate limit.
    if _is_without_money(body, wait_s):
        problem = f"quota used up or billing stopped{status}{words}; top up, then run again"
    elif _is_blocked_region(body):
        problem = f"{body.words}{status}; this server is not for the country or region of this machine"
    elif _is_bad_key(body):
        problem = f"the key was refused{status}{words}; set a valid {key}"
    elif body.is_page and body.status in (401, 403, 404, 405, 410):
        problem = f"{body.words}{status}"
    elif body.status == 403:
        problem = f"{body.words}{status}" if body.words else f"this key may not use {model}{status}"
        if not body.words or _ABOUT_MODEL.search(body.words):
            problem += f"; ask for access to {model} or name another model"
    elif _is_without_model(body):
        problem = (
            f"model {model!r} is not served there{status}{words}; check the URL and the model's name"
            " (it may be retired)"
        )
    elif (wait_s or 0) > _LONGEST_WAIT_S:
        problem = f"asks to wait {wait_s:.0f} s{words}; run again after that"
    return TeacherStop(f"{where}: {problem}") if problem else None


def _is_without_money(body: ErrorBody, wait_s: float | None) -> bool:
    if body.status == 402:
        # OpenRouter: with Retry-After, only the requests under way have used up what is left.
        return wait_s is None or wait_s > _LONGEST_WAIT_S
    return bool(body.codes & _NO_MONEY_CODES) or _names_money(body.words)


def _names_money(words: str) -> bool:
    """Whether a server's words say that the account is out of money, or blocked."""
    return _NO_MONEY.search(_WARNING.sub("", words)) is not None


def _is_blocked_region(body: ErrorBody) -> bool:
    if body.codes & _REGION_CODES:
        return True
    return body.status in (200, 400, 403, 451) and bool(_REGION.search(body.words))


def _is_bad_key(body: ErrorBody) -> bool:
    # DashScope and Gemini refuse a key with status 400, other servers with 403.
    return body.status == 401 or (
        body.status in (200, 400, 403) and bool(body.codes & _KEY_CODES or _BAD_KEY.search(body.words))
    )


def _is_without_model(body: ErrorBody) -> bool:
    if body.status in (404, 410) or body.codes & _NO_MODEL_CODES:
        return True
    return body.status in (200, 400) and bool(_NO_MODEL.search(_MISSING_INPUT.sub("", body.words)))


def asked_wait(error: Exception) -> float | None:
    """What the server asks to wait, in seconds: its Retry-After, or Gemini's RetryInfo; None where there is neither."""
    if not isinstance(error, openai.APIStatusError):
        return None
    if (wait := retry_after(error.response.headers)) is not None:
        return wait
    found = _RETRY_INFO.search(error.response.text[:_LONGEST_ERROR])
    return retry_after({"retry-after": found[1]}) if found else None


def is_without_quota(error: Exception) -> bool:
    """Whether a rate limit is one of no requests at all, as Mistral's of a model that is not in the account's plan."""
    if not isinstance(error, openai.RateLimitError):
        return False
    return error.response.headers.get("x-ratelimit-limit-req-minute", "").strip() == "0"


def pause_before_retry(error: Exception, attempt: int) -> float:
    """Seconds: the server's Retry-After and up to one more, else exponential back-off with jitter, at most 30."""
    # Requests that failed at the same moment are not all repeated at the same moment.
    jitter = random.uniform(0.5, 1.0)
    if (wait := asked_wait(error)) is not None:
        return wait + jitter * min(wait, 1.0)
    return jitter * min(30.0, 0.5 * 2 ** (attempt - 1))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, None when it does not say.

    Source: RFC 9110 (`Retry-After`: a number or a date); `retry-after-ms` as OpenAI and Azure send it.
    """
    try:
        # The more exact one where both are sent.
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        seconds = _standard_retry_after(headers.get("retry-after", ""), headers.get("date", ""))
    # A comparison with NaN is false, so an unreadable header counts as none.
    return max(0.0, seconds) if seconds < _SENSIBLE_WAIT_S else None


def _standard_retry_after(value: str, sent: str) -> float:
    """Seconds of `7` or `Wed, 21 Oct 2026 07:28:00 GMT`, NaN for anything else; `sent` is the reply's own date."""
    try:
        return float(value)
    except ValueError:
        pass
    # Both dates are of the server's clock, from which this machine's may differ by any time.
    until, now = _moment(value), _moment(sent)
    return until - (time.time() if isnan(now) else now)


def _moment(date: str) -> float:
    """Seconds since 1970 of a date in a header, NaN for anything else."""
    try:
        parts = email.utils.parsedate_tz(date)
        return email.utils.mktime_tz(parts) if parts else nan
    except (ValueError, OverflowError):
        return nan
