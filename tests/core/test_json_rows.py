"""A list, JSON lines and one object are recognised by their content; a damaged row is one row."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataengine_lib.core.files import UNDECODABLE, json_value, read_json, read_jsonl
from dataengine_lib.core.json_rows import json_rows, json_rows_or_object, line_count, list_rows
from dataengine_lib.errors import DataEngineError

ANY = msgspec.json.Decoder()


def value(raw: msgspec.Raw) -> Any:
    try:
        return json_value(raw, ANY)
    except UNDECODABLE:
        return "damaged"


def rows(folder: Path, content: bytes) -> list[tuple[str, Any]]:
    """The rows of a file, read as both functions read them."""
    file = folder / "rows"
    file.write_bytes(content)
    found = [(row.where, value(row.raw)) for row in json_rows(file)]
    whole = json_rows_or_object(file)
    assert isinstance(whole, dict) or [(row.where, value(row.raw)) for row in whole] == found
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lists_and_lines(tmp_path: Path, pack: Any, mark: bytes) -> None:
    objects = [{"a": 1}, {"a": 2}]
    listed = [("row 0", objects[0]), ("row 1", objects[1])]
    assert rows(tmp_path, pack(mark + b'[{"a": 1}, {"a": 2}]')) == listed
    assert rows(tmp_path, pack(mark + b'\r\n[\r\n{"a": 1},\r\n{"a": 2}\r\n]\r\n')) == listed
    lines = [("line 1", objects[0]), ("line 3", objects[1])]
    assert rows(tmp_path, pack(mark + b'{"a": 1}\r\n\r\n{"a": 2}')) == lines
    assert rows(tmp_path, pack(mark + b'{"a": 1}')) == lines[:1]
    assert rows(tmp_path, pack(mark + b"[1]\n[2]\n")) == [("line 1", [1]), ("line 2", [2])]


def test_a_damaged_row_is_one_row(tmp_path: Path) -> None:
    assert rows(tmp_path, b'{"a": 1}\n{"a":\n{"a": 3}\n{"a": "cut of') == [
        ("line 1", {"a": 1}),
        ("line 2", "damaged"),
        ("line 3", {"a": 3}),
        ("line 4", "damaged"),
    ]
    assert rows(tmp_path, b'{"a": \n{"a": 2}\n') == [("line 1", "damaged"), ("line 2", {"a": 2})]
    assert rows(tmp_path, b'[{"a": "\xff"}, {"a": 2}]') == [("row 0", "damaged"), ("row 1", {"a": 2})]
    deep = b"[" * 5000 + b"]" * 5000
    assert rows(tmp_path, b'{"a": 1}\n' + deep) == [("line 1", {"a": 1}), ("line 2", "damaged")]


def test_what_python_writes_although_json_has_it_not(tmp_path: Path) -> None:
    half = rb'{"a": "\ud83d x \ud83d\ude00 \\ud83d"}'
    expected = {"a": "\ufffd x 😀 \\ud83d"}
    assert rows(tmp_path, b"[" + half + b', {"a": NaN}]') == [("row 0", expected), ("row 1", {"a": None})]
    assert rows(tmp_path, half + b"\n" + half) == [("line 1", expected), ("line 2", expected)]
    assert read_json(tmp_path / "rows") == [expected, expected]


def test_one_object_is_told_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b'{"image_scene": [1, 2], "ocr": []}', b'\n{\n"image_scene": [1, 2],\n"ocr": []}'):
        file.write_bytes(content)
        found = json_rows_or_object(file)
        assert isinstance(found, dict)
        assert [
            row.where
            for row in list_rows(json_value(found["image_scene"], msgspec.json.Decoder(list)), "image_scene")
        ] == [
            "image_scene[0]",
            "image_scene[1]",
        ]
    with pytest.raises(
        DataEngineError, match=r"one object, where a list of rows or JSON lines is needed; looks like"
    ):
        list(json_rows(file))


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"<html>", b"[1, 2", b'[{"a": 1},\n{"a"', b"null", b'"text"', b"5\n6"]
)
def test_what_holds_no_rows_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rows.json"
    file.write_bytes(content)
    for read in (lambda: list(json_rows(file)), lambda: json_rows_or_object(file)):
        with pytest.raises(DataEngineError, match=r"rows\.json: ") as caught:
            read()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("padding", [0, 5_000_000])
def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path, padding: int) -> None:
    more = b'"other": "' + b"x" * padding + b'"'
    for content in (
        b'{"image_scene": [1], "image_scene": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], ' + more + b"}",
        b'{\n "a": {"b": 1, "b": 2},\n "a": {"b": 1, "c": "a value of some length, lost"},\n '
        + more
        + b"\n}",
    ):
        (tmp_path / "q.json").write_bytes(content)
        with pytest.raises(DataEngineError, match=r"q\.json: the key '(image_scene|a)' is there twice"):
            json_rows_or_object(tmp_path / "q.json")
    (tmp_path / "q.json").write_bytes(b'{"a": {"b": 1, "b": 2}, ' + more + b"}")
    assert [*json_rows_or_object(tmp_path / "q.json")] == ["a", "other"]


def test_lists_are_read_from_lines_and_lines_from_lists(tmp_path: Path) -> None:
    class Row(msgspec.Struct):
        a: int

    file = tmp_path / "rows.json"
    for content in (b'{"a": 1}\n{"a": "2"}\n', b'[{"a": 1}, {"a": "2"}]', b'{"a": 1}\r\n\r\n{"a": 2}'):
        file.write_bytes(content)
        assert read_json(file, list[Row]) == read_jsonl(file, Row) == [Row(1), Row(2)]
    file.write_bytes(b'{"a": 1}')
    assert read_json(file, list[Row]) == read_jsonl(file, Row) == [Row(1)]
    file.write_bytes(b'{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(DataEngineError, match=r"int.*\$\[1\]\.a"):
        read_json(file, list[Row])
    file.write_bytes(b'[{"a": 1}, {"a": "x"}]')
    with pytest.raises(DataEngineError, match=r"row 1: Expected `int`"):
        read_jsonl(file, Row)
    file.write_bytes(b'{"b": 1}')
    with pytest.raises(DataEngineError, match="Expected `array`, got `object`"):
        read_json(file, list[Row])


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'{"a": 1}\n{"a": 2}\n{"a": 3}\n', 3),
        (b'\n{"a": 1}\n\nno JSON\n', 3),
        (b'[{"a": 1}, {"a": 2}]', None),
        (b'{"a":\n1}', None),
        (b"", None),
    ],
)
def test_lines_are_counted_for_a_bar(tmp_path: Path, content: bytes, count: int | None) -> None:
    file = tmp_path / "rows"
    file.write_bytes(content)
    assert line_count(file) == count
