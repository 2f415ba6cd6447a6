"""Ctrl-C and SIGTERM: replies under way are kept within a grace time, and the next run pays for none of them again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from jupyter_client import KernelManager

from dataengine_lib.chat.ask_many import run
from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query, Question
from dataengine_lib.playground.server import PlaygroundServer, serve

GENERATE = """
from dataengine_lib.cli import main
sys.argv[:] = ["dataengine", "generate-qa", "--input", f"{folder}/gptvqa_prompt.json", "--output",
    f"{folder}/gptvqa_result.jsonl", "--teacher", "openai:gpt-4o-mini", "--base-url", url]
main()
"""
CLASSIFY = """
from dataengine_lib.cli import main
sys.argv[:] = ["dataengine", "classify-questions", "--input", f"{folder}/questions.json", "--output",
    f"{folder}/classified.json", "--teacher", "openai:gpt-4o-mini", "--base-url", url, "--batch-size", "1",
    "--max-asks", "1"]
main()
"""
STUDENT = """
from PIL import Image
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.students.on_server.api_student import ApiStudent
student = ApiStudent("m", ChatSettings(base_url=url), ledger=folder / "ledger.jsonl", price=Price(input=1, output=1))
student.generate([Image.new("RGB", (8, 8))] * 6, [f"query {n}" for n in range(6)])
"""
READER = """
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.readers.reader_prompt import ReaderView
from dataengine_lib.curation.readers.second_reader import SecondReader
(folder / "reader.j2").write_text("{{ question }} {{ choices }}")
view = ReaderView(blind=True, template=folder / "reader.j2")
rows = [TrainRecord(image_id=1, image_path="1.jpg", raw_instructions="x", question_type="t", question=f"query {n}",
    choices=["a ball", "a kite", "a hat", "a shoe"], correct_choice_idx=1, rationales=[]) for n in range(6)]
SecondReader("openai:gpt-4o-mini", folder / "ledger.jsonl", ChatSettings(base_url=url), view).answers(rows)
"""
NOTEBOOK = """
from dataengine_lib.runs.execute_notebook import execute
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.steps.generate_qa import GenerateQaConfig
config = GenerateQaConfig(input=folder / "gptvqa_prompt.json", output=folder / "gptvqa_result.jsonl",
    teacher="openai:gpt-4o-mini", base_url=url)
notebook = notebooks_folder() / "3_generate_qa.ipynb"
try:
    execute(notebook, folder / "3.ipynb", config.model_dump(mode="json"), "generate_qa", folder)
except KeyboardInterrupt:
    sys.exit(130)
"""

CELL = """
from pathlib import Path
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
folder = Path({folder!r})
generate_qa(GenerateQaConfig(input=folder / "gptvqa_prompt.json", output=folder / "gptvqa_result.jsonl",
    teacher="openai:gpt-4o-mini", base_url={url!r}))
