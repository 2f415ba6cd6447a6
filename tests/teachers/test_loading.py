"""Teachers answer a query, retry temporary errors, and stop with one line on errors that will not pass."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.chat import ask_many as asking
from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import write_jsonl
from dataengine_lib.core.records import Query, Result
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import Faults, PlaygroundServer, serve
from dataengine_lib.teachers.loading import load_chat, load_teacher
from dataengine_lib.teachers.openai_teacher import OpenAITeacher
from dataengine_lib.teachers.spec import check_spec, recorded_name

QUERY = Query(image_id=7, prompt="Tell me.", question_type="image_scene", query_id="r-7")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")


def echo(messages: list[dict[str, Any]]) -> str:
    return f"You said: {messages[-1]['content']}"


async def _ask(url: str, model: str = "local", **options: Any) -> Reply:
    how = {name: options.pop(name) for name in ("image_root", "max_side", "json_replies") if name in options}
    async with load_teacher(f"openai:{model}", ChatSettings(base_url=url, **options), **how) as teacher:
        return await teacher.ask(QUERY)


def ask(faults: Faults = (), **options: Any) -> tuple[Reply, PlaygroundServer]:
    with serve(echo, faults) as server:
        return asyncio.run(_ask(server.base_url, **options)), server


def test_reply_with_tokens_and_request_id() -> None:
    reply, server = ask()
    assert reply == Reply(
        "You said: Tell me.", "stop", "local", prompt_tokens=3, completion_tokens=6, request_id="req-1", attempts=1,
        usage=reply.usage, seconds=reply.seconds, structured=True,
    )  # fmt: skip
    assert reply.usage["total_tokens"] == 9 and reply.seconds > 0
    assert server.requests[0]["messages"] == [{"role": "user", "content": "Tell me."}]


@pytest.mark.parametrize("fault", ["408", "409", "429", "500", "503", "drop", "malformed", "wrong-shape"])
def test_passing_faults_are_tried_again(fault: str) -> None:
    reply, server = ask([fault])
    assert (reply.text, reply.attempts, len(server.requests)) == ("You said: Tell me.", 2, 2)


def test_timeout_is_tried_again() -> None:
    reply, _ = ask(["timeout"], timeout_s=0.3)
    assert reply.attempts == 2


def test_retry_after_is_obeyed() -> None:
    start = time.monotonic()
    reply, _ = ask(["429 retry-after=1.2"])
    assert reply.attempts == 2 and time.monotonic() - start >= 1.2


def test_tries_are_bounded() -> None:
    with serve(echo, lambda body: "500") as server:
        with pytest.raises(AskFailed) as caught:
            asyncio.run(_ask(server.base_url, max_attempts=2))
        assert len(server.requests) == caught.value.attempts == 2


def test_a_bad_request_is_not_repeated() -> None:
    with serve(echo, ["400"]) as server:
        with pytest.raises(AskFailed, match="400"):
            asyncio.run(_ask(server.base_url, json_replies=False))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "key was refused.*OPENAI_API_KEY"),
        ("402", "quota used up"),
        ("403", r"fault 403 \(403\)"),
        ("404", "'local' is not served"),
        ("quota", "quota used up"),
        ("429 retry-after=9999", "asks to wait 9999 s"),
    ],
)
def test_fatal_errors_stop_at_once(fault: str, words: str) -> None:
    with serve(echo, [fault]) as server:
        with pytest.raises(TeacherStop, match=words) as caught:
            asyncio.run(_ask(server.base_url))
        assert len(server.requests) == 1
        assert server.base_url in str(caught.value) and "\n" not in str(caught.value)
        assert "sk-secret" not in str(caught.value)


def test_an_unreachable_server_is_named_with_the_remedy(closed_url: str) -> None:
    start = time.monotonic()
    with pytest.raises(TeacherStop, match=r"cannot be reached.*base_url") as caught:
        asyncio.run(_ask(closed_url.replace("http://", "http://user:hidden@")))
    assert closed_url in str(caught.value) and "hidden" not in str(caught.value)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(("fault", "finish"), [("length", "length"), ("refusal", "refusal")])
def test_finish_reasons(fault: str, finish: str) -> None:
    assert ask([fault])[0].finish_reason == finish


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-5-mini", "max_completion_tokens"),
        ("openai/o4-mini", "max_completion_tokens"),
        ("qwen", "max_tokens"),
    ],
)
def test_each_model_gets_the_token_limit_that_it_knows(model: str, limit: str) -> None:
    _, server = ask(model=model, max_output_tokens=99, json_replies=False)
    body = server.requests[0]
    assert body == {"model": model, "messages": body["messages"], limit: 99}


def test_a_setting_that_the_model_refuses_is_left_out_once_for_all() -> None:
    def refuses(body: dict[str, Any]) -> str | None:
        return next(
            (f"400 unsupported {name}" for name in ("temperature", "max_tokens") if name in body), None
        )

    async def ask_some(url: str) -> list[str]:
        async with load_chat(
            "openai:local", ChatSettings(base_url=url, temperature=1.5, max_output_tokens=99)
        ) as chat:
            replies = [await chat.ask(QUERY) for _ in range(3)]
            assert [reply.attempts for reply in replies] == [1, 1, 1]
            return chat.refused_settings

    with serve(echo, refuses) as server:
        assert sorted(asyncio.run(ask_some(server.base_url))) == ["max_tokens", "temperature"]
    assert len(server.requests) == 5
    last = server.requests[-1]
    assert last["max_completion_tokens"] == 99 and last.keys() & {"temperature", "max_tokens"} == set()


def test_a_prompt_that_is_too_long_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vLLM says it: the limit is named, but leaving it out would not help."""
    message = "'max_tokens' or 'max_completion_tokens' is too large: 600"
    with serve(echo, [f"400 says {message}", None]) as server:
        with pytest.raises(AskFailed, match="too large"):
            asyncio.run(_ask(server.base_url, json_replies=False))
        assert len(server.requests) == 1


