"""Servers for a machine with GPUs: vLLM, SGLang, TGI, and those that people build with FastAPI."""

from vendors.dialect import ANSWER, Ended, Sent, Vendor, openai_error, page

_EXTRA = "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted', 'input': 0}]"
VLLM = Vendor(
    "vllm",
    "https://docs.vllm.ai/en/latest/features/reasoning_outputs.html; vllm-project/vllm#33425, #37011, #4667",
    {
        "thoughts": Ended(
            message={"reasoning": "Is it (A)? 1: image_style. No.", "reasoning_content": "Is it (A)?"}
        ),
        "cut": Ended(None, "length", {"reasoning": "Is it (A)?"}),
        "empty": Ended(None, message={"reasoning": "It is (B)."}, words="reasoning"),
        "broken": Ended("Question: Which? Explanation: The fox is", "abort", words="abort"),
        "bad_key": Sent(401, {"error": "Unauthorized"}, "Unauthorized"),
        "no_model": Sent(
            404,
            openai_error("The model `gpt-4o-mini` does not exist.", "NotFoundError", 404, param="model"),
            "does not exist",
        ),
        "refused_field": Sent(400, openai_error(_EXTRA, "Bad Request", 400)),
        "refused_format": Sent(
            400,
            openai_error(
                "The provided JSON schema contains features not supported by xgrammar.",
                "BadRequestError",
                400,
            ),
        ),
        "overloaded": Sent(
            500,
            openai_error(
                "EngineCore encountered an issue. See stack trace above.", "InternalServerError", 500
            ),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            400,
            openai_error(
                "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens plus 2045"
                " 'max_tokens'. Please reduce one or the other. (parameter=input_tokens, max_tokens, value=(8, 2045))",
                "BadRequestError",
                400,
                param="input_tokens, max_tokens",
            ),
            "maximum context length is 2048",
        ),
        "page": page("404 Not Found", 404),
    },
    usage={"prompt_tokens_details": None},
    body={"prompt_logprobs": None, "kv_transfer_params": None},
    choice={"stop_reason": None, "logprobs": None, "token_ids": None},
    message={"refusal": None, "tool_calls": [], "function_call": None},
    without={
        "filtered": "it has no content filter",
        "rate_limit": "it queues requests",
        "no_money": "it is free",
        "error_with_200": "errors have their status",
        "blocked": "it has no accounts",
    },
    batches="its batches are a command, vllm run-batch, without a server",
)


def _sglang(code: int, message: str, kind: str) -> dict[str, object]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


