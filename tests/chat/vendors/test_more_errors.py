"""Errors of further servers and gateways, as their documentation and public reports show them: what stops, what fails
alone and what is asked once more."""

from typing import Any

import pytest
from vendors.cell import Cell, CellOf
from vendors.dialect import Sent
from vendors.gpu_servers import FASTAPI
from vendors.readers import READERS, is_about

STUDENT = READERS[1]


def error(message: str, code: Any = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def cell_of(cell: CellOf) -> Cell:
    return cell(FASTAPI, STUDENT)


@pytest.mark.parametrize(
    ("status", "body", "words", "remedy"),
    [
        # xAI
        (
            429,
            {"code": "Some resource has been exhausted", "error": "Your team has either used all available credits or"
             " reached its monthly spending limit."},
            "used all available credits",
            "top up",
        ),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: sk***."},
            "Incorrect API key provided",
            "OPENAI_API_KEY",
        ),
        # Fireworks
        (
            412,
            error("Account x is suspended, possibly due to reaching the monthly spending limit.", "PRECONDITION_FAILED"),
            "is suspended",
            "top up",
        ),
        (404, error("Model not found, inaccessible, and/or not deployed", "NOT_FOUND"), "Model not found", "name"),
        # Anthropic
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to"
             " access the API."}},
            "credit balance is too low",
            "top up",
        ),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "You have reached your specified"
             " API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}},
            "reached your specified API usage limits",
            "top up",
        ),
        # MiniMax: status 200 and no choices, or 500
        (
            200,
            {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            "insufficient balance",
            "top up",
        ),
        (500, {"type": "error", "error": {"type": "api_error", "message": "insufficient balance (1008)"}},
         "insufficient balance", "top up"),
        (
            200,
            {"base_resp": {"status_code": 1004, "status_msg": "login fail: Please carry the API secret key in the"
             " 'Authorization' field of the request header"}},
            "login fail",
            "OPENAI_API_KEY",
        ),
        # Zhipu
        (429, error("余额不足或无可用资源包,请充值。", "1113"), "余额不足", "top up"),
        (400, error("模型不存在，请检查模型代码。", "1211"), "模型不存在", "name"),
        # DashScope
        (
            400,
            error("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage"),
            "good standing",
            "top up",
        ),
        # Novita
        (
            403,
            {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance", "metadata": {}},
            "not enough balance",
            "top up",
        ),
        # DeepInfra, NVIDIA
        (404, {"detail": {"error": "The model `x` does not exist"}}, "does not exist", "name"),
        (402, {"detail": "Account 'x': Cloud credits expired"}, "Cloud credits expired", "top up"),
        (403, {"status": 403, "title": "Forbidden", "detail": "Authorization failed"}, "Authorization failed", ""),
        # Hugging Face's router, GitHub Models, Cloudflare
        (400, error("The requested model 'x' is not supported by any provider you have enabled.",
                    "model_not_supported"), "is not supported by any provider", "name"),
        (400, error("Unknown model: x", "unknown_model"), "Unknown model", "name"),
        (
            400,
            {"result": None, "success": False, "errors": [{"code": 5007, "message": "No such model @cf/x or task"}]},
            "No such model",
            "name",
        ),
        (401, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]},
         "Authentication error", "OPENAI_API_KEY"),
        # one-api and its kin
        (403, error("user quota is not enough", "insufficient_user_quota", "new_api_error"), "quota is not enough",
         "top up"),
        (503, error("No available channel for model x under group default", "model_not_found", "new_api_error"),
         "No available channel", "name"),
        # LiteLLM, as it passes on a budget of another proxy
        (
            400,
            error("litellm.BadRequestError: OpenAIException - Budget has been exceeded! Current cost: 14.1, Max budget:"
                  " 100. Received Model Group=x\nAvailable Model Group Fallbacks=None", "400"),
            "Budget has been exceeded",
            "top up",
        ),
        (400, error("ExceededBudget: End User=x over budget. Spend=0.0008, Budget=0.0001", "400", "budget_exceeded"),
         "over budget", "top up"),
        # OpenRouter
        (404, error("No endpoints found matching your data policy.", 404), "matching your data policy", ""),
        # OpenAI
        (404, error("Your organization must be verified to use the model `x`.", "model_not_found"),
         "must be verified", ""),
    ],
)  # fmt: skip
def test_stops_at_once(status: int, body: Any, words: str, remedy: str, cell: CellOf) -> None:
    it = cell_of(cell)
    asked = it.ask(lambda request, number: Sent(status, body), 2)
    assert (asked.stopped, len(it.requests)) == (True, 1), asked.message
    assert words in asked.message and remedy in asked.message
    assert it.ask_regular(2).answers == [STUDENT.right] * 2


