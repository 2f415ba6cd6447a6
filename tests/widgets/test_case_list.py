"""The list of bad cases and the HTML of one, without a browser: filters, search, order, path, hostile text."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_run import EVIL, QUERIES, write_run
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.widgets.case_list import CaseFilter, CaseKey, CaseList, case_label
from dataengine_lib.widgets.case_view import MOST_QUERIES, case_html, path_html
from dataengine_lib.widgets.pictures import picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture
def cases(folder: Path) -> CaseList:
    return CaseList(load_run(folder))


def ids(cases: CaseList, decisions: dict | None = None, **wanted: Any) -> list[str]:
    found = cases.select(CaseFilter(**wanted), decisions)
    return [f"{row.round}:{row.question_id}" for row in found.itertuples()]


def test_cases_of_all_rounds_come_with_the_most_confident_first(cases: CaseList) -> None:
    assert ids(cases) == ["2:q2", "1:q1", "2:q1", "1:q0", "1:q3", "2:q3"]
    assert ids(cases, order="least confident first")[:2] == ["1:q0", "2:q1"]
    assert ids(cases, order="as in the files")[:3] == ["1:q0", "1:q1", "1:q3"]
    assert (cases.rounds, cases.types, cases.letters) == ([1, 2], ["image_scene", "ocr"], ["A", "none"])


def test_each_filter_and_all_together(cases: CaseList) -> None:
    assert ids(cases, round=1) == ["1:q1", "1:q0", "1:q3"]
    assert ids(cases, question_type="image_scene") == ["1:q3", "2:q3"]
    assert ids(cases, outcome="fixed") == ["1:q0"]
    assert ids(cases, outcome="still wrong") == ["1:q1", "1:q3"]
    assert ids(cases, outcome="broken") == ["2:q2"]
    assert ids(cases, outcome="not known") == ["2:q2", "2:q1", "2:q3"]
    assert ids(cases, letter="none") == ["1:q3", "2:q3"]
    assert ids(cases, {"q1": "use", "q2": "never"}, decision="use") == ["1:q1", "2:q1"]
    assert ids(cases, {"q1": "use", "q2": "never"}, decision="undecided", round=1) == ["1:q0", "1:q3"]
    assert ids(cases, round=1, letter="A", text="thing 1", outcome="still wrong") == ["1:q1"]
    assert ids(cases, round=2, outcome="fixed") == []


@pytest.mark.parametrize("text", ["THING  is 2", "2.PNG", "q2", "cat which 2?"])
def test_search_looks_at_words_in_any_case_and_order(cases: CaseList, text: str) -> None:
    assert ids(cases, text=text) == ["2:q2"]


def test_a_label_is_one_short_line(cases: CaseList) -> None:
    row = cases.case(CaseKey(1, "q1"))
    assert row is not None and case_label(row, "use") == "★ 0.90 · round 1 · ocr · Which thing is 1?"
    assert case_label(row | {"question": "a\n" * 400}).count("\n") == 0
    assert len(case_label(row | {"question": "a" * 4000})) < 110
    assert "\u202e" not in case_label(row | {"question": EVIL})
    assert cases.case(CaseKey(9, "q1")) is None


def test_hostile_text_is_shown_as_text(cases: CaseList, folder: Path) -> None:
    row = cases.case(CaseKey(1, "q3"))
    assert row is not None
    shown = case_html(row, "") + path_html(load_run(folder).trace("q0"), lambda _: "")
    assert "&lt;script&gt;" in shown and "<script" not in shown and "<img" not in shown
    assert "\u202e" not in shown and "mathjax_ignore" in shown


def test_the_path_leads_to_the_qa_and_the_next_answer(folder: Path) -> None:
    shown = path_html(load_run(folder).trace("q0"), lambda row: f"[{row['image_path']}]")
    text = re.sub(r"<[^>]+>", "", shown)
    assert f"{QUERIES} queries show it, 1 of 1 QAs is kept; fixed in round 2." in text
    assert f"{MOST_QUERIES} of its {QUERIES} queries are shown" in text
    assert shown.count("[1.png]") == MOST_QUERIES
    first, last = text.index("Round 1, bad case: wrong"), text.index("Round 2, answer: fixed")
    assert (
        first
        < text.index("query r-0: example; its image is a neighbour, cosine 0.75")
        < text.index("QA kept")
        < last
    )
    assert "query r-1: example; its image is drawn at random" in text


def test_pictures_have_boxes_and_say_why_there_is_none() -> None:
    def missing() -> Image.Image:
        raise DataEngineError(f"{EVIL}: no image")

    assert "&lt;img" in picture(missing, "alt", 96) and "<img" not in picture(missing, "alt", 96)
    plain = picture(lambda: Image.new("RGB", (400, 200)), EVIL, 100)
    assert 'width="100" height="50"' in plain and plain.count("<") == 1
    boxes = [NamedBox(EVIL, (0.1, 0.5, 0.6, 1.0)), NamedBox("cat", (0, 0, 1, 1))]
    drawn = picture(lambda: Image.new("RGB", (400, 200)), "two boxes", 100, boxes)
    assert '<rect x="10.0" y="25.0" width="50.0" height="25.0"' in drawn and drawn.count("<rect") == 2
    assert "<script" not in drawn and 'aria-label="two boxes"' in drawn


def test_the_example_files_can_be_browsed() -> None:
    run = load_run(PROJECT_ROOT / "data_demo")
    cases = CaseList(run)
    assert len(cases) == 30 and len(cases.select(CaseFilter(outcome="fixed"))) > 0
    row = cases.select(CaseFilter()).iloc[0].to_dict()
    assert "<img" in case_html(row, picture(lambda: run.image(row), "picture", 320))
