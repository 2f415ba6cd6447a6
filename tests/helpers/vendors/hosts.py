"""Vendors that serve other people's models: Groq, Together, SiliconFlow."""

from vendors.dialect import ANSWER, KEY, BatchApi, Ended, Sent, Vendor, openai_error, page

GROQ = Vendor(
    "groq",
    "https://console.groq.com/docs/errors, .../spend-limits, .../rate-limits; HunorLaczko/ha-groq-cloud-api#27,"
    " fanenr/chatbot#21, dzhng/deep-research#127",
    {
        "thoughts": Ended(message={"reasoning": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning": "It is (B)."}, words="reasoning"),
        "broken": Sent(
            400,
            openai_error(
                "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
                code="json_validate_failed",
                failed_generation='{"answer": "B", ',
            ),
            "Failed to generate JSON",
        ),
        "rate_limit": Sent(
            429,
            openai_error(
                "Rate limit reached for model `x` in organization `org_1` service tier `on_demand` on tokens per minute"
                " (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 20ms. Need more tokens? Upgrade to"
                " Dev Tier today at https://console.groq.com/settings/billing",
                "tokens",
                "rate_limit_exceeded",
            ),
            headers={"retry-after": "0.02"},
        ),
        "bad_key": Sent(401, openai_error("Invalid API Key", code="invalid_api_key"), "Invalid API Key"),
        "no_money": Sent(
            400,
            openai_error(
                "API access is blocked: the organization reached its spend limit.", code="blocked_api_access"
            ),
            "reached its spend limit",
        ),
        "no_model": Sent(
            404,
            openai_error(
                "The model `gpt-4o-mini` does not exist or you do not have access to it.",
                code="model_not_found",
            ),
            "does not exist or you do not have access",
        ),
        "refused_field": Sent(400, openai_error("property 'seed' is unsupported, did you mean 'stop'?")),
        "refused_format": Sent(
            400,
            openai_error(
                "'response_format.type' : value is not one of the allowed values ['text','json_object']"
            ),
        ),
        "overloaded": Sent(
            498,
            openai_error("Flex tier capacity exceeded", "capacity_exceeded", "capacity_exceeded"),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            413,
            openai_error(
                "Request too large for model `x` in organization `org_1` service tier `on_demand` on tokens per minute"
                " (TPM): Limit 6000, Requested 12328, please reduce your message size and try again.",
                "tokens",
                "rate_limit_exceeded",
            ),
            "Request too large for model",
        ),
        "blocked": Sent(
            400,
            openai_error(
                "Organization has been restricted. Please reach out to support if you believe this was in error.",
                code="organization_restricted",
            ),
            "Organization has been restricted",
        ),
        "page": page("Attention Required! | Cloudflare", 403),
    },
    usage={"queue_time": 0.02, "prompt_time": 0.01, "completion_time": 0.1, "total_time": 0.11},
    body={"x_groq": {"id": "req_1"}},
    choice={"logprobs": None},
    without={
        "filtered": "moderation is a model of its own",
        "error_with_200": "errors have their status",
    },
    batches=BatchApi("https://console.groq.com/docs/batch"),
)

_BILLING = "https://api.together.xyz/settings/billing"


def _together(
    message: str, kind: str = "invalid_request_error", code: str | None = None
) -> dict[str, object]:
    return {"id": "o3LiXw4-62bZhn", **openai_error(message, kind, code)}


TOGETHER = Vendor(
    "together",
    "https://docs.together.ai/docs/error-codes; togethercomputer/MoA#27, expectedparrot/edsl#2098, HeyPuter/puter#3168,"
    " huggingface/text-generation-inference's messages behind older models",
    {
        "thoughts": Ended(f"<think>\nIs it (A)?\n1: image_style\nNo.\n</think>\n\n{ANSWER}", "eos"),
        "cut": Ended("<think>\nIs it (A)?\n1: image_style\nOr", "length"),
        "empty": Ended("<think>\nIt is (B).\n</think>\n\n", "eos", words="thoughts"),
        # a rate limit with the type of a used-up credit
        "rate_limit": Sent(
            429,
            _together(
                "You have been rate limited. Your rate limit is 60 queries per minute. Please navigate to"
                f" {_BILLING} to upgrade to a paid plan.",
                "credit_limit",
            ),
            headers={"x-ratelimit-reset": "1", "retry-after": "0.02"},
        ),
        "bad_key": Sent(
            401,
            _together(f"Invalid API key provided: {KEY}.", code="invalid_api_key"),
            "Invalid API key provided",
        ),
        "no_money": Sent(
            402,
            _together(
                f"Credit limit exceeded. Please navigate to {_BILLING} to add credit or upgrade your plan.",
                "credit_limit",
            ),
            "Credit limit exceeded",
        ),
        "no_model": Sent(
            400,
            _together(
                "Unable to access non-serverless model gpt-4o-mini. Please create and start a new dedicated endpoint for"
                " the model.",
                code="model_not_available",
            ),
            "Unable to access non-serverless model",
        ),
        "refused_format": Sent(
            400, _together("response_format of type json_schema is not supported for model x")
        ),
        "overloaded": Sent(
            503, _together("The server is overloaded or not ready yet.", "service_unavailable")
        ),
        "too_long": Sent(
            422,
            _together(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens"
                " and 512 `max_new_tokens`"
            ),
            "must be <= 8193",
        ),
        "page": page("Together AI"),
    },
    body={"prompt": []},
    choice={"seed": 1234, "logprobs": None},
    regular="eos",
    message={"tool_calls": []},
    without={
        "filtered": "moderation is a model of its own",
        "broken": "a failed generation is a 500",
        "refused_field": "fields that a model does not know are ignored",
        "error_with_200": "errors have their status",
        "blocked": "no such error is documented",
    },
    batches="its files are uploaded for another purpose, and its batches are created inside a `job`",
)


# its states before the first line is answered
_QUEUED = {"validating": "in_queue"}


def _silicon(code: int | None, message: str) -> dict[str, object]:
    return ({} if code is None else {"code": code}) | {"message": message, "data": None}


SILICONFLOW = Vendor(
    "siliconflow",
    "https://docs.siliconflow.cn/en/faqs/error-code and .../rate-limits",
    {
        "thoughts": Ended(message={"reasoning_content": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "rate_limit": Sent(
            429,
            _silicon(None, "Request was rejected due to rate limiting. Details:TPM limit reached."),
            headers={"retry-after": "0.02"},
        ),
        # the body is a JSON string
        "bad_key": Sent(401, '"Invalid token"', "Invalid token", {"Content-Type": "application/json"}),
        "no_money": Sent(
            403,
            _silicon(30001, "Sorry, your account balance is insufficient"),
            "account balance is insufficient",
        ),
        "no_model": Sent(
            400,
            _silicon(20012, "Model does not exist. Please check it carefully."),
            "Model does not exist",
        ),
        "refused_field": Sent(400, _silicon(20015, "The parameter is invalid: seed is not supported.")),
        "refused_format": Sent(400, _silicon(20024, "Json mode is not supported for this model.")),
        "overloaded": Sent(
            503,
            _silicon(50505, "Model service overloaded. Please try again later."),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            400,
            _silicon(20015, "length of prompt_tokens (33000) must be less than max_seq_len (32768)."),
            "must be less than max_seq_len",
        ),
        "blocked": Sent(
            403,
            _silicon(30003, "This model requires real-name verification of the account."),
            "requires real-name verification",
        ),
        "page": page("SiliconFlow", 404),
    },
    usage={"completion_tokens_details": {"reasoning_tokens": 16}},
    body={"system_fingerprint": ""},
    without={
        "filtered": "no such end is documented",
        "broken": "no such end is documented",
        "error_with_200": "errors have their status",
    },
    batches=BatchApi(
        "https://docs.siliconflow.cn/cn/api-reference/batch/upload-file and .../create-batch; where results lie is not"
        " described in detail, so files as OpenAI's",
        upload=lambda made: {"code": 20000, "message": "Ok", "status": True, "data": made},
        state=lambda made: (
            made | {"request_counts": None, "status": _QUEUED.get(made["status"], made["status"])}
        ),
    ),
)
