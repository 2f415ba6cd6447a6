"""Anthropic's layer for OpenAI's SDK: most fields that it does not support are ignored, and errors have OpenAI's form."""

from vendors.dialect import Ended, Sent, Vendor, openai_error, page


def _error(message: str, kind: str) -> object:
    return openai_error(message, kind, kind)


ANTHROPIC = Vendor(
    "anthropic",
    "https://platform.claude.com/docs/en/api/openai-sdk (fields, headers), .../api/errors;"
    " learn.microsoft.com/microsoft-cloud/dev/dev-proxy/concepts/anthropic-529-overloaded-error;"
    " anthropics/claude-code#35792",
    {
        "cut": Ended("", "length"),
        "empty": Ended("", words="empty"),
        "rate_limit": Sent(
            429,
            _error("Number of request tokens has exceeded your per-minute rate limit", "rate_limit_error"),
            headers={"retry-after": "0.02", "x-ratelimit-remaining-requests": "7"},
        ),
        "bad_key": Sent(401, _error("invalid x-api-key", "authentication_error"), "invalid x-api-key"),
        "no_money": Sent(
            429,
            {
                "error": {
                    "type": "rate_limit_error",
                    "message": "You have used up this month's spend",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                }
            },
            "used up this month's spend",
        ),
        "no_model": Sent(404, _error("model: gpt-4o-mini", "not_found_error"), "model: gpt-4o-mini"),
        "refused_field": Sent(
            400, _error("`temperature` is deprecated for this model.", "invalid_request_error")
        ),
        "overloaded": Sent(
            529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        ),
        "too_long": Sent(
            400,
            _error("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
            "prompt is too long",
        ),
        "blocked": Sent(403, _error("Request not allowed", "permission_error"), "Request not allowed"),
        "page": page("Claude Platform", 404),
    },
    refuses="temperature",
    without={
        "thoughts": "the layer does not return them",
        "filtered": "no finish reason of that kind is documented for the layer",
        "broken": "no such finish reason",
        "refused_format": "response_format is ignored",
        "error_with_200": "errors have their status",
    },
    batches="the layer has chat completions alone",
)
