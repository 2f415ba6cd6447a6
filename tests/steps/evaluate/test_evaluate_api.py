"""Step 1 with a student behind a server: what it pays for, declines, and leaves unanswered."""

import base64
import io
import json
import re
from math import log
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS
from echoing.first_tokens import completion, first_token_server, openai_form
from echoing.prompt_scores import chat_text, toy_tokens, vllm_reply
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground.server import Fault, PlaygroundServer, serve
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.students.on_server.rank_counts import RankCounts


def run_api(root: Path, server: PlaygroundServer, **more: Any) -> Any:
    values = {
        "questions": root / "questions.json", "image_root": root, "output_dir": root / "out", "categories": "v1",
        "student": "api:any", "rank": "generate", "base_url": server.base_url, "direct_answers": False, **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values))


def see(messages: list[dict[str, Any]]) -> str:
    """The letter of the colour in the picture of a chat request."""
    parts = messages[-1]["content"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    r, g, b = image.convert("RGB").getpixel((5, 5))
    name = min(COLOURS, key=lambda c: sum((x - y) ** 2 for x, y in zip(COLOURS[c], (r, g, b), strict=True)))
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    found = re.search(rf"\(([A-D])\) {name}\b", text)
    return json.dumps({"answer": found[1]}) if found else name


def test_a_student_behind_a_server(root: Path) -> None:
    with serve(see) as server:
        result = run_api(root, server)
        assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]
        asked = len(server.requests)
        assert asked == 7
        usage = result.metrics.usage
        assert usage is not None and usage.replies == 7 and usage.prompt_tokens > 0 and usage.cost_usd is None
        assert run_api(root, server).metrics == result.metrics
        assert len(server.requests) == asked  # the second run pays for nothing


def test_within_a_budget_there_are_figures_of_all_questions_or_none(root: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  any: {input: 10, output: 1000, image_tokens: 100}\n")
    with serve(see) as server:
        values = {"prices": prices, "max_output_tokens": 40, "concurrency": 1}
        with pytest.raises(DataEngineError, match=r"budget_usd 0.1: .* raise budget_usd to go on"):
            run_api(root, server, budget_usd=0.1, **values)
        asked = len(server.requests)
        assert 0 < asked < 7 and not (root / "out" / "metrics.json").exists()
        usage = run_api(root, server, budget_usd=2, **values).metrics.usage
        assert len(server.requests) == 7 == usage.replies and 0 < usage.cost_usd < 2


def test_blind_sends_no_image_and_probes_are_paid_for_once(root: Path) -> None:
    def answers(messages: list[dict[str, Any]]) -> str:
        if isinstance(messages[-1]["content"], str):  # a message without a picture
            return json.dumps({"answer": "A"})
        return see(messages)

    with serve(answers) as server:
        result = run_api(root, server, blind=True, contamination=True)
        blind = [row for row in server.requests if isinstance(row["messages"][-1]["content"], str)]
        # seven questions, blind, in another order and in other words
        assert len(blind) == 7 and len(server.requests) == 28
        scores = result.metrics.blind["diagnose"].overall
        assert (scores.first.mean, scores.second.mean) == (0.75, 0.75)  # red is A
        assert result.metrics.usage.replies == 28
        assert result.metrics.contamination.preference is None
        assert run_api(root, server, blind=True, contamination=True).metrics == result.metrics
        assert len(server.requests) == 28


def test_a_refusal_is_a_wrong_answer(root: Path) -> None:
    with serve(see, ["refusal"]) as server:
        result = run_api(root, server, concurrency=1)
    refused = result.answers[0]
    assert (refused.predicted_choice_idx, refused.correct) == (-1, False)
    assert refused.written == "the student refused"
    assert result.metrics.splits["diagnose"].cannot_tell == 1


def test_a_request_that_fails_is_counted_and_asked_again(root: Path) -> None:
    broken = ["(1)?"]

    def faults(body: dict[str, Any]) -> str | None:
        parts = body["messages"][-1]["content"]
        asked = str(parts[-1]) + str(parts[0].get("text", ""))
        return "400" if broken and broken[0] in asked else None

    with serve(see, faults) as server:
        values = {"max_bad_share": 0.2, "concurrency": 1}
        result = run_api(root, server, **values)
        assert result.metrics.skipped.by_reason == {"no answer from the student": 1}
        assert len(result.answers) == 6
        broken.clear()
        before = len(server.requests)
        assert len(run_api(root, server, **values).answers) == 7
        assert len(server.requests) == before + 1


IN_REASONING: Fault = (
    200,
    {
        "choices": [
            {"message": {"content": None, "reasoning_content": "It is red."}, "finish_reason": "stop"},
        ]
    },
)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (IN_REASONING, "the reply is empty, its text is in reasoning_content"),
        ((200, {"choices": [{"message": {"content": "<think>A"}, "finish_reason": "length"}]}), "cut off at"),
        ((200, {"choices": [{"message": {"content": "(A)"}, "finish_reason": "error"}]}), "ended by 'error'"),
    ],
)
def test_replies_that_are_no_answers_are_not_wrong_answers(root: Path, fault: Fault, words: str) -> None:
    broken = True
    with serve(see, lambda body: fault if broken else None) as server:
        with pytest.raises(DataEngineError, match=words):
            run_api(root, server)
        assert not (root / "out" / "metrics.json").exists()
        # put right, every question is asked once more: the ledger holds no answer
        broken, before = False, len(server.requests)
        result = run_api(root, server)
    assert len(server.requests) == before + 7
    assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]