@pytest.mark.parametrize(
    ("status", "body", "words", "requests"),
    [
        # OpenAI: however long the wait, it is too large
        (429, error("Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested"
                    " 50000.", "rate_limit_exceeded", "tokens"), "Request too large", 1),
        (413, error("Request body too large for x model. Max size: 8000 tokens.", "tokens_limit_reached"), "Max size", 1),
        # content filters of Zhipu and DashScope
        (400, error("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"), "不安全", 1),
        (400, error("Input data may contain inappropriate content.", "data_inspection_failed"), "inappropriate", 1),
        # the second request is without the schema, at which these may be aimed
        (400, error("Invalid image.", "invalid_image", "image_parse_error"), "Invalid image", 2),
        (400, error("Range of input length should be [1, 30720]", "invalid_parameter_error"), "Range of input", 2),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "too many images", "type": "value_error"}]}, "too many", 2),
    ],
)  # fmt: skip
def test_fails_alone(status: int, body: Any, words: str, requests: int, cell: CellOf) -> None:
    it = cell_of(cell)
    asked = it.ask(
        lambda request, number: Sent(status, body) if is_about(request, "first") else it.answer(request), 2
    )
    assert asked.answers == [None, STUDENT.right] and words in asked.message and not asked.stopped
    assert sum(is_about(request, "first") for request in it.requests) == requests


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error("Rate limit of 10 per 60s exceeded for UserByModelByMinute.", "RateLimitReached")),
        (429, error("您的账户已达到速率限制，请您控制请求频率", "1302")),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (
            200,
            {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}},
        ),
        (503, error("当前分组上游负载已饱和，请稍后再试", None, "new_api_error")),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>"),
        (504, "upstream request timeout"),
        (524, "error code: 524"),
    ],
)
def test_is_asked_once_more(status: int, body: Any, cell: CellOf) -> None:
    it = cell_of(cell)
    sent = Sent(status, body, headers={"retry-after": "0.02"})
    asked = it.ask(lambda request, number: it.answer(request) if number else sent)
    assert (asked.answers, asked.message, len(it.requests)) == ([STUDENT.right], "", 2)


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        (400, error("Unrecognized request argument supplied: seed"), "seed"),
        (400, error("Unsupported parameter(s): `seed`"), "seed"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not"
               " permitted", "input": 0.5}]}, "temperature"),
        (400, {"message": "[{'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]"}, "seed"),
        (400, error("`temperature` is deprecated for this model."), "temperature"),
        (400, {"errors": [{"message": "seed: unknown field"}]}, "seed"),
        (400, error("Argument not supported on this model: temperature"), "temperature"),
        (400, error("Unknown parameter: 'max_tokens'.", "unknown_parameter"), "max_tokens"),
    ],
)  # fmt: skip
def test_leaves_out_what_is_refused(status: int, body: Any, field: str, cell: CellOf) -> None:
    it = cell_of(cell)
    asked = it.ask(lambda request, number: Sent(status, body) if field in request else it.answer(request), 2)
    assert (asked.answers, asked.message) == ([STUDENT.right] * 2, "")
    assert [field in request for request in it.requests] == [True, False, False]
