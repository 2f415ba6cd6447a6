"""What is an answer in a chat completion, and what is cut off, failed, refused or empty, as servers write it."""

import json
from typing import Any

import pytest

from dataengine_lib.chat.completion import read_completion
from dataengine_lib.chat.error_body import ErrorReply
from dataengine_lib.chat.ledger import PaidReply, PaidTotal


def body(content: Any, finish: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


EMPTY = "the reply is empty"
IN_REASONING = (
    "the reply is empty, its text is in {}; check the server's reasoning parser, or raise max_output_tokens"
)
THOUGHTS = "the reply holds thoughts and no answer; raise max_output_tokens"
FOX = "Question: … Explanation: The fox is"


@pytest.mark.parametrize(
    ("completion", "end", "problem"),
    [
        (body("B"), "stop", ""),
        (body("B", "eos"), "stop", ""),  # Together
        (body("B", "eos_token"), "stop", ""),  # TGI
        (body("B", "stop_sequence"), "stop", ""),  # TGI
        (body("B", "end_turn"), "stop", ""),  # Anthropic
        (body("B", "STOP"), "stop", ""),  # Gemini through some proxies
        (body("B", None), "stop", ""),
        (body("<think>A</think>B"), "stop", ""),
        (body(None, reasoning_content="It is B."), "empty", IN_REASONING.format("reasoning_content")),
        (body(None, reasoning="It is B."), "empty", IN_REASONING.format("reasoning")),
        (body("", reasoning_content="It is B."), "empty", IN_REASONING.format("reasoning_content")),
        (body(None), "empty", EMPTY),
        (body(" \n"), "empty", EMPTY),
        (body("", "eos"), "empty", EMPTY),
        (body([{"type": "thinking", "thinking": []}]), "empty", EMPTY),  # Mistral
        (body("<think>It is B.</think>"), "empty", THOUGHTS),
        (body("[THINK]It is B."), "empty", THOUGHTS),
        (body("<|channel|>analysis<|message|>It is B.<|end|>"), "empty", THOUGHTS),
        (body(None, "tool_calls", tool_calls=[{}]), "empty", "the reply is a tool call, without text"),
        (body(None, "stop", tool_calls=[{}]), "empty", "the reply is a tool call, without text"),
        (body("B", "length"), "length", ""),
        (body("B", "max_tokens"), "length", ""),
        (body("B", "model_length"), "length", ""),  # Mistral
        (body("B", "MAX_TOKENS"), "length", ""),
        (body("<think>It is", "length"), "length", "cut off within its thoughts"),
        (body(None, "length", reasoning_content="It is"), "length", "cut off within its thoughts (reasoning_content)"),
        (body("", "content_filter"), "content_filter", ""),
        (body("B", "content_filter: RECITATION"), "content_filter", ""),  # Gemini
        (body("B", "SAFETY"), "content_filter", ""),
        (body("", "sensitive"), "content_filter", ""),  # Zhipu
        (body(None, "stop", refusal="I cannot help."), "refusal", ""),
        (body(FOX, "error"), "error", "the reply ended by 'error'"),
        (body(FOX, "insufficient_system_resource"), "error",
         "the reply ended by 'insufficient_system_resource'"),  # DeepSeek
        (body(FOX, "network_error"), "error", "the reply ended by 'network_error'"),  # Zhipu
        (body("Let me look.", "tool_calls", tool_calls=[{}]), "error", "the reply ended by 'tool_calls'"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502}, "message": {"content": FOX}}]},
         "error", "status 502: Bad Gateway"),
        ({"choices": [{"finish_reason": "stop", "error": {"code": 502, "message": "Upstream died"},
                       "message": {"content": FOX}}]}, "error", "status 502: Upstream died"),
        ({**body(FOX), "error": {"message": "Provider disconnected"}}, "error", "Provider disconnected"),
        ({**body("B"), "error": None}, "stop", ""),
        ({"choices": [{"text": "B", "finish_reason": "stop"}]}, "stop", ""),
        ({"choices": [{"finish_reason": "content_filter"}]}, "content_filter", ""),
    ],
)  # fmt: skip
def test_how_a_reply_ended(completion: dict[str, Any], end: str, problem: str) -> None:
    reply = read_completion(json.dumps(completion).encode())
    assert (reply.finish_reason, reply.problem) == (end, problem)
    assert reply.failed == (end in ("empty", "error"))


