"""docs/api.md and docs/formats are what `make docs` makes of the code as it is now, and name every file of the loop."""

import json
import re
from pathlib import Path
from typing import Any

import api_page
import format_pages
import msgspec
import pytest
from project import PROJECT_ROOT

from dataengine_lib.images.coco_rows import CocoBox
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.runs.workflow import STEPS, STUDY

FORMATS = sorted(format_pages.PAGES.glob("*.md"))
INDEX = (format_pages.PAGES / "README.md").read_text(encoding="utf-8")
# name, written by, read by: the cells of the index
ROWS = [line.split(" | ") for line in re.findall(r"^\| (.*\[.*\]\(\w+\.md\) \|.*) \|$", INDEX, re.M)]


def test_the_api_page_is_made_of_today_s_docstrings() -> None:
    made = api_page.api_page()
    assert made == api_page.PAGE.read_text(encoding="utf-8"), "docs/api.md is out of date; run: make docs"
    for step in (*STEPS, STUDY):
        for name in (step.config.__name__, step.name):
            assert f"\n### {name}\n" in made
        for parameter in step.config.model_fields:
            assert f"\n| `{parameter}` | " in made
    assert "\n### load_run\n" in made


def test_the_code_of_the_api_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", api_page.api_page(), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_demo").symlink_to(PROJECT_ROOT / "data_demo")
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["result"].figures.comparisons[0].overall.fixed > 0


@pytest.mark.parametrize("file", FORMATS, ids=[file.stem for file in FORMATS])
def test_a_format_page_has_today_s_keys_and_every_key_a_meaning(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    assert format_pages.filled(page) == page, f"docs/formats/{file.name} is out of date; run: make docs"
    for name, table in format_pages.KEYS.findall(page):
        meanings = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", table, re.M)
        fields = msgspec.structs.fields(format_pages.named(name))
        assert [key for key, _ in meanings] == [field.encode_name for field in fields]
        assert not [key for key, meaning in meanings if len(meaning) < 3], f"{file.name}: write their meaning"


def test_the_types_inside_a_described_one_are_described_too() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in FORMATS)
    described = {format_pages.named(name) for name, _ in format_pages.KEYS.findall(text)}
    inside = {
        one
        for kind in described
        for field in msgspec.structs.fields(kind)
        for one in format_pages.structs(field.type)
    }
    assert inside - described == {CocoBox}, "four numbers, which the meaning of bbox names"


def test_examples_that_are_written_by_hand_can_be_read() -> None:
    found = [
        pair
        for file in FORMATS
        for pair in format_pages.TYPE_EXAMPLE.findall(file.read_text(encoding="utf-8"))
    ]
    assert len(found) >= 7
    for name, block in found:
        row = msgspec.json.decode(block, type=format_pages.named(name))
        # unknown keys are ignored when a file is read, so that an example may not have any
        written, shown = msgspec.to_builtins(row), json.loads(block)
        assert {key: written.get(key) for key in shown} == shown, name


def test_the_index_names_every_file_with_the_steps_that_write_and_read_it() -> None:
    cells = {name: row for row in ROWS for name in re.findall(r"`([\w./]+)`", row[0])}
    assert {page for row in ROWS for page in re.findall(r"\((\w+)\.md\)", row[1])} == {
        file.stem for file in FORMATS if file.stem != "README"
    }
    for step in (*STEPS, STUDY):
        written = [Path(text).name for text in step.writes.values() if text != "{here}"]
        for name in [*written, *step.more_files]:
            row = cells.get(name) or cells[f"{name}/"]
            assert str(step.number) in re.findall(r"\d", row[2]), f"{name}: step {step.number} writes it"
        # {classified} is the file of questions
        read = [Path(text).name for text in step.reads.values() if "/" in text]
        for name in read:
            row = cells.get(name) or cells[f"{name}/"]
            assert str(step.number) in re.findall(r"\d", row[3]), f"{name}: step {step.number} reads it"


def test_every_reason_to_drop_a_reply_is_named() -> None:
    page = (format_pages.PAGES / "rejects.md").read_text(encoding="utf-8")
    named = [
        name for cell in re.findall(r"^\| [\w ]+ \| (`.*`) \|$", page, re.M) for name in cell.split(", ")
    ]
    assert sorted(name.strip("`") for name in named) == sorted(reason.value for reason in Reason)


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *PROJECT_ROOT.glob("docs/**/*.md")]
    headings = {page: set(map(_anchor, _headings(page))) for page in pages}
    for page in pages:
        for address in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = address.partition("#")
            if name.startswith(("http:", "https:")):
                continue
            found = (page.parent / name).resolve() if name else page
            assert found.exists(), f"{page}: {address}"
            assert not anchor or anchor in headings[found], f"{page}: {address}"


def _headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"^#+ (.+)$", text, re.M)


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, hyphens for spaces, other marks left out."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
