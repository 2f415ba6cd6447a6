"""Packed and converted files are read as what they hold; what is no data file is refused in one line."""

import gzip
from pathlib import Path

import pytest

from dataengine_lib.core import file_content as module
from dataengine_lib.core.file_content import file_content, open_content
from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.errors import DataEngineError

TEXT = '[{"a": "é"},\r\n {"a": 2}]'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_encoding_is_read_as_utf8(tmp_path: Path, encoding: str, packed: bool) -> None:
    file = tmp_path / "rows.json"
    content = TEXT.encode(encoding)
    file.write_bytes(gzip.compress(content) if packed else content)
    assert file_content(file) == TEXT.encode()
    assert read_json(file) == [{"a": "é"}, {"a": 2}]
    with open_content(file) as stream:
        assert stream.readlines() == ['[{"a": "é"},\r\n'.encode(), b' {"a": 2}]']


def test_two_packed_files_behind_each_other_are_one(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert read_jsonl(file) == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"[1, 2, 3]" * 99)[:-12], "gzip cannot be unpacked"),
        (gzip.compress(b"[1]")[:-8] + b"\0" * 8, "gzip cannot be unpacked"),
        (b"\x1f\x8b no gzip", "gzip cannot be unpacked"),
        (b"\xff\xfe[\0\x00\xd8", "not valid UTF-16"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "rows.json"
    file.write_bytes(content)
    for read in (file_content, read_json, read_jsonl):
        with pytest.raises(DataEngineError, match=message) as caught:
            read(file)
        assert "\n" not in str(caught.value) and str(caught.value).startswith(str(file))


def test_a_file_that_grows_like_no_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_UNPACKED", 1 << 20)
    file = tmp_path / "rows.jsonl"
    line = b'{"question": "Which?"}\n'
    file.write_bytes(gzip.compress(line * 10_000))
    assert len(read_jsonl(file)) == 10_000
    file.write_bytes(gzip.compress(line * 1_000_000))
    with pytest.raises(DataEngineError, match=r"rows\.jsonl: gzip grows to more than [0-9]+ MiB"):
        read_jsonl(file)
    with open_content(file) as stream, pytest.raises(DataEngineError, match="gzip grows"):
        for _ in stream:
            pass


def test_a_small_file_of_many_empty_objects_is_refused(tmp_path: Path) -> None:
    """A file of 250 kB that grew to 250 MiB of `{}` took 6.5 GB as objects of Python."""
    file = tmp_path / "rows.json"
    file.write_bytes(gzip.compress(b"[" + b"{}," * (25 << 20) + b"{}]", 1))
    with pytest.raises(DataEngineError, match=r"rows\.json: gzip grows to more than [0-9]+ MiB"):
        read_json(file)


def test_a_path_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataEngineError, match=message):
            file_content(path)
    with pytest.raises(DataEngineError, match=r"'a\\x00b': cannot be read \(embedded null byte\)"):
        file_content(Path("a\0b"))