SGLANG = Vendor(
    "sglang",
    "https://docs.sglang.ai/advanced_features/separate_reasoning.html; sgl-project/sglang#2956, #6693,"
    " open-compass/opencompass#1824",
    {
        "thoughts": Ended(message={"reasoning_content": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "broken": Ended("Question: Which?", "abort", choice={"matched_stop": None}, words="abort"),
        "bad_key": Sent(401, {"error": "Unauthorized"}, "Unauthorized"),
        "no_model": Sent(
            404, _sglang(404, "The model 'gpt-4o-mini' does not exist.", "NotFoundError"), "does not exist"
        ),
        "refused_field": Sent(
            400, _sglang(400, f"1 validation errors:\n  {_EXTRA}", "Bad Request"), "Extra inputs"
        ),
        "refused_format": Sent(
            400, _sglang(400, "Failed to compile json grammar: unsupported", "BadRequestError")
        ),
        "overloaded": Sent(
            503,
            _sglang(503, "The request queue is full.", "ServiceUnavailableError"),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            400,
            _sglang(
                400,
                "The input (3000 tokens) is longer than the model's context length (2048 tokens).",
                "BadRequestError",
            ),
            "longer than the model's context length",
        ),
        "page": page("502 Bad Gateway", 404),
    },
    usage={"prompt_tokens_details": {"cached_tokens": 300}, "reasoning_tokens": 0},
    counted=(1200, 300, 40),
    body={"metadata": {"weight_version": "default"}},
    choice={"matched_stop": 151645, "logprobs": None},
    message={"reasoning_content": None, "tool_calls": None},
    without={
        "filtered": "it has no content filter",
        "rate_limit": "a full queue is a 503",
        "no_money": "it is free",
        "error_with_200": "errors have their status",
        "blocked": "it has no accounts",
    },
    batches="its server has no files and batches any more",
)


def _tgi(error: str, kind: str) -> dict[str, object]:
    return {"error": error, "error_type": kind}


TGI = Vendor(
    "tgi",
    "https://huggingface.co/docs/text-generation-inference/basic_tutorials/consuming_tgi and its OpenAPI page;"
    " huggingface/text-generation-inference#2749, huggingface/huggingface_hub#2514",
    {
        "thoughts": Ended(f"Is it (A)?\n1: image_style\nNo.\n</think>\n{ANSWER}", "eos_token"),
        "cut": Ended("<think>\nIs it (A)?\n1: image_style\nOr", "length"),
        "empty": Ended("", "eos_token", words="empty"),
        "rate_limit": Sent(429, _tgi("Model is overloaded", "overloaded"), headers={"retry-after": "0.02"}),
        "bad_key": Sent(401, {"error": "Invalid username or password."}, "Invalid username or password"),
        "no_money": Sent(
            402,
            {
                "error": "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO."
            },
            "exceeded your monthly included credits",
        ),
        "no_model": Sent(404, {"error": "Model gpt-4o-mini does not exist"}, "does not exist"),
        "refused_format": Sent(
            422, _tgi("Input validation error: grammar is not supported, it is disabled", "validation")
        ),
        "overloaded": Sent(
            424,
            _tgi("Request failed during generation: Server error: CUDA out of memory", "generation"),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            422,
            _tgi(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens"
                " and 512 `max_new_tokens`",
                "validation",
            ),
            "must be <= 4096",
        ),
        "error_with_200": Sent(
            200,
            _tgi("Incomplete generation", "incomplete_generation"),
            "Incomplete generation",
        ),
        "blocked": Sent(
            403,
            {"error": "Access to model x is restricted and you are not in the authorized list."},
            "Access to model x is restricted",
        ),
        "page": page("404 - Hugging Face", 404),
    },
    regular="eos_token",
    body={"system_fingerprint": "3.0.1-native"},
    choice={"logprobs": None},
    without={
        "filtered": "it has no content filter",
        "broken": "a failed generation is a 424",
        "refused_field": "fields that it does not know are ignored",
    },
    batches="it has no Batch API",
)


def _detail(kind: str, *where: str, message: str) -> dict[str, object]:
    return {"detail": [{"type": kind, "loc": ["body", *where], "msg": message, "input": None}]}


FASTAPI = Vendor(
    "fastapi",
    "https://fastapi.tiangolo.com/tutorial/handling-errors and https://docs.pydantic.dev/latest/errors/validation_errors",
    {
        "thoughts": Ended(f"<think>Is it (A)?\n1: image_style\nNo.</think>{ANSWER}"),
        "cut": Ended("<think>Is it (A)?\n1: image_style\n", "length"),
        "empty": Ended("  \n", words="empty"),
        "filtered": Sent(451, {"detail": "The prompt was flagged by moderation"}, "flagged by moderation"),
        "rate_limit": Sent(
            429, {"error": "Rate limit exceeded: 5 per 1 minute"}, headers={"retry-after": "0.02"}
        ),
        "bad_key": Sent(403, {"detail": "Invalid or missing API key"}, "Invalid or missing API key"),
        "no_money": Sent(402, {"detail": "Insufficient credits"}, "Insufficient credits"),
        "no_model": Sent(404, {"detail": "Model gpt-4o-mini not found"}, "not found"),
        # of pydantic 1; that of pydantic 2 is Mistral's
        "refused_field": Sent(
            422,
            {
                "detail": [
                    {
                        "loc": ["body", "seed"],
                        "msg": "extra fields not permitted",
                        "type": "value_error.extra",
                    }
                ]
            },
        ),
        "refused_format": Sent(
            422,
            _detail(
                "literal_error", "response_format", "type", message="Input should be 'text' or 'json_object'"
            ),
        ),
        "overloaded": Sent(503, {"detail": "Model is still loading"}, headers={"retry-after": "0.02"}),
        "too_long": Sent(
            413, {"detail": "Prompt has 5000 tokens, the limit is 4096"}, "Prompt has 5000 tokens"
        ),
        "error_with_200": Sent(200, {"detail": "CUDA out of memory"}, "CUDA out of memory"),
        "blocked": Sent(
            403, {"detail": "Your address is not on the list"}, "Your address is not on the list"
        ),
        "page": page("Sign in", 200),
    },
    without={"broken": "a failed generation is a 500"},
    batches="a server of one's own has no Batch API",
)
