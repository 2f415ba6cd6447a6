"""Replies that are no answers, as servers send them, and what tests of them share."""

from typing import Any

import pytest
from project import PROJECT_ROOT

from dataengine_lib.playground.server import Fault

QA = (
    "Question: Which animal is it?\nChoices: (A) a cat (B) a fox (C) a dog (D) a cow\n"
    "Answer: (B) a fox\nExplanation: The fox is"
)
USAGE = {"prompt_tokens": 100, "completion_tokens": 50}


def completion(content: Any, finish: str = "stop", **message: Any) -> Fault:
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    return 200, {"id": "x", "choices": [choice], "usage": USAGE}


FAILED_CHOICE = {"finish_reason": "error", "error": {"code": 502}, "message": {"content": QA}}
UPSTREAM: Fault = (200, {"choices": [FAILED_CHOICE], "usage": USAGE})
IN_REASONING = completion(None, reasoning_content="It is a fox.")
NO_CREDITS: Fault = (200, {"error": {"message": "Insufficient credits. Add more.", "code": 402}})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")
    monkeypatch.chdir(PROJECT_ROOT)


def prompt_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])
