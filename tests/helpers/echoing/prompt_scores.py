"""Servers that list the tokens of a prompt with their log-probabilities, in the forms of vLLM, SGLang and OpenAI."""

import re
from collections.abc import Callable
from typing import Any

Scored = list[tuple[str, float]]
"""Tokens of a whole text as the model sees it, the first one without a probability of its own."""

_TOKEN = re.compile(
    r" ?\w+| ?[^\w\s]|\s"
)  # "The", " answer", " (", "A", ")": white space before a word is a part of it


def toy_tokens(text: str, scores: Callable[[str], float]) -> Scored:
    """The words of a text as tokens, each with its score."""
    return [(token, scores(token)) for token in _TOKEN.findall(text)]


def chat_text(body: dict[str, Any]) -> str:
    """A chat request as one text: a toy template, with a place for an image, that continues the last message."""
    parts = []
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part.get("text", "<image>") for part in content)
        parts.append(f"<{message['role']}>{content}")
    return "\n".join(parts)


def vllm_reply(scored: Scored, generated: str = " x") -> dict[str, Any]:
    """vLLM's chat completion with `prompt_logprobs: 0`: one token at each place, by its id, and null for the first."""
    listed = [
        {str(number): {"logprob": logprob, "rank": number + 1, "decoded_token": token}}
        for number, (token, logprob) in enumerate(scored)
    ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": generated}, "finish_reason": "length"}
        ],
        "usage": {"prompt_tokens": len(scored), "completion_tokens": 1, "total_tokens": len(scored) + 1},
        "prompt_logprobs": [None, *listed[1:]],
    }


def echo_reply(prompt: str, scored: Scored, generated: str = " x") -> dict[str, Any]:
    """OpenAI's text completion with `echo` and `logprobs`; SGLang's and vLLM's are the same."""
    whole = [*scored, (generated, -0.5)]
    offsets, at = [], 0
    for token, _ in whole:
        offsets.append(at)
        at += len(token)
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "text": prompt + generated,
                "finish_reason": "length",
                "logprobs": {
                    "tokens": [token for token, _ in whole],
                    "token_logprobs": [None, *(logprob for _, logprob in whole[1:])],
                    "top_logprobs": [None, *({token: logprob} for token, logprob in whole[1:])],
                    "text_offset": offsets,
                },
            }
        ],
        "usage": {"prompt_tokens": len(scored), "completion_tokens": 1, "total_tokens": len(scored) + 1},
    }