"""


class Replies:
    """The first at once, as that request alone finds out whether the server takes a schema; the others when `released`."""

    def __init__(self) -> None:
        self.released = Event()
        self._numbers = count(1)

    def __call__(self, messages: list[dict[str, Any]], schema: dict[str, Any] | None = None) -> str:
        if next(self._numbers) > 1:
            assert self.released.wait(120)
        if schema and "types" in schema["properties"]:
            kinds = schema["properties"]["types"]["items"]["properties"]["question_type"]["enum"]
            return json.dumps({"types": [{"id": 1, "question_type": kinds[0]}]})
        return '{"answer": "A"}' if schema and "answer" in schema["properties"] else "Question: x?"

    def release_in(self, seconds: float) -> None:
        Timer(seconds, self.released.set).start()


def start(script: str, folder: Path, server: PlaygroundServer) -> subprocess.Popen[str]:
    head = f"import sys\nfrom pathlib import Path\nfolder, url = Path({str(folder)!r}), {server.base_url!r}\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + script],
        env=os.environ | {"OPENAI_API_KEY": "k"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def prepare(folder: Path) -> Path:
    queries = [Query(image_id=n, prompt=f"query {n}", question_type="t", query_id=f"r-{n}") for n in range(6)]
    write_json(folder / "gptvqa_prompt.json", queries)
    questions = [
        Question(
            question_id=f"q{n}",
            image_id=n,
            question=f"What is {n}?",
            choices=["a", "b"],
            correct_choice_idx=0,
        )
        for n in range(6)
    ]
    write_json(folder / "questions.json", questions)
    return folder


def wait_for(server: PlaygroundServer, number: int, process: subprocess.Popen[str]) -> None:
    while len(server.requests) < number and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def paid(folder: Path) -> list[dict[str, Any]]:
    """Replies in the only ledger."""
    (ledger,) = [*folder.glob("*ledger.jsonl"), *folder.glob("*.progress.jsonl")]
    return [row for row in read_jsonl(ledger) if row.get("text")]


def prompts(server: PlaygroundServer) -> Counter[str]:
    return Counter(json.dumps(body["messages"]) for body in server.requests)


@pytest.mark.parametrize(
    ("script", "number", "seconds"),
    [
        (GENERATE, signal.SIGINT, 1.5),
        (CLASSIFY, signal.SIGTERM, 1.5),
        (STUDENT, signal.SIGINT, 1.5),
        (READER, signal.SIGTERM, 1.5),
        (NOTEBOOK, signal.SIGTERM, 1.5),
        # longer than the 5 s after which Jupyter kills a kernel that is asked to end
        (NOTEBOOK, signal.SIGINT, 6),
    ],
    ids=["generate-int", "classify-term", "student-int", "reader-term", "notebook-term", "notebook-int"],
)
def test_replies_under_way_are_kept_and_paid_once(
    tmp_path: Path, script: str, number: int, seconds: float
) -> None:
    """The replies come `seconds` after the signal."""
    folder, replies = prepare(tmp_path), Replies()
    with serve(replies, structured=replies) as server:
        process = start(script, folder, server)
        wait_for(server, 4, process)
        process.send_signal(number)
        replies.release_in(seconds)
        error = process.communicate()[1]
        assert process.returncode in (1, 130, -signal.SIGINT), error
        sent = len(server.requests)
        assert len(paid(folder)) == sent >= 4
        assert start(script, folder, server).wait() == 0
        assert len(paid(folder)) == 6 and set(prompts(server).values()) == {1}
    # nothing is left reserved, and nothing was lost
    (ledger,) = [*folder.glob("*ledger.jsonl"), *folder.glob("*.progress.jsonl")]
    kinds = Counter(
        kind for row in read_jsonl(ledger) for kind in ("reserved", "released", "lost_usd") if kind in row
    )
    assert kinds["reserved"] == 6 + kinds["released"] and not kinds["lost_usd"]


@pytest.mark.parametrize("button", ["interrupt", "shut down", "restart"])
def test_replies_under_a_cell_that_jupyter_stops_are_kept(tmp_path: Path, button: str) -> None:
    """As JupyterLab does it: a signal to the kernel, and on a shutdown or restart a message and a time to end."""
    folder, replies = prepare(tmp_path), Replies()
    manager = KernelManager(shutdown_wait_time=30)
    manager.start_kernel(env=os.environ | {"OPENAI_API_KEY": "k"})
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        with serve(replies, structured=replies) as server:
            cell = CELL.format(folder=str(folder), url=server.base_url)
            # a cell that comes right after one that failed would be aborted; a person is not that quick
            asked = client.execute(cell, stop_on_error=False)
            while len(server.requests) < 4 and manager.is_alive():
                time.sleep(0.02)
            replies.release_in(1.5)
            if button == "interrupt":
                manager.interrupt_kernel()
                # the kernel lives on, and the next cell sends what is left
                assert reply_to(client, asked)["ename"] == "KeyboardInterrupt"
            elif button == "shut down":
                manager.shutdown_kernel()
                assert not manager.is_alive()
            else:
                manager.restart_kernel()
                client.wait_for_ready(timeout=60)
            sent = len(server.requests)
            assert len(paid(folder)) == sent >= 4
            if button == "shut down":
                assert start(GENERATE, folder, server).wait() == 0
            else:
                assert reply_to(client, client.execute(cell))["status"] == "ok"
            assert len(paid(folder)) == 6 and set(prompts(server).values()) == {1}
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def reply_to(client: Any, asked: str) -> dict[str, Any]:
    """The content of the kernel's reply to a cell."""
    while (message := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != asked:
        pass
    content: dict[str, Any] = message["content"]
    return content


def test_a_second_interrupt_stops_at_once_and_counts_what_may_be_billed(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    with serve(Replies(), ["timeout"] * 6) as server:
        process = start(GENERATE, folder, server)
        wait_for(server, 1, process)
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)  # within a second both would be one request to stop
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    rows = read_jsonl(folder / "gptvqa_ledger.jsonl")
    assert sum("reserved" in row for row in rows) > sum("released" in row for row in rows)
    assert "waiting up to 60 s for the replies to" in process.communicate()[1]


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    folder, replies = prepare(tmp_path), Replies()
    ignored = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as nohup and `command &` do
    with serve(replies) as server:
        process = start(ignored + GENERATE, folder, server)
        wait_for(server, 4, process)
        process.send_signal(signal.SIGINT)
        replies.released.set()
        assert process.wait(60) == 0, process.communicate()[1]
    assert len(paid(folder)) == 6


def test_a_time_limit_of_the_caller_ends_the_requests() -> None:
    async def ask() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    def on_alarm(*signal_and_frame: object) -> None:
        raise TimeoutError("time limit")

    ended: list[str] = []
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError, match="time limit"):
            run(ask())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended == ["cancelled"]


def test_a_full_disk_ends_in_one_line_and_sends_nothing_more(tmp_path: Path) -> None:
    queries = [
        Query(image_id=n, prompt=f"query {n} " * 20, question_type="t", query_id=f"r-{n}") for n in range(40)
    ]
    write_json(tmp_path / "gptvqa_prompt.json", queries)
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    script = GENERATE.replace('"--base-url", url]', '"--base-url", url, "--concurrency", "4"]')
    with serve(lambda messages: "Question: x?") as server:
        process = start(limit + script, tmp_path, server)
        error = process.communicate()[1]
        assert process.returncode == 1 and error.count("\n") == 1 and "cannot be written" in error
        kept = sum("text" in row for row in read_jsonl(tmp_path / "gptvqa_ledger.jsonl", torn_tail=True))
        # at most those that were under way when the disk was full
        assert 0 < kept <= len(server.requests) <= kept + 4
        server.requests.clear()
        assert start(script, tmp_path, server).wait() == 0
        assert len(server.requests) == 40 - kept
