"""One run at a time appends to a ledger; a run that may wait continues with what the other wrote."""

import logging
import threading
from pathlib import Path

import msgspec
import pytest

from dataengine_lib.chat.ledger import Ledger, LedgerRow
from dataengine_lib.chat.reply import Reply
from dataengine_lib.core.append_file import AppendFile
from dataengine_lib.errors import DataEngineError


def row(key: str) -> LedgerRow:
    return LedgerRow.of(key, Reply("A"), asked="openai:mine")


def test_a_ledger_waits_for_the_other_and_reads_what_it_wrote(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (Ledger(tmp_path / "l.jsonl", waits=True) for _ in range(2))
    found: list[list[str]] = []

    def other() -> None:
        with second:
            found.append(list(second.paid))
            second.add(row("c"))

    thread = threading.Thread(target=other)
    with caplog.at_level(logging.WARNING), first:
        first.add(row("a"))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and found == []
        first.add(row("b"))
    thread.join(10)
    assert found == [["a", "b"]]
    assert caplog.text.count("another run is writing it; waiting") == 1
    with first:
        assert list(first.paid) == ["a", "b", "c"]


def test_a_line_that_cannot_be_read_is_named_and_ends_the_reading(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    ledger = Ledger(file, waits=True)
    with ledger:
        ledger.add(row("a"))
    good = file.read_bytes()
    file.write_bytes(good + b"\n{}\n" + msgspec.json.encode(row("b")) + b"\n")
    for _ in range(2):
        with (
            pytest.raises(DataEngineError, match=r"l\.jsonl: line 3: .*; correct or remove that line"),
            ledger,
        ):
            pass
    file.write_bytes(good + msgspec.json.encode(row("b")) + b"\n")
    with ledger:
        assert list(ledger.paid) == ["a", "b"]


def test_a_file_that_stays_locked_is_an_error(tmp_path: Path) -> None:
    held = AppendFile(tmp_path / "l.jsonl", tmp_path / "out.json")
    with pytest.raises(DataEngineError, match=r"out\.json: another run is writing it; wait or stop it"):
        AppendFile(tmp_path / "l.jsonl", tmp_path / "out.json", patience=0.3)
    held.close()
    AppendFile(tmp_path / "l.jsonl", tmp_path / "out.json", patience=0.3).close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    rows = AppendFile(tmp_path / "rows.jsonl", tmp_path / "rows.jsonl")
    rows._stream.close()
    rows._stream = open("/dev/full", "ab")  # noqa: SIM115  # closed below
    with pytest.raises(
        DataEngineError, match=r"rows.jsonl: cannot be written \(No space left.*free disk space"
    ):
        rows.add({"key": "x" * 10_000_000})
    with pytest.raises(DataEngineError, match="free disk space"):
        rows.close()
    assert rows._stream.closed