def test_temperature_and_seed_only_when_given() -> None:
    _, server = ask(temperature=0.5, seed=3)
    assert (server.requests[0]["temperature"], server.requests[0]["seed"]) == (0.5, 3)


def test_openai_itself_is_given_the_new_limit() -> None:
    settings = OpenAITeacher("gpt-4o-mini", "https://api.openai.com/v1", "k").format.settings
    assert settings == {"max_completion_tokens": 600}


def test_endpoint_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint("http://here/v1/") == ("http://here/v1", "sk-secret-1234")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://there/v1")
    assert endpoint(None)[0] == "http://there/v1"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert endpoint(None)[1]  # a local server needs no real key
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(ParameterError, match="OPENAI_API_KEY is not set"):
        endpoint(None)


def test_the_playground_never_sees_the_users_key_or_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def ask_it() -> tuple[Reply, str]:
        async with load_teacher("playground") as teacher:
            assert isinstance(teacher, OpenAITeacher)
            return await teacher.ask(QUERY), teacher.client.api_key

    reply, key = asyncio.run(ask_it())
    assert reply.model == "playground" and "secret" not in key


def test_a_chat_is_a_teacher_that_can_be_asked_anything() -> None:
    async def ask_it(url: str) -> tuple[Reply, Reply]:
        async with load_chat("openai:local", ChatSettings(base_url=url)) as chat:
            return await chat.ask(QUERY), await chat.complete([{"role": "user", "content": "Tell me."}])

    with serve(echo) as server:
        asked, completed = asyncio.run(ask_it(server.base_url))
    assert asked.text == completed.text == "You said: Tell me."