def test_an_older_ledger_with_empty_replies_is_asked_once_more(root: Path) -> None:
    with serve(see) as server:
        run_api(root, server)
        ledger = root / "out" / "student_ledger.jsonl"
        rows = [json.loads(line) for line in ledger.read_text().splitlines()]
        for row, text in zip(rows, ["", "[THINK]red", "<think>red</think>"], strict=False):
            row["text"] = text
        ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
        before = len(server.requests)
        result = run_api(root, server)
    assert len(server.requests) == before + 3
    assert sum(bool(answer.correct) for answer in result.answers) == 5


def test_texts_are_ranked_with_images_and_the_order_of_options_is_tested(root: Path) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        user = body["messages"][0]
        seen = "red"
        if not isinstance(user["content"], str):  # a message with a picture
            seen = see([{"content": [{"type": "text", "text": ""}, user["content"][1]]}])
        tokens = toy_tokens(chat_text(body), lambda token: -0.1 if token.strip() == seen else -2.0)
        return 200, vllm_reply(tokens)

    with first_token_server(answer) as (url, bodies):
        server = type("Server", (), {"base_url": url})()
        probes = {"rank": "text", "blind": True, "contamination": True}
        result = run_api(root, server, **probes)
        asked = len(bodies)
        assert run_api(root, server, **probes).metrics == result.metrics and len(bodies) == asked
    metrics = result.metrics
    assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]
    assert metrics.rank == "text" and metrics.usage.replies == asked
    options = sum(len(answer.choices) for answer in result.answers)
    assert metrics.ranked == RankCounts(requests=options, call="prompt_logprobs of /chat/completions")
    # what a list of first tokens cannot show: the texts of other orders are scored
    assert metrics.contamination.preference.questions == 7
    assert not [line for line in result.warnings if "requests to the student" in line]


def test_letters_are_ranked_by_the_first_token_and_what_is_not_listed_is_counted(root: Path) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if isinstance(body["messages"][-1]["content"], str):  # a message without a picture
            return 200, completion(openai_form({"A": 0.5, " A": 0.2, "B": 0.1}))
        seen = see(body["messages"])
        letter = json.loads(seen)["answer"] if seen.startswith("{") else ""
        return 200, completion(openai_form({letter: 0.6, f" {letter}": 0.1} if letter else {"I": 0.9}))

    with first_token_server(answer) as (url, bodies):
        server = type("Server", (), {"base_url": url})()
        probes = {"rank": "letter", "blind": True, "contamination": True}
        result = run_api(root, server, **probes)
        asked = len(bodies)
        assert run_api(root, server, **probes).metrics == result.metrics and len(bodies) == asked
    read = [answer for answer in result.answers if answer.predicted_choice_idx >= 0]
    assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]
    assert all(max(answer.scores) == pytest.approx(log(0.7), abs=1e-4) for answer in read)
    metrics = result.metrics
    assert metrics.rank == "first token" and metrics.contamination.preference is None
    assert metrics.ranked.requests == len(result.answers) and metrics.usage.replies == asked == 28
    assert metrics.ranked.cannot_tell == metrics.ranked.elsewhere == len(result.answers) - len(read)
    counted = [
        line for line in result.warnings if line.startswith("of 7 requests to the student: in 7 no token")
    ]
    assert len(counted) == 1
    blind = metrics.blind["diagnose"].overall
    assert blind.second.mean == 0.75  # red is A
