"""OpenAI and Azure."""

from vendors.dialect import KEY, BatchApi, Ended, Sent, Vendor, openai_error, page

_SOON = {"retry-after-ms": "20", "retry-after": "1"}

OPENAI = Vendor(
    "openai",
    "https://platform.openai.com/docs/guides/error-codes and the API reference, Chat completions",
    {
        "cut": Ended("", "length"),
        "empty": Ended("", words="empty"),
        "filtered": Ended(None, message={"refusal": "I'm sorry, I can't help with that."}, words="refus"),
        "rate_limit": Sent(
            429,
            openai_error(
                "Rate limit reached for gpt-4o-mini in organization org-1 on requests per min (RPM): Limit 3, Used 3,"
                " Requested 1. Please try again in 20ms.",
                "requests",
                "rate_limit_exceeded",
            ),
            headers=_SOON,
        ),
        "bad_key": Sent(
            401,
            openai_error(f"Incorrect API key provided: {KEY}.", code="invalid_api_key"),
            "Incorrect API key provided",
        ),
        "no_money": Sent(
            429,
            openai_error(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                "insufficient_quota",
            ),
            "exceeded your current quota",
        ),
        "no_model": Sent(
            404,
            openai_error(
                "The model `gpt-4o-mini` does not exist or you do not have access to it.",
                code="model_not_found",
            ),
            "does not exist or you do not have access",
        ),
        "refused_field": Sent(
            400,
            openai_error(
                "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is"
                " supported.",
                code="unsupported_value",
                param="temperature",
            ),
        ),
        "refused_format": Sent(
            400,
            openai_error(
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
            ),
        ),
        "overloaded": Sent(
            503,
            openai_error("That model is currently overloaded with other requests.", "server_error"),
            headers=_SOON,
        ),
        "too_long": Sent(
            400,
            openai_error(
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                code="context_length_exceeded",
                param="messages",
            ),
            "maximum context length is 8192",
        ),
        "blocked": Sent(
            403,
            openai_error(
                "Country, region, or territory not supported",
                "request_forbidden",
                "unsupported_country_region_territory",
            ),
            "Country, region, or territory not supported",
        ),
        "page": page("OpenAI Platform"),
    },
    refuses="temperature",
    usage={
        "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 16},
    },
    counted=(1200, 300, 40),
    body={"service_tier": "default", "system_fingerprint": "fp_1"},
    choice={"logprobs": None},
    message={"refusal": None, "annotations": []},
    without={
        "thoughts": "its thoughts are not shown",
        "broken": "a failed generation is a 500",
        "error_with_200": "errors have their status",
    },
    batches=BatchApi("https://platform.openai.com/docs/guides/batch and the API reference, Batch"),
)

_SAFE = {"hate": {"filtered": False, "severity": "safe"}}
AZURE = Vendor(
    "azure",
    "https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota and .../concepts/content-filter;"
    " stanford-crfm/helm#3327, chatboxai/chatbox#861",
    {
        "cut": Ended("", "length"),
        "empty": Ended(..., words="empty"),
        "filtered": Sent(
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management"
                    " policy. Please modify your prompt and retry.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {
                        "code": "ResponsibleAIPolicyViolation",
                        "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
                    },
                }
            },
            "content management policy",
        ),
        "rate_limit": Sent(
            429,
            {
                "error": {
                    "code": "429",
                    "message": "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your"
                    " current OpenAI S0 pricing tier. Please retry after 1 second.",
                }
            },
            headers=_SOON,
        ),
        "bad_key": Sent(
            401,
            {
                "error": {
                    "code": "401",
                    "message": "Access denied due to invalid subscription key or wrong API endpoint.",
                }
            },
            "invalid subscription key",
        ),
        "no_money": Sent(
            403,
            {
                "error": {
                    "code": "ReadOnlyDisabledSubscription",
                    "message": "The subscription '1-2-3' is disabled and therefore marked as read only.",
                }
            },
            "is disabled and therefore marked as read only",
        ),
        "no_model": Sent(
            404,
            {
                "error": {
                    "code": "DeploymentNotFound",
                    "message": "The API deployment for this resource does not exist.",
                }
            },
            "deployment for this resource does not exist",
        ),
        "refused_field": Sent(
            400,
            openai_error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'"
                " instead.",
                code="unsupported_parameter",
                param="max_tokens",
            ),
        ),
        "refused_format": Sent(
            400,
            {
                "error": {
                    "code": "BadRequest",
                    "message": "response_format value as json_schema is enabled only for api versions"
                    " 2024-08-01-preview and later",
                }
            },
        ),
        "overloaded": Sent(
            500,
            openai_error("The server had an error while processing your request.", "server_error"),
            headers=_SOON,
        ),
        "too_long": Sent(
            400,
            openai_error(
                "This model's maximum context length is 4096 tokens, however you requested 5000 tokens.",
                code="context_length_exceeded",
                param="messages",
            ),
            "maximum context length is 4096",
        ),
        "blocked": Sent(
            403,
            {"error": {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."}},
            "Virtual Network/Firewall rules",
        ),
        "page": page("Sign in to your account"),
    },
    refuses="max_tokens",
    usage={"prompt_tokens_details": {"cached_tokens": 300}},
    counted=(1200, 300, 40),
    body={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]},
    choice={"content_filter_results": _SAFE},
    without={
        "thoughts": "its thoughts are not shown",
        "broken": "a failed generation is a 500",
        "error_with_200": "errors have their status",
    },
    batches=BatchApi("https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch"),
)