def test_replay_by_id_or_by_image_and_type(tmp_path: Path) -> None:
    rows = [
        Result(image_id=1, raw_instructions="by id", question_type="x", query_id="r-7", completion_tokens=4),
        Result(image_id=8, raw_instructions="by image", question_type="image_scene"),
    ]
    file = write_jsonl(tmp_path / "old.jsonl", rows)

    async def ask_it(query: Query) -> Reply:
        async with load_teacher(f"replay:{file}") as teacher:
            return await teacher.ask(query)

    reply = asyncio.run(ask_it(QUERY))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == ("by id", "stop", 4)
    other = Query(image_id=8, prompt="", question_type="image_scene", query_id="r-8")
    assert asyncio.run(ask_it(other)).text == "by image"
    with pytest.raises(AskFailed, match=r"old\.jsonl holds no reply"):
        asyncio.run(ask_it(Query(image_id=9, prompt="", question_type="image_scene", query_id="r-9")))


@pytest.mark.parametrize("spec", ["", "openai", "openai:", "replay:", "annotations:x", "gpt-4o"])
def test_wrong_specs_name_the_choices(spec: str) -> None:
    with pytest.raises(ValueError, match="openai:MODEL, annotations, replay:FILE, playground"):
        check_spec(spec)


def test_recorded_names() -> None:
    specs = ["openai:org/m:8b", "replay:/home/me/r.jsonl", "playground"]
    assert [recorded_name(spec) for spec in specs] == ["org/m:8b", "replay:r.jsonl", "playground"]


def test_annotations_need_a_coco_folder() -> None:
    async def ask_it() -> None:
        async with load_teacher("annotations"):
            raise AssertionError("opened without boxes")

    with pytest.raises(ParameterError, match="coco_dataset"):
        asyncio.run(ask_it())


class Fake:
    """Answers after a moment; counts how many it is asked at once; fails on the prompts it is told to."""

    def __init__(self, failing: tuple[str, ...] = (), stop: str = "") -> None:
        self.failing, self.stop, self.now, self.most = failing, stop, 0, 0

    async def ask(self, query: Query) -> Reply:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if query.prompt == self.stop:
            raise TeacherStop("no more")
        if query.prompt in self.failing:
            raise AskFailed("not this one")
        return Reply(query.prompt)


def _queries(count: int) -> list[Query]:
    return [Query(image_id=i, prompt=str(i), question_type="t", query_id=f"r-{i}") for i in range(count)]


def _ask_all(teacher: Fake, count: int, concurrency: int) -> tuple[list[str], list[str]]:
    replies: list[str] = []
    failures: list[str] = []
    try:
        asking.run(
            asking.ask_each(
                teacher.ask,
                _queries(count),
                concurrency,
                lambda query, reply: replies.append(reply.text),
                lambda query, failure: failures.append(query.prompt),
            )
        )
    except TeacherStop as stop:
        failures.append(str(stop))
    return replies, failures


def test_ask_all_keeps_to_its_bound_and_loses_nothing() -> None:
    teacher = Fake(failing=("3", "17"))
    replies, failures = _ask_all(teacher, 40, 5)
    assert teacher.most == 5
    assert sorted(replies + failures, key=int) == [str(i) for i in range(40)] and sorted(failures) == [
        "17",
        "3",
    ]


def test_a_stop_waits_for_running_requests() -> None:
    replies, failures = _ask_all(Fake(stop="10"), 100, 4)
    assert failures == ["no more"]
    assert len(replies) <= 14 and {str(i) for i in range(10)} <= set(replies)


def test_many_failures_in_a_row_mean_that_the_teacher_is_down() -> None:
    replies, failures = _ask_all(Fake(failing=tuple(str(i) for i in range(20, 100))), 100, 2)
    assert len(replies) == 20
    assert "8 queries in a row" in failures[-1] and len(failures) < 12


def test_run_works_inside_a_running_loop() -> None:
    async def notebook() -> int:
        async def main() -> int:
            await asyncio.sleep(0)
            return 3

        return asking.run(main())

    assert asyncio.run(notebook()) == 3
