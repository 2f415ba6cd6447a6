"""A second process parses large files: the same bytes as without it, one line of error if it fails, nothing left behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from made_replies import row

from dataengine_lib.curation.parsing import second_process
from dataengine_lib.curation.parsing.parsed_replies import ParsedReply
from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

ROWS = 2_600  # six batches


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "gptvqa_result.jsonl", ROWS)


def write_rows(file: Path, count: int) -> Path:
    """So many lines that are not empty, and one that is."""
    rng = Random(5)
    lines = [json.dumps(row(rng, number)) for number in range(count - 3)]
    lines[7:7] = [
        "",
        "no JSON",
        json.dumps({"image_id": 1}),
        lines[3],
    ]  # malformed ones, and one that is there twice
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator["list[subprocess.Popen[bytes]]"]:
    """The second processes, which also small files get."""
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *given: object, **named: object) -> None:
            super().__init__(*given, **named)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(second_process, "_LARGE", 1)
    monkeypatch.setattr(second_process, "available_cores", lambda: 2)
    monkeypatch.setattr(second_process.subprocess, "Popen", Noted)
    yield found


def written(source: Path, folder: Path) -> dict[str, bytes]:
    post_process(PostProcessConfig(input=source, output=folder / "train.json"))
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("taken", ["none", "while it waits", "all"])
# around the ends of batches
@pytest.mark.parametrize("count", [499, 500, 501, 1_500, 1_501, ROWS])
def test_it_gives_the_same_files_whoever_parses_a_batch(
    count: int,
    taken: str,
    tmp_path: Path,
    started: "list[subprocess.Popen[bytes]]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = write_rows(tmp_path / "gptvqa_result.jsonl", count)
    parsed: list[object] = []  # by this process
    parse = second_process.parse_row
    monkeypatch.setattr(second_process, "parse_row", lambda row: parsed.append(row) or parse(row))
    if taken == "none":
        monkeypatch.setattr(second_process, "_MOST_AHEAD", -ROWS)
    if taken == "all":
        monkeypatch.setattr(second_process, "_AHEAD", 0)
        batch = second_process._TheirBatches.batch

        def late(self: second_process._TheirBatches, number: int) -> list[ParsedReply] | None:
            # the batches that it has written as well are passed over
            return batch(self, number) if self.process.poll() is not None and number * 500 >= count else None

        monkeypatch.setattr(second_process._TheirBatches, "batch", late)
    found = written(source, tmp_path / "two")
    assert [process.returncode for process in started] == [0]
    if taken != "while it waits":
        assert len(parsed) == (0 if taken == "none" else count)
    monkeypatch.setattr(second_process, "available_cores", lambda: 1)
    assert written(source, tmp_path / "one") == found
    assert len(started) == 1 and {"train.json", "rejects.jsonl", "post_process.json"} == found.keys()


def test_a_batch_that_is_missing_is_an_error(
    source: Path, tmp_path: Path, started: "list[subprocess.Popen[bytes]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is marked as taken although nobody has it; the data must not end there."""
    monkeypatch.setattr(second_process, "_MOST_AHEAD", -ROWS)
    with (
        pytest.raises(
            DataEngineError, match=r"gptvqa_result.jsonl: the process .* ended with status 0; free memory"
        ),
        second_process.replies_read_ahead(source, tmp_path / "out") as replies,
    ):
        os.pwrite(int(started[0].args[-1]), b"1", 2)  # type: ignore[index]
        list(replies)


def test_one_that_was_killed_is_an_error(
    source: Path, tmp_path: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    folder = tmp_path / "out"
    with (
        pytest.raises(DataEngineError, match=r"gptvqa_result.jsonl: the process .* was killed \(signal 9\)"),
        second_process.replies_read_ahead(source, folder) as replies,
    ):
        os.kill(started[0].pid, signal.SIGKILL)
        started[0].wait()
        list(replies)
    assert not list(folder.iterdir())


def test_it_ends_when_the_block_ends_and_when_its_parent_is_gone(
    source: Path, tmp_path: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    with source.open("a") as stream:
        stream.write("\n".join([source.read_text()] * 50))  # more than it can parse in the moment that it has
    with second_process.replies_read_ahead(source, tmp_path) as replies:
        next(replies)
    assert started[0].returncode == -signal.SIGKILL
    with second_process.replies_read_ahead(source, tmp_path) as replies:
        next(replies)
        pipe = started[1].stdin
        assert pipe is not None
        pipe.close()
        assert started[1].wait(60) == 1
