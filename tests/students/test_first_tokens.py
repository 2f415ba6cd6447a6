"""Options ranked by the first token that a server lists: forms counted together, what is missing bounded and counted."""

import json
from collections.abc import Callable
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from echoing.first_tokens import (
    Tokens,
    completion,
    completion_form,
    first_token_server,
    llama_cpp_form,
    openai_form,
    vllm_form,
)
from PIL import Image

from dataengine_lib.chat.reply import AskFailed, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.students.on_server.api_student import ApiStudent
from dataengine_lib.students.on_server.first_tokens import score_first_token
from dataengine_lib.students.on_server.rank_counts import RankCounts

CHOICES = ["dog", "cat", "cow"]


def top(tokens: Tokens) -> list[tuple[str, float]]:
    return [(token, log(p)) for token, p in tokens.items()]


@pytest.mark.parametrize(
    ("tokens", "expected", "missing", "decided"),
    [
        # with and without white space, marks in front and behind
        ({"A": 0.3, " A": 0.1, "(A": 0.05, "▁A)": 0.05, "B": 0.4}, [0.5, 0.4, 0.05], 1, True),
        ({"ĠB": 0.2, "A.": 0.15, "**B": 0.1, "C:": 0.1}, [0.15, 0.3, 0.1], 0, True),
        # a missing letter has at most what is left over, or the least probable token's probability
        ({"B": 0.9, "The": 0.09}, [0.01, 0.9, 0.01], 2, True),
        ({"B": 0.5, "A": 0.01}, [0.01, 0.5, 0.01], 1, True),
        # words that begin with a letter, small letters, and letters of no option
        ({"Because": 0.5, "a": 0.3, "D": 0.1, "C": 0.05}, [0.05, 0.05, 0.05], 2, False),
        # none is listed, or the letter comes in the token behind
        ({"The": 0.6, "It": 0.3}, [0.1, 0.1, 0.1], 3, False),
        ({"(": 0.6, "A": 0.2, "B": 0.1}, [0.2, 0.1, 0.1], 1, False),
        ({"A": 0.5, " (": 0.3, "B": 0.1}, [0.5, 0.1, 0.1], 1, True),
        ({}, [1.0, 1.0, 1.0], 3, False),
    ],
)
def test_letters(tokens: Tokens, expected: list[float], missing: int, decided: bool) -> None:
    found = score_first_token(top(tokens), "ABC")
    assert [exp(score) for score in found.scores] == pytest.approx(expected)
    assert (found.missing, found.decided) == (missing, decided)


def test_words_are_read_in_any_case_and_no_score_is_infinite() -> None:
    found = score_first_token(top({"yes": 0.3, " Yes": 0.2, "NO": 0.4, "No,": 0.05}), ["Yes", "No"])
    assert [exp(score) for score in found.scores] == pytest.approx([0.5, 0.45])
    certain = score_first_token([("A", 0.0)], "AB")
    assert certain.scores[0] == 0.0 and -30 < certain.scores[1] < -20


def student(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ApiStudent:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-9876")
    return ApiStudent("m", ChatSettings(base_url=url, **options), ledger=folder / "ledger.jsonl")


def ranked(asked: ApiStudent, count: int) -> list[list[float] | AskFailed]:
    pictures = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(count)]
    return asked.rank(pictures, [f"q{number}" for number in range(count)], [CHOICES] * count)


def number_of(body: dict[str, Any]) -> int:
    return int(body["messages"][0]["content"][0]["text"].split("\n")[0][1:])


LISTS: list[Tokens] = [
    {"B": 0.6, " A": 0.2, "A": 0.15, "C": 0.01},
    {"C)": 0.7, "The": 0.2},
    {"(": 0.9, "A": 0.05},
    {"I": 0.8, "It": 0.1},
]


