"""A student behind a server: pictures go out small, answers come back in their places and are paid for once."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.chat.reply import AskFailed, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.playground import server as playground_server
from dataengine_lib.playground.server import Faults, PlaygroundServer, serve
from dataengine_lib.replies.answer_choice import written_choice
from dataengine_lib.students.on_server.api_student import ApiStudent, jpeg_bytes

KEY = "sk-canary-9876"
CHOICES = ["dog", "cat", "cow"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def picture(shade: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (shade, 90, 200))


def text_of(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"][0]["text"]


def question_of(messages: list[dict[str, Any]]) -> str:
    return messages[0]["content"][0]["text"].split("\n")[0]


def say(messages: list[dict[str, Any]]) -> str:
    return f"B. said to {question_of(messages)}"


def choose(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
    """The letter by the question's number."""
    letters = schema["properties"]["answer"]["enum"]
    return json.dumps({"answer": letters[int(question_of(messages)[1:]) % len(letters)]})


def settings(server: PlaygroundServer, **options: Any) -> ChatSettings:
    return ChatSettings(base_url=server.base_url, **{"max_output_tokens": 2000, "concurrency": 8, **options})


def student(folder: Path, server: PlaygroundServer, **options: Any) -> ApiStudent:
    more = {"max_side": options.pop("max_side")} if "max_side" in options else {}
    found = ApiStudent("local", settings(server, **options), ledger=folder / "ledger.jsonl", **more)
    found._chat.shown_url = "http://here/v1"  # each test's servers are one and the same, whatever their ports
    return found


def ask(
    folder: Path, count: int, faults: Faults = (), choices: bool = True, **options: Any
) -> tuple[list[str | AskFailed], PlaygroundServer, ApiStudent]:
    """`count` questions q0, q1 … about pictures of their own."""
    with serve(say, faults, choose) as server:
        asked = student(folder, server, **options)
        images = [picture(number) for number in range(count)]
        prompts = [f"q{number}\n(A) dog (B) cat (C) cow" for number in range(count)]
        return asked.generate(images, prompts, choices=[CHOICES] * count if choices else None), server, asked


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def test_answers_are_letters_in_the_order_of_the_questions(tmp_path: Path) -> None:
    answers, server, asked = ask(tmp_path, 20, concurrency=7)
    assert answers == ["A", "B", "C", "cannot tell"] * 5
    form = server.requests[0]["response_format"]["json_schema"]
    assert form["schema"]["properties"] == {
        "answer": {"type": "string", "enum": ["A", "B", "C", "cannot tell"]}
    }
    tokens = [(row["prompt_tokens"], row["completion_tokens"]) for row in rows(tmp_path)]
    assert asked.sent == asked.usage().replies == 20 and asked.usage().prompt_tokens == sum(
        prompt for prompt, _ in tokens
    )
    assert asked.usage().completion_tokens == sum(said for _, said in tokens) > 0


def test_the_picture_is_a_jpeg_no_longer_than_max_side(tmp_path: Path) -> None:
    with serve(say) as server:
        asked = student(tmp_path, server, max_side=64)
        asked.generate([picture(1, (300, 100)), picture(1, (20, 50))], ["What?", "What?"])
        bodies = sorted(server.requests, key=lambda body: len(json.dumps(body)))
    sizes = set()
    for body in bodies:
        text, image = body["messages"][0]["content"]
        assert text["type"] == "text" and text["text"] == "What?\nAnswer in one to three words."
        head, data = image["image_url"]["url"].split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            assert opened.format == "JPEG"
            sizes.add(opened.size)
    assert sizes == {(64, 21), (20, 50)}
    assert jpeg_bytes(picture(5), 1024) == jpeg_bytes(picture(5), 1024)


def test_text_mode_gives_what_was_written(tmp_path: Path) -> None:
    answers, server, _ = ask(tmp_path, 9, lambda body: "no-schema")
    assert answers == [f"B. said to q{number}" for number in range(9)]
    assert sum("response_format" in body for body in server.requests) == 1
    assert not any(row.get("structured") for row in rows(tmp_path))


def test_a_server_that_ignores_the_schema_is_read_all_the_same(tmp_path: Path) -> None:
    written = iter(['```json\n{"answer": "C"}\n```', "(B) cat"])
    with serve(lambda messages: next(written)) as server:
        asked = student(tmp_path, server, concurrency=1)
        answers = asked.generate([picture()] * 2, ["q1", "q2"], choices=[CHOICES] * 2)
    assert answers == ["C", "(B) cat"]


def test_a_letter_that_is_also_the_text_of_another_option(tmp_path: Path) -> None:
    with serve(say, structured=lambda messages, schema: '{"answer": "A"}') as server:
        (answer,) = student(tmp_path, server).generate([picture()], ["q1"], choices=[["B", "A"]])
    assert isinstance(answer, str) and written_choice(answer, ["B", "A"]) == 0


