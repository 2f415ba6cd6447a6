"""Servers for one's own computer: Ollama, LM Studio, llama.cpp."""

from vendors.dialect import ANSWER, Ended, Sent, Vendor, openai_error, page

OLLAMA = Vendor(
    "ollama",
    "https://docs.ollama.com/api/openai-compatibility and .../cloud; netease-youdao/QAnything#555,"
    " ollama/ollama's server/routes.go",
    {
        "thoughts": Ended(message={"reasoning": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning": "It is (B)."}, words="reasoning"),
        "broken": Sent(
            500,
            {"error": "model requires more system memory (12.1 GiB) than is available (7.6 GiB)"},
            "requires more system memory (12.1 GiB)",
        ),
        "rate_limit": Sent(429, {"error": "too many concurrent requests"}, headers={"retry-after": "0.02"}),
        "bad_key": Sent(401, {"error": "unauthorized"}, "unauthorized"),
        "no_model": Sent(
            404,
            openai_error('model "gpt-4o-mini" not found, try pulling it first', "api_error"),
            "try pulling it first",
        ),
        "refused_format": Sent(
            400, openai_error('invalid format: expected "json" or a valid JSON Schema object')
        ),
        "overloaded": Sent(
            503,
            openai_error("server busy, please try again. maximum pending requests exceeded", "api_error"),
            headers={"retry-after": "0.02"},
        ),
        "too_long": Sent(
            400,
            openai_error("the input length exceeds the context length"),
            "input length exceeds the context length",
        ),
        "page": page("404 page not found", 404),
    },
    body={"system_fingerprint": "fp_ollama"},
    without={
        "filtered": "it has no content filter",
        "no_money": "it is free",
        "refused_field": "fields that it does not know are ignored",
        "error_with_200": "errors have their status",
        "blocked": "it has no accounts",
    },
    batches="it has no Batch API",
)

LM_STUDIO = Vendor(
    "lm_studio",
    "https://lmstudio.ai/docs/developer/openai-compat; lmstudio-ai/lmstudio-bug-tracker#169, #618, QwenLM/qwen-code#10065",
    {
        "thoughts": Ended(f"<think>Is it (A)?\n1: image_style\nNo.</think>\n\n{ANSWER}"),
        "cut": Ended("<think>Is it (A)?\n1: image_style\n", "length"),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "broken": Sent(
            400,
            {
                "error": "The model has crashed without additional information. (Exit code: 18446744072635812000)"
            },
            "The model has crashed",
        ),
        "no_model": Sent(
            400,
            {
                "error": 'Invalid model identifier "gpt-4o-mini". Please specify a valid downloaded model (e.g., qwen3).'
            },
            "Invalid model identifier",
        ),
        "refused_format": Sent(400, {"error": "'response_format.type' must be 'json_object' or 'text'"}),
        "overloaded": Sent(503, {"error": "Model is loading"}, headers={"retry-after": "0.02"}),
        "too_long": Sent(
            400,
            {
                "error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded"
                " with context length of only 4096 tokens, which is not enough."
            },
            "context length of only 4096",
        ),
        # a base_url without /v1
        "error_with_200": Sent(
            200,
            {"error": "Unexpected endpoint or method. (POST /chat/completions)"},
            "Unexpected endpoint or method",
        ),
        "page": page("LM Studio", 404),
    },
    body={"stats": {}, "system_fingerprint": "x"},
    choice={"logprobs": None},
    message={"tool_calls": []},
    without={
        "filtered": "it has no content filter",
        "rate_limit": "it queues requests",
        "bad_key": "it wants no key",
        "no_money": "it is free",
        "refused_field": "fields that it does not know are ignored",
        "blocked": "it has no accounts",
    },
    batches="it has no Batch API",
)


def _llama(code: int, message: str, kind: str, **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


LLAMA_CPP = Vendor(
    "llama_cpp",
    "https://github.com/ggml-org/llama.cpp/tree/master/tools/server; ggml-org/llama.cpp#15780, #19774,"
    " oobabooga/textgen#7257",
    {
        "thoughts": Ended(message={"reasoning_content": "Is it (A)? 1: image_style. No."}),
        "cut": Ended("", "length", {"reasoning_content": "Is it (A)?"}),
        "empty": Ended("", message={"reasoning_content": "It is (B)."}, words="reasoning_content"),
        "broken": Sent(500, _llama(500, "Compute error.", "server_error"), "Compute error"),
        "bad_key": Sent(401, _llama(401, "Invalid API Key", "authentication_error"), "Invalid API Key"),
        "no_model": Sent(
            400,
            _llama(400, "model 'gpt-4o-mini' not found", "invalid_request_error"),
            "not found",
        ),
        "refused_format": Sent(400, _llama(400, "Failed to parse grammar", "invalid_request_error")),
        "overloaded": Sent(
            503, _llama(503, "Loading model", "unavailable_error"), headers={"retry-after": "0.02"}
        ),
        "too_long": Sent(
            400,
            _llama(
                400,
                "the request exceeds the available context size, try increasing it",
                "exceed_context_size_error",
                n_prompt_tokens=4390,
                n_ctx=4096,
            ),
            "exceeds the available context size",
        ),
        "error_with_200": Sent(
            200,
            _llama(500, "Context size has been exceeded.", "server_error"),
            "Context size has been exceeded",
        ),
        "page": page("llama.cpp - chat", 404),
    },
    body={"timings": {"prompt_n": 1200, "predicted_n": 40}, "system_fingerprint": "b8064"},
    usage={"prompt_tokens_details": {"cached_tokens": 300}},
    counted=(1200, 300, 40),
    without={
        "filtered": "it has no content filter",
        "rate_limit": "it queues requests",
        "no_money": "it is free",
        "refused_field": "fields that it does not know are ignored",
        "blocked": "it has no accounts",
    },
    batches="it has no Batch API",
)
