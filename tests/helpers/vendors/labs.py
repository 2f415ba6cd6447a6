"""Vendors of models of their own: Mistral, Gemini, DeepSeek, Moonshot."""

from vendors.dialect import ANSWER, BatchApi, Ended, Sent, Vendor, openai_error, page


def _mistral(message: object, kind: str, code: str | None) -> dict[str, object]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def _forbidden(name: str) -> dict[str, object]:
    return {
        "type": "extra_forbidden",
        "loc": ["body", name],
        "msg": "Extra inputs are not permitted",
        "input": 0,
    }


_WRONG_FORMAT = {
    "type": "literal_error",
    "loc": ["body", "response_format", "type"],
    "msg": "Input should be 'text' or 'json_object'",
    "input": "json_schema",
}
_THINKS = {"type": "thinking", "thinking": [{"type": "text", "text": "Is it (A)? 1: image_style. No."}]}
MISTRAL = Vendor(
    "mistral",
    "https://docs.mistral.ai/api (finish reasons, 422 bodies); raycast/extensions#31107, pydantic/pydantic-ai#1885",
    {
        "thoughts": Ended([_THINKS, {"type": "text", "text": ANSWER}]),
        "cut": Ended([_THINKS], "length"),
        "empty": Ended("", message={"tool_calls": None}, words="empty"),
        "broken": Ended("Question: Which? Explanation: The fox is", "error", words="error"),
        "rate_limit": Sent(429, _mistral("Rate limit exceeded", "rate_limited", "1300")),
        "bad_key": Sent(401, {"detail": "Unauthorized"}, "Unauthorized"),
        "no_money": Sent(402, {"message": "Payment required", "request_id": "1"}, "Payment required"),
        "no_model": Sent(
            400, _mistral("Invalid model: gpt-4o-mini", "invalid_model", "1500"), "Invalid model"
        ),
        "refused_field": Sent(422, _mistral({"detail": [_forbidden("seed")]}, "invalid_request_error", None)),
        "refused_format": Sent(422, _mistral({"detail": [_WRONG_FORMAT]}, "invalid_request_error", None)),
        "overloaded": Sent(503, _mistral("Service unavailable.", "unreachable_backend", "1100")),
        "too_long": Sent(
            400,
            _mistral(
                "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
                "invalid_request_prompt",
                "3051",
            ),
            "too large for model with 32768",
        ),
        "page": page("Le Chat - Mistral AI"),
    },
    message={"tool_calls": None, "prefix": False},
    without={
        "filtered": "its moderation is another endpoint",
        "error_with_200": "errors have their status",
        "blocked": "its accounts without access get 401",
    },
    batches="its batches have calls of their own, /v1/batch/jobs",
)


def _gemini(code: int, message: str, status: str, *details: dict[str, object]) -> list[object]:
    error: dict[str, object] = {"code": code, "message": message, "status": status}
    return [{"error": error | ({"details": list(details)} if details else {})}]