def test_without_choices_the_answer_is_short_text(tmp_path: Path) -> None:
    answers, server, _ = ask(tmp_path, 2, choices=False)
    assert answers == ["B. said to q0", "B. said to q1"]
    assert not any("response_format" in body for body in server.requests)


def test_a_second_run_pays_nothing(tmp_path: Path) -> None:
    first, _, _ = ask(tmp_path, 12)
    before = (tmp_path / "ledger.jsonl").read_bytes()
    again, server, asked = ask(tmp_path, 12)
    assert again == first and server.requests == [] and asked.sent == 0
    assert (tmp_path / "ledger.jsonl").read_bytes() == before


@pytest.mark.parametrize("change", [{"max_side": 8}, {"max_output_tokens": 9}])
def test_another_request_is_another_key(tmp_path: Path, change: dict[str, int]) -> None:
    ask(tmp_path, 2)
    _, server, _ = ask(tmp_path, 2, **change)
    assert len(server.requests) == 2 and len({row["key"] for row in rows(tmp_path)}) == 4


def test_another_server_is_another_student(tmp_path: Path) -> None:
    with serve(say, structured=choose) as one, serve(say, structured=choose) as other:
        for server in (one, other, one):
            asked = ApiStudent("local", settings(server), ledger=tmp_path / "ledger.jsonl")
            assert asked.generate([picture()], ["q1"], choices=[CHOICES]) == ["B"]
        assert len(one.requests) == len(other.requests) == 1


CUT = "cut off at max_output_tokens=2000"


@pytest.mark.parametrize(
    ("written", "finish", "answer"),
    [
        ("The picture shows an animal. Option (B) says cat, but", "length", None),
        ("First, option (B) a cat is unlikely because", "length", None),
        ("A dog is unlikely here, so", "length", None),
        ("<think>\nFirst, option (B) a cat", "length", None),
        ("", "length", None),
        ("B", "length", "B"),
        ("(B) ca", "length", "(B) ca"),
        ("The answer is (B) cat. The picture", "length", "The answer is (B) cat. The picture"),
        ("cat", "length", "cat"),
        ('<think>{"answer": "B"}? No.</think>{"answer": "C"}', "stop", "C"),
        ('<think>{"answer": "B"}? No.</think>A', "stop", "A"),
        ("I say (B), as it has whiskers", "stop", "I say (B), as it has whiskers"),
    ],
)
def test_a_reply_that_was_cut_off_is_read_only_where_it_had_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, finish: str, answer: str | None
) -> None:
    plain = playground_server._completion

    def completion(*given: Any) -> dict[str, Any]:
        made = plain(*given)
        made["choices"][0]["finish_reason"] = finish
        return made

    monkeypatch.setattr(playground_server, "_completion", completion)
    with serve(lambda messages: written, lambda body: "no-schema") as server:
        (found,) = student(tmp_path, server).generate([picture()], ["q1"], choices=[CHOICES])
    if answer is None:
        assert isinstance(found, AskFailed) and CUT in str(found) and not found.declined
    else:
        assert found == answer


@pytest.mark.parametrize(("written", "read"), [("a red car", True), ("Okay, let me look at the", False)])
def test_a_few_words_that_were_cut_off_are_a_direct_answer(tmp_path: Path, written: str, read: bool) -> None:
    with serve(lambda messages: written + " " * len(written), ["length"]) as server:
        (found,) = student(tmp_path, server).generate([picture()], ["q1"])
    assert isinstance(found, str) == read


def test_the_ledgers_rows(tmp_path: Path) -> None:
    ask(tmp_path, 1)
    (row,) = rows(tmp_path)
    # fields with their defaults are left out: nothing was cached, no price is known
    assert sorted(row) == [
        "asked", "completion_tokens", "finish_reason", "key", "model", "prompt_tokens", "request_id", "room",
        "seconds", "structured", "text", "time", "usage",
    ]  # fmt: skip
    assert (row["model"], row["text"], row["finish_reason"]) == ("local", '{"answer": "A"}', "stop")
    assert row["asked"] == "local"
    assert (row["room"], row["usage"]["prompt_tokens"]) == (2000, row["prompt_tokens"])
    assert row["structured"] is True and len(row["key"]) == 64 and row["prompt_tokens"] > 85


@pytest.mark.parametrize(("cut", "asked_again"), [(9, 1), (1, 0)])
def test_a_torn_last_line_is_mended(tmp_path: Path, cut: int, asked_again: int) -> None:
    first, _, _ = ask(tmp_path, 5)
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    again, server, _ = ask(tmp_path, 5)
    assert again == first and len(server.requests) == asked_again
    assert len(rows(tmp_path)) == 5 and file.read_bytes().endswith(b"\n")


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text('{"key": 3}\n')
    with pytest.raises(DataEngineError, match=r"ledger.jsonl: line 1: .*; correct or remove that line"):
        ask(tmp_path, 1)