@pytest.mark.parametrize(
    ("usage", "tokens"),  # of the prompt, those of it that were cached, and of the reply
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, (9, 0, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}, (9, 8, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
         (9, 8, 4)),  # DeepSeek
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 8}, (9, 8, 4)),  # Moonshot
        ({"prompt_tokens": 9, "completion_tokens": 4, "cache_read_input_tokens": 8}, (9, 8, 4)),  # LiteLLM
        ({"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553}, (20, 0, 533)),  # Gemini
        ({"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81,
          "completion_tokens_details": {"reasoning_tokens": 60}}, (21, 0, 60)),
        ({"input_tokens": 9, "output_tokens": 4}, (9, 0, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": None, "prompt_tokens_details": None}, (9, 0, 4)),
        (None, (0, 0, 0)),
    ],
)  # fmt: skip
def test_token_counts(usage: Any, tokens: tuple[int, int, int]) -> None:
    reply = read_completion({**body("B"), "usage": usage})
    assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == tokens


STREAM = (
    b': keep-alive\n\ndata: {"id": "x", "choices": [{"delta": {"content": "The "}}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "fox"}, "finish_reason": %b}], "usage": {"prompt_tokens": 9}}\n\n%b'
)


def test_a_stream_that_was_not_asked_for() -> None:
    reply = read_completion(STREAM % (b'"stop"', b"data: [DONE]\n"))
    assert (reply.text, reply.finish_reason, reply.prompt_tokens) == ("The fox", "stop", 9)
    reply = read_completion(STREAM % (b"null", b""))
    assert (reply.finish_reason, reply.problem) == ("error", "the stream ended early")
    failed = b'data: {"choices": [], "error": {"code": 502, "message": "Upstream died"}}\n'
    assert read_completion(STREAM % (b'"error"', failed)).problem == "status 502: Upstream died"
    with pytest.raises(ErrorReply, match="no chat completion"):
        read_completion(b"data: [DONE]\n")


def test_the_words_of_an_error_within_a_stream() -> None:
    failed = b'data: {"choices": [{"error": {"code": 502, "message": "Upstream died"}, "finish_reason": "error"}]}\n'
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n'
    assert read_completion(failed + usage).problem == "status 502: Upstream died"
    begun = b'data: {"choices": [{"delta": {"content": "The"}}]}\n'
    assert read_completion(begun + b'data: {"error": {"message": "Overloaded"}}\n').problem == "Overloaded"
    with pytest.raises(ErrorReply, match="Insufficient credits"):
        read_completion(
            b'data: {"error": {"message": "Insufficient credits", "code": 402}}\n\ndata: [DONE]\n'
        )
    with pytest.raises(ErrorReply, match="no chat completion"):
        read_completion(b'data: {"id": "x", "choices": []}\n')


@pytest.mark.parametrize(
    ("content", "words", "status"),
    [
        (b'{"error": {"message": "Insufficient credits. Add more.", "code": 402}}',
         "status 402: Insufficient credits. Add more.", 402),
        (b'{"error": "out of memory"}', "out of memory", 200),
        (b'{"detail": "Not ready"}', "Not ready", 200),
        (b'{"code": 50501, "message": "System busy", "data": null}', "System busy", 200),
        (b"<!DOCTYPE html>\n<html><head><title>Open WebUI</title>",
         "the server answered with a web page: check base_url (Open WebUI)", 200),
        (b'{"id": "chat', 'the reply is no chat completion: {"id": "chat', 200),
        (b'{"choices": []}', 'the reply is no chat completion: {"choices": []}', 200),
        (b"", "the reply is no chat completion: ", 200),
        (b"[" * 100_000, "the reply is nested too deeply", 200),
    ],
)  # fmt: skip
def test_bodies_without_a_reply(content: bytes, words: str, status: int) -> None:
    with pytest.raises(ErrorReply) as failed:
        read_completion(content)
    assert (str(failed.value), failed.value.body.status) == (words, status)


def test_an_answer_in_the_ledger_is_not_replaced_by_a_reply_that_is_none() -> None:
    total = PaidTotal()
    for text, finish in (("", "stop"), ("B", "eos_token"), ("", "stop"), ("The fox", "error")):
        total.add(PaidReply(key="k", text=text, finish_reason=finish, prompt_tokens=5), 0.5)
    assert (total.text, total.finish_reason, total.failed) == ("B", "stop", False)
    assert (total.replies, total.prompt_tokens, total.cost_usd) == (4, 20, 2.0)