_GOOGLE = "type.googleapis.com/google.rpc"
GEMINI = Vendor(
    "gemini",
    "https://ai.google.dev/gemini-api/docs/openai and .../troubleshooting; n4ze3m/page-assist#406,"
    " Vali-98/ChatterUI#227, google-gemini/gemini-cli#8437",
    {
        "thoughts": Ended(f"<thought>Is it (A)? 1: image_style. No.</thought>{ANSWER}"),
        "cut": Ended(..., "length"),
        "empty": Ended(..., words="empty"),
        "filtered": Ended(..., "content_filter: PROHIBITED_CONTENT", words="filter"),
        "rate_limit": Sent(
            429,
            _gemini(
                429,
                "You exceeded your current quota, please check your plan and billing details. Please retry in 0.02s.",
                "RESOURCE_EXHAUSTED",
                {"@type": f"{_GOOGLE}.RetryInfo", "retryDelay": "0.02s"},
            ),
        ),
        "bad_key": Sent(
            400,
            _gemini(
                400,
                "API key not valid. Please pass a valid API key.",
                "INVALID_ARGUMENT",
                {"@type": f"{_GOOGLE}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
            ),
            "API key not valid",
        ),
        "no_money": Sent(
            403,
            _gemini(
                403,
                "This API method requires billing to be enabled. Please enable billing on project #1.",
                "PERMISSION_DENIED",
                {"@type": f"{_GOOGLE}.ErrorInfo", "reason": "BILLING_DISABLED"},
            ),
            "requires billing to be enabled",
        ),
        "no_model": Sent(
            404,
            _gemini(404, "models/gpt-4o-mini is not found for API version v1main.", "NOT_FOUND"),
            "is not found for API version",
        ),
        "refused_field": Sent(
            400,
            _gemini(
                400,
                'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                "INVALID_ARGUMENT",
                {
                    "@type": f"{_GOOGLE}.BadRequest",
                    "fieldViolations": [
                        {
                            "description": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
                        }
                    ],
                },
            ),
        ),
        "refused_format": Sent(
            400,
            _gemini(
                400,
                'Invalid JSON payload received. Unknown name "additionalProperties" at'
                " 'generation_config.response_schema': Cannot find field.",
                "INVALID_ARGUMENT",
            ),
        ),
        "overloaded": Sent(
            503, _gemini(503, "The model is overloaded. Please try again later.", "UNAVAILABLE")
        ),
        "too_long": Sent(
            400,
            _gemini(
                400,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "INVALID_ARGUMENT",
            ),
            "exceeds the maximum number of tokens",
        ),
        "blocked": Sent(
            400,
            _gemini(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
            "User location is not supported",
        ),
        "page": page("Error 404 (Not Found)!!1", 404),
    },
    # thoughts are billed: they are in the total alone
    usage={"total_tokens": 1400},
    counted=(1200, 0, 200),
    without={
        "broken": "a reply that failed has finish reason content_filter or no choice",
        "error_with_200": "errors have their status",
    },
    batches="its OpenAI-compatible calls do not upload and download files",
)

DEEPSEEK = Vendor(
    "deepseek",
    "https://api-docs.deepseek.com/quick_start/error_codes, .../guides/reasoning_model; danilofalcao/jarvis#62,"
    " dzhng/deep-research#22",
    {
        "thoughts": Ended(message={"reasoning_content": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "filtered": Sent(
            400,
            openai_error("Content Exists Risk", code="invalid_request_error"),
            "Content Exists Risk",
        ),
        "broken": Ended(
            "Question: Which?", "insufficient_system_resource", words="insufficient_system_resource"
        ),
        "rate_limit": Sent(429, openai_error("Rate limit reached", "rate_limit_error")),
        "bad_key": Sent(
            401,
            openai_error(
                "Authentication Fails, Your api key: ****5678 is invalid",
                "authentication_error",
                "invalid_request_error",
            ),
            "Authentication Fails",
        ),
        "no_money": Sent(
            402,
            openai_error("Insufficient Balance", "unknown_error", "invalid_request_error"),
            "Insufficient Balance",
        ),
        "no_model": Sent(
            400, openai_error("Model Not Exist", code="invalid_request_error"), "Model Not Exist"
        ),
        "refused_format": Sent(
            422,
            "Failed to deserialize the JSON body into the target type: response_format: response_format.type"
            " `json_schema` is unavailable now at line 1 column 1193",
            headers={"Content-Type": "text/plain"},
        ),
        "overloaded": Sent(
            503, openai_error("Service is too busy. Please retry your request.", "service_unavailable_error")
        ),
        "too_long": Sent(
            400,
            openai_error(
                "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens.",
                code="invalid_request_error",
            ),
            "maximum context length is 65536",
        ),
        "page": page("DeepSeek"),
    },
    usage={
        "prompt_cache_hit_tokens": 300,
        "prompt_cache_miss_tokens": 900,
        "completion_tokens_details": {"reasoning_tokens": 16},
    },
    counted=(1200, 300, 40),
    message={"reasoning_content": None},
    lead="\n\n\n",  # it keeps connections open with blank lines until the reply is there
    without={
        "refused_field": "fields that it does not know are ignored",
        "error_with_200": "errors have their status",
        "blocked": "no such error is documented",
    },
    batches="it has no Batch API",
)

MOONSHOT = Vendor(
    "moonshot",
    "https://platform.moonshot.ai/docs/api/chat, https://www.kimi.com/code/docs/en/kimi-code/error-reference.html;"
    " HKUDS/nanobot#202",
    {
        "thoughts": Ended(message={"reasoning_content": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "filtered": Sent(
            400,
            openai_error("The request was rejected because it was considered high risk", "content_filter"),
            "considered high risk",
        ),
        "rate_limit": Sent(
            429,
            openai_error(
                "Your account org-1<ak-1> request reached organization max RPM: 3, please try again after 1 seconds",
                "rate_limit_reached_error",
            ),
            headers={"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0"},
        ),
        "bad_key": Sent(
            401,
            openai_error("Invalid Authentication", "invalid_authentication_error"),
            "Invalid Authentication",
        ),
        "no_money": Sent(
            429,
            openai_error(
                "Your account org-1<ak-1> is suspended, please check your plan and billing details",
                "exceeded_current_quota_error",
            ),
            "is suspended",
        ),
        "no_model": Sent(
            404,
            openai_error("Not found the model gpt-4o-mini or Permission denied", "resource_not_found_error"),
            "Not found the model",
        ),
        "refused_field": Sent(400, openai_error("invalid temperature: only 1 is allowed for this model")),
        "refused_format": Sent(
            400, openai_error("Invalid request: response_format type json_schema is not supported")
        ),
        "overloaded": Sent(
            429,
            openai_error(
                "The engine is currently overloaded, please try again later", "engine_overloaded_error"
            ),
        ),
        "too_long": Sent(
            400,
            openai_error("Invalid request: Your request exceeded model token limit: 8192"),
            "exceeded model token limit",
        ),
        "blocked": Sent(
            403,
            openai_error(
                "Access terminated: the account violated the terms of use", "access_terminated_error"
            ),
            "Access terminated",
        ),
        "page": page("Kimi Open Platform"),
    },
    refuses="temperature",
    usage={"cached_tokens": 300},
    counted=(1200, 300, 40),
    without={"broken": "no such finish reason", "error_with_200": "errors have their status"},
    batches=BatchApi("https://platform.moonshot.ai/docs/api/batch, with OpenAI's states"),
)