@pytest.mark.parametrize("form", [openai_form, vllm_form, llama_cpp_form, completion_form])
def test_every_form_gives_the_same_ranks_which_are_paid_for_once(
    form: Callable[[Tokens], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, completion(form(LISTS[number_of(body)]))

    with first_token_server(answer) as (url, bodies):
        first = student(tmp_path, url, monkeypatch)
        scores = ranked(first, 4)
        assert len(bodies) == 4
        for body in bodies:
            assert (body["logprobs"], body["top_logprobs"]) == (True, 20) and "response_format" not in body
            assert 1 in (body.get("max_tokens"), body.get("max_completion_tokens"))
        second = student(tmp_path, url, monkeypatch)
        assert ranked(second, 4)[:2] == scores[:2] and len(bodies) == 4
    assert isinstance(scores[0], list) and scores[0].index(max(scores[0])) == 1
    assert exp(scores[0][0]) == pytest.approx(0.35)
    assert isinstance(scores[1], list) and scores[1].index(max(scores[1])) == 2
    for hidden in scores[2:]:
        assert isinstance(hidden, AskFailed) and hidden.declined and "cannot tell" in str(hidden)
    assert first.ranked == second.ranked == RankCounts(requests=4, missing=3, elsewhere=2, cannot_tell=2)
    assert first.usage().replies == 4


def test_a_server_without_lists_stops_after_one_request_and_one_that_refuses_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with first_token_server(lambda _: (200, completion(None))) as (url, bodies):
        with pytest.raises(TeacherStop, match=r"list no probable tokens.*set rank to generate"):
            ranked(student(tmp_path, url, monkeypatch), 9)
        assert len(bodies) == 1
    # a model that reasons gives an empty text for one token: asked for once more, as any reply that is empty
    with first_token_server(lambda _: (200, completion(None, "", "stop"))) as (url, bodies):
        with pytest.raises(TeacherStop, match=r"list no probable tokens.*set rank to generate"):
            ranked(student(tmp_path / "empty", url, monkeypatch), 9)
        assert len(bodies) == 2
    refusal = {
        "error": {"message": "logprobs is not supported by this model", "param": "logprobs", "code": None}
    }
    with first_token_server(lambda _: (400, refusal)) as (url, bodies):
        with pytest.raises(TeacherStop, match=r"gives no log-probabilities.*set rank to generate"):
            ranked(student(tmp_path / "b", url, monkeypatch), 9)
        assert len(bodies) == 1


def test_a_server_that_lists_fewer_tokens_is_asked_for_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["top_logprobs"] > 5:
            words = (
                f"Requested sample logprobs of {body['top_logprobs']}, which is greater than max allowed: 5"
            )
            return 400, {"object": "error", "message": words, "type": "BadRequestError", "code": 400}
        return 200, completion(openai_form(LISTS[0]))

    with first_token_server(answer) as (url, bodies):
        scores = ranked(student(tmp_path, url, monkeypatch), 6)
    assert all(isinstance(row, list) for row in scores)
    assert [body["top_logprobs"] for body in bodies] == [20, 10] + [5] * 6


def test_a_setting_that_is_refused_changes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"error": {"message": "Unsupported parameter: 'max_tokens'", "code": "unsupported_parameter"}}

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (400, refusal) if "max_tokens" in body else (200, completion(openai_form(LISTS[0])))

    with first_token_server(answer) as (url, bodies):
        for _ in range(2):  # the second run asks nothing, and so does not learn of the refusal
            asked = student(tmp_path, url, monkeypatch)
            assert ranked(asked, 1) + ranked(asked, 2) == [ranked(asked, 1)[0]] * 3
        assert len(bodies) == 3


def test_an_end_without_text_is_ranked_and_a_reply_without_a_list_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if number_of(body) == 1:
            return 200, completion({"content": []}, "The")
        return 200, completion(openai_form({"<|end|>": 0.6, "B": 0.3}), "", "stop")

    with first_token_server(answer) as (url, bodies):
        scores = ranked(student(tmp_path, url, monkeypatch), 3)
        assert len(bodies) == 3
    assert isinstance(scores[0], list) and scores[0].index(max(scores[0])) == 1
    assert isinstance(scores[1], AskFailed) and not scores[1].declined
    rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert sum("top_logprobs" in row for row in rows) == 2
