"""Tables as other programs save them; files that grow to much more than a table are refused in one line."""

import gzip
import io
import re
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from dataengine_lib.core import table_cells as module
from dataengine_lib.core.table_cells import table_cells, undecoded
from dataengine_lib.errors import DataEngineError

ROWS = [["index", "question", "A"], ["1", 'Which, "red"; or\nblue?', "é"], ["2.0", "", "nan"]]
QUOTED = '"Which, ""red""; or\nblue?"'


def text(delimiter: str, end: str = "\n") -> str:
    lines = [ROWS[0], ["1", QUOTED, "é"], ROWS[2]]
    return end.join(delimiter.join(line) for line in lines) + end


def workbook(file: Path, *rows: list[object]) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.save(file)
    return file


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["table.tsv", "table.csv", "table"])
def test_the_content_says_how_cells_are_divided(
    tmp_path: Path, delimiter: str, encoding: str, name: str
) -> None:
    for content in (text(delimiter), text(delimiter, "\r\n"), f"sep={delimiter}\r\n" + text(delimiter)):
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert list(table_cells(tmp_path / name)) == ROWS
        (tmp_path / name).write_bytes(gzip.compress(content.encode(encoding)))
        assert list(table_cells(tmp_path / name)) == ROWS


def test_a_row_of_another_encoding_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"index,A\n1,caf\xe9\n2,caf\xc3\xa9\n3,b\n")
    rows = list(table_cells(tmp_path / "t.csv"))
    assert [undecoded(row) for row in rows] == ["", r"not saved as UTF-8 (b'\xe9')", "", ""]
    assert rows[2] == ["2", "café"]


def test_a_quotation_mark_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('index,A\n1,x\n2,"never\n3,y\n')
    with pytest.raises(DataEngineError, match=r"t\.csv: row 3: a quotation mark opens"):
        list(table_cells(tmp_path / "t.csv"))


def test_a_text_that_looks_like_a_formula_is_its_text(tmp_path: Path) -> None:
    file = workbook(
        tmp_path / "t.xlsx", ["index", "prediction"], [1, "=B"], [2, "=1+1"], [3.0, None], [4, "-5"]
    )
    assert [row[1:] for row in table_cells(file)] == [["prediction"], ["=B"], ["=1+1"], [], ["-5"]]
    # the suffix does not matter
    assert list(table_cells(file.rename(tmp_path / "t.tsv")))[3] == ["3"]


def test_a_formula_that_was_computed_is_its_value_and_an_error_its_text(tmp_path: Path) -> None:
    file = workbook(tmp_path / "t.xlsx", ["prediction"], ["=B"], ["=1+1"])
    parts = {}
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    # what Excel saves beside a formula
    parts[sheet] = parts[sheet].replace(b'<c r="A2"><f>B</f><v />', b'<c r="A2" t="e"><f>B</f><v>#NAME?</v>')
    parts[sheet] = parts[sheet].replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert list(table_cells(file)) == [["prediction"], ["=B"], ["2"]]


def test_a_workbook_that_grows_like_no_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_UNPACKED", 1 << 20)
    file = workbook(tmp_path / "t.xlsx", ["index", "prediction"], [1, "A"])
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", bytes(1 << 24))
    with pytest.raises(DataEngineError, match=r"t\.xlsx: grows to 16 MiB when it is unpacked"):
        list(table_cells(file))


SHEET, STYLES = "xl/worksheets/sheet1.xml", "xl/styles.xml"


def with_part(file: Path, name: str, end: str, more: str) -> Path:
    """The workbook with `more` in front of the tag `end` of one of its parts."""
    with zipfile.ZipFile(file) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    assert end.encode() in parts[name]
    parts[name] = parts[name].replace(end.encode(), more.encode() + end.encode())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return file


@pytest.mark.parametrize(
    ("name", "end", "more"),
    [
        (SHEET, "</sheetData>", "<row>" + "<c><v>1</v></c>" * 60_000 + "</row>"),
        (SHEET, "</sheetData>", "<row>" + "<c/>" * 200_000 + "</row>"),
        (SHEET, "</sheetData>", "<row><c " + " ".join(f'a{n}=""' for n in range(150_000)) + "/></row>"),
        (SHEET, "<sheetData>", "<cols>" + '<col min="1"/>' * 80_000 + "</cols>"),
        (STYLES, "</cellXfs>", "<xf/>" * 200_000),
        (
            SHEET,
            "</sheetData>",
            '<row><c t="inlineStr"><is>' + "<r><t>a</t></r>" * 40_000 + "</is></c></row>",
        ),
    ],
    ids=["cells", "empty cells", "attributes", "columns", "styles", "a text"],
)
def test_a_row_or_a_part_of_a_million_elements_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, end: str, more: str
) -> None:
    """A workbook of 66 kB with one row of cells took 1 GB, one of 480 kB took 7.5 GB."""
    monkeypatch.setattr(module, "_MAX_ELEMENTS", 100_000)
    file = workbook(tmp_path / "t.xlsx", ["index", "prediction"], [1, "A"])
    with_part(file, name, end, more)
    with pytest.raises(DataEngineError, match=rf"t\.xlsx: '{name}' has a row or a part of more than 100,000"):
        list(table_cells(file))


def test_a_long_table_has_small_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ELEMENTS", 100_000)
    row = '<row><c t="n"><v>1</v></c></row>'
    file = with_part(workbook(tmp_path / "t.xlsx", ["a"]), SHEET, "</sheetData>", row * 40_000)
    assert sum(1 for _ in table_cells(file)) == 40_001
    # as some libraries write every tag
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rows = re.sub("<(/?)", r"<\1x:", row) * 40_000
    sheet = f'<x:worksheet xmlns:x="{space}"><x:sheetData>{rows}</x:sheetData></x:worksheet>'
    with zipfile.ZipFile(workbook(tmp_path / "p.xlsx", ["a"])) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "p.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in {**parts, SHEET: sheet}.items():
            archive.writestr(part, content)
    assert sum(1 for _ in table_cells(tmp_path / "p.xlsx")) == 40_000


@pytest.mark.parametrize("cell", ["XFD2", "A9999999"])
def test_a_cell_far_outside_is_refused(tmp_path: Path, cell: str) -> None:
    file = workbook(tmp_path / "t.xlsx", ["index"])
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    row = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    more = f'<row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData>'.encode()
    parts[sheet] = parts[sheet].replace(b"</sheetData>", more)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(DataEngineError, match=r"t\.xlsx: row [0-9]+: a sheet with more than"):
        list(table_cells(file))


def test_other_archives_are_no_workbook(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    for content in (stream.getvalue(), stream.getvalue()[:40], b"PK\x03\x04"):
        (tmp_path / "t.xlsx").write_bytes(content)
        with pytest.raises(DataEngineError, match=r"t\.xlsx: is not a workbook") as caught:
            list(table_cells(tmp_path / "t.xlsx"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "text"),
    [("a_x000B_b", "a\x0bb"), ("_x000d__x000A_", "\r\n"), ("_x005F_x000B_", "_x000B_"), ("_xD83D_ _x41_", "_xD83D_ _x41_")],
)  # fmt: skip
def test_escaped_control_characters_of_a_workbook_are_read(tmp_path: Path, cell: str, text: str) -> None:
    assert list(table_cells(workbook(tmp_path / "t.xlsx", ["A", cell]))) == [["A", text]]