def test_identical_requests_are_sent_once(tmp_path: Path) -> None:
    with serve(say, structured=choose) as server:
        asked = student(tmp_path, server)
        image = picture()
        answers = asked.generate([image, picture(), image], ["q1"] * 3, choices=[CHOICES] * 3)
        assert answers == ["B"] * 3 and len(server.requests) == 1
        assert asked.generate([image], ["q1"], choices=[CHOICES]) == ["B"] and len(server.requests) == 1


def test_two_students_share_a_ledger(tmp_path: Path) -> None:
    with serve(say, structured=choose) as server:
        one, two = student(tmp_path, server), student(tmp_path, server)
        for asked, prompt in ((one, "q1"), (two, "q2"), (one, "q2"), (two, "q1")):
            asked.generate([picture()], [prompt], choices=[CHOICES])
        assert len(server.requests) == 2 and len(rows(tmp_path)) == 2


@pytest.mark.parametrize("fault", ["429", "500", "drop", "malformed"])
def test_passing_faults_are_tried_again(tmp_path: Path, fault: str) -> None:
    answers, server, asked = ask(tmp_path, 3, [fault])
    assert answers == ["A", "B", "C"] and len(server.requests) == asked.sent == 4


@pytest.mark.parametrize(
    ("fault", "words", "again"),
    [
        ("refusal", "refused", 0),
        ("content_filter", "content filter", 0),
        ("length", "cut off at max_output_tokens=2000", 1),
        ("500", "500", 1),
    ],
)
def test_a_question_without_an_answer_fails_in_its_place(
    tmp_path: Path, fault: str, words: str, again: int
) -> None:
    def faults(body: dict[str, Any]) -> str | None:
        return fault if text_of(body).startswith("q1\n") else None

    answers, _, _ = ask(tmp_path, 4, faults, max_attempts=2)
    failure = answers.pop(1)
    assert isinstance(failure, AskFailed) and words in str(failure)
    assert answers == ["A", "C", "cannot tell"]
    # a request that was answered or declined is not sent again, one without an answer is
    answers, server, _ = ask(tmp_path, 4)
    assert len(server.requests) == again and isinstance(answers[1], AskFailed) == (not again)


@pytest.mark.parametrize(
    ("fault", "words"), [("401", "key was refused"), ("404", "not served"), ("quota", "quota")]
)
def test_a_stop_is_raised_and_keeps_what_came(tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(TeacherStop, match=f"student at .*{words}"):
        ask(tmp_path, 30, [None] * 5 + [fault] * 40, concurrency=2)
    assert len(rows(tmp_path)) == 5
    answers, server, _ = ask(tmp_path, 30)
    assert len(server.requests) == 25 and not any(isinstance(answer, AskFailed) for answer in answers)


def test_no_key_for_openai_itself_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ParameterError, match="OPENAI_API_KEY is not set"):
        ApiStudent("gpt-5-mini", ChatSettings(), ledger=tmp_path / "ledger.jsonl")


KILLED = """
import sys
from pathlib import Path
from PIL import Image
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.students.on_server.api_student import ApiStudent

url, ledger, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
student = ApiStudent("local", ChatSettings(base_url=url, max_output_tokens=2000, concurrency=4), ledger=ledger)
images = [Image.new("RGB", (40, 30), (number, 90, 200)) for number in range(count)]
prompts = [f"q{number}\\n(A) dog (B) cat (C) cow" for number in range(count)]
student.generate(images, prompts, choices=[["dog", "cat", "cow"]] * count)
"""


def test_a_killed_run_is_paid_for_once(tmp_path: Path) -> None:
    def slow(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
        time.sleep(0.05)
        return choose(messages, schema)

    ledger, count = tmp_path / "ledger.jsonl", 60
    with serve(say, structured=slow) as server:
        command = [sys.executable, "-c", KILLED, server.base_url, str(ledger), str(count)]
        with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
            until = time.monotonic() + 60
            while len(server.requests) < 20 and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        time.sleep(0.2)  # for what was on its way
        killed_at, kept = len(server.requests), len(rows(tmp_path))
        assert 0 < kept < count and killed_at - kept <= 4
        asked = ApiStudent("local", settings(server), ledger=ledger)
        images = [picture(number) for number in range(count)]
        prompts = [f"q{number}\n(A) dog (B) cat (C) cow" for number in range(count)]
        answers = asked.generate(images, prompts, choices=[CHOICES] * count)
    assert answers == ["A", "B", "C", "cannot tell"] * 15
    sent = Counter(text_of(body) for body in server.requests)
    assert len(sent) == count and sum(sent.values()) == count + killed_at - kept
    assert len(rows(tmp_path)) == count == len({row["key"] for row in rows(tmp_path)})


def test_the_key_is_in_no_file_and_no_message(tmp_path: Path) -> None:
    ask(tmp_path, 3, ["500", None, "refusal"])
    with pytest.raises(TeacherStop) as caught:
        ask(tmp_path / "b", 3, ["401"])
    assert KEY not in str(caught.value)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(KEY.encode() in path.read_bytes() for path in files)
