"""Servers that pass requests on to others: OpenRouter, LiteLLM's proxy."""

import json

from vendors.dialect import KEY, BatchApi, Ended, Sent, Vendor, openai_error, page


def _router(code: int, message: str, **metadata: object) -> dict[str, object]:
    error: dict[str, object] = {"message": message, "code": code}
    return {"error": error | ({"metadata": metadata} if metadata else {}), "user_id": "user_1"}


_UPSTREAM = json.dumps(
    openai_error(
        "Unsupported parameter: 'temperature' is not supported with this model.",
        code="unsupported_parameter",
        param="temperature",
    )
)
OPENROUTER = Vendor(
    "openrouter",
    "https://openrouter.ai/docs/api/reference/errors-and-debugging; open-assistant-org/open-assistant#80,"
    " truefoundry/models#873",
    {
        "thoughts": Ended(
            message={
                "reasoning": "Is it (A)? 1: image_style. No.",
                "reasoning_details": [{"type": "reasoning.text", "text": "Is it (A)?", "format": None}],
            }
        ),
        "cut": Ended(
            "", "length", {"reasoning": "Is it (A)?"}, choice={"native_finish_reason": "MAX_TOKENS"}
        ),
        "empty": Ended("", message={"reasoning": "It is (B)."}, words="reasoning"),
        "filtered": Sent(
            403,
            _router(
                403,
                "Your chosen model requires moderation and your input was flagged",
                reasons=["violence"],
                flagged_input="… first question …",
                provider_name="OpenAI",
                model_slug="openai/gpt-4o-mini",
            ),
            "your input was flagged",
        ),
        "broken": Ended(
            "Question: Which? Explanation: The fox is",
            "error",
            choice={"error": {"code": 502, "message": "Upstream idle timeout exceeded"}},
            words="Upstream idle timeout exceeded",
        ),
        "rate_limit": Sent(
            429,
            _router(
                429,
                "Provider returned error",
                raw="openai/gpt-4o-mini is temporarily rate-limited upstream. Please retry shortly.",
                provider_name="OpenAI",
            ),
            headers={"Retry-After": "0.02", "X-RateLimit-Remaining": "0"},
        ),
        "bad_key": Sent(401, _router(401, "No auth credentials found"), "No auth credentials found"),
        "no_money": Sent(
            402,
            _router(
                402,
                "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
                limit_source="openrouter_credits",
            ),
            "Insufficient credits",
        ),
        "no_model": Sent(
            400, _router(400, "openai/gpt-4o-mini is not a valid model ID"), "is not a valid model ID"
        ),
        # the provider's own error is a text inside
        "refused_field": Sent(
            400, _router(400, "Provider returned error", raw=_UPSTREAM, provider_name="OpenAI")
        ),
        "refused_format": Sent(
            404,
            _router(
                404,
                "No endpoints found that can handle the requested parameters. To learn more about provider routing,"
                " visit: https://openrouter.ai/docs/provider-routing",
            ),
        ),
        "overloaded": Sent(
            502,
            _router(502, "Provider returned error", raw="upstream connect error", provider_name="x"),
            headers={"Retry-After": "0.02"},
        ),
        "too_long": Sent(
            400,
            _router(
                400,
                "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens.",
            ),
            "maximum context length is 8192",
        ),
        "error_with_200": Sent(
            200, _router(502, "Upstream error from x: overloaded"), "Upstream error from x"
        ),
        "blocked": Sent(
            403, _router(403, "This model is not available in your region."), "not available in your region"
        ),
        "page": page("OpenRouter", 404),
    },
    refuses="temperature",
    usage={"prompt_tokens_details": {"cached_tokens": 300}, "cost": 0.0001, "is_byok": False},
    counted=(1200, 300, 40),
    body={"provider": "OpenAI"},
    choice={"native_finish_reason": "stop", "logprobs": None},
    message={"refusal": None, "reasoning": None},
    batches="it has no Batch API",
)


def _lite(code: int, message: str, kind: str | None = None, param: str | None = None) -> dict[str, object]:
    return openai_error(message, kind, str(code), param=param)


_DROP = (
    "To drop these, set `litellm.drop_params=True` or for proxy:\n\n`litellm_settings:\n drop_params: true`\n"
)
LITELLM = Vendor(
    "litellm",
    "https://docs.litellm.ai/docs/exception_mapping, .../proxy/users; BerriAI/litellm#3923, #14144, #16231,"
    " kaiko-ai/eva#895",
    {
        "thoughts": Ended(
            message={
                "reasoning_content": "Is it (A)? 1: image_style. No.",
                "thinking_blocks": [{"type": "thinking", "thinking": "Is it (A)?", "signature": "s"}],
            }
        ),
        "cut": Ended(None, "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended(None, message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "filtered": Sent(
            400,
            _lite(
                400,
                "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - The response was filtered"
                " due to the prompt triggering Azure OpenAI's content management policy.\nmodel=azure/x."
                " content_policy_fallback=None. fallbacks=None.",
            ),
            "content management policy",
        ),
        "rate_limit": Sent(
            429,
            _lite(
                429,
                "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for x. Received Model"
                " Group=x\nAvailable Model Group Fallbacks=None",
                "throttling_error",
            ),
            headers={"retry-after": "0.02"},
        ),
        "bad_key": Sent(
            401,
            _lite(
                401,
                f"Authentication Error, Invalid proxy server token passed. Received API Key = {KEY}, not found in db.",
                "token_not_found_in_db",
                "key",
            ),
            "Invalid proxy server token passed",
        ),
        "no_money": Sent(
            400,
            _lite(400, "Budget has been exceeded! Current cost: 26.075, Max budget: 0.25", "budget_exceeded"),
            "Budget has been exceeded",
        ),
        "no_model": Sent(
            400,
            _lite(
                400,
                "/chat/completions: Invalid model name passed in model=gpt-4o-mini. Call `/v1/models` to view available"
                " models for your key.",
                "invalid_request_error",
                "model",
            ),
            "Invalid model name passed in",
        ),
        "refused_field": Sent(
            500,
            _lite(
                500, f"ollama does not support parameters: {{'seed': 0}}, for model=llama3:latest. {_DROP}"
            ),
        ),
        "refused_format": Sent(
            400,
            _lite(
                400,
                "litellm.UnsupportedParamsError: x does not support parameters: ['response_format'], for model=x."
                f" {_DROP}",
            ),
        ),
        "overloaded": Sent(
            503,
            _lite(503, "litellm.ServiceUnavailableError: VertexAIException - overloaded"),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            400,
            _lite(
                400,
                "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError:"
                " OpenAIException - This model's maximum context length is 8192 tokens.",
            ),
            "maximum context length is 8192",
        ),
        "blocked": Sent(
            403,
            _lite(
                403,
                "key not allowed to access model. This key can only access models=['x']. Tried to access gpt-4o-mini",
                "key_model_access_denied",
                "model",
            ),
            "key not allowed to access model",
        ),
        "page": page("LiteLLM Dashboard"),
    },
    usage={"prompt_tokens_details": {"cached_tokens": 300}, "cache_read_input_tokens": 300},
    counted=(1200, 300, 40),
    message={"provider_specific_fields": {"refusal": None}},
    without={
        "broken": "a provider that fails is a 5xx",
        "error_with_200": "errors have their status",
    },
    batches=BatchApi("https://docs.litellm.ai/docs/batches: the calls of OpenAI, passed on"),
)
