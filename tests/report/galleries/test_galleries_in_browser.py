"""In a real browser: a gallery is filtered, searched, sorted, turned and enlarged, and hostile text in it stays text."""

import re
import shlex

import msgspec
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.report.galleries.cards import trace_command
from dataengine_lib.report.galleries.gallery_data import GALLERY_MIME
from dataengine_lib.report.gallery import qa_gallery
from dataengine_lib.report.html import render_notebook
from dataengine_lib.report.tables import percent, table

RUN = "window.ran=(window.ran||0)+1"
EVIL = (
    f"</script><script>{RUN}</script><img src=x onerror='{RUN}'><svg onload='{RUN}'>"
    f"<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>__proto__ ${{{RUN}}} \u2028 javascript:{RUN}"
)
NAMES = ("createElement", "querySelector", "gallery-data", "currentScript")
CLOBBERS = "".join(f"<img name={name}><form id={name}></form>" for name in NAMES)


def record(number: int) -> TrainRecord:
    return TrainRecord(
        image_id=number % 5,
        image_path=f"{number % 5}.png",
        raw_instructions="raw",
        question_type="image_scene" if number % 3 else "object_count",
        question=f"Which number is {number}?",
        choices=["one", "two", f"the {number}th"],
        correct_choice_idx=number % 3,
        rationales=[f"Reason {number}."],
        record_id=f"r-{number}",
        student_probability=number / 100,
    )


def notebook_page(folder, outputs):
    cells = [new_code_cell("1", outputs=[new_output("display_data", data)]) for data in outputs]
    nbformat.write(new_notebook(cells=cells), folder / "n.ipynb")
    return render_notebook(folder / "n.ipynb", folder / "n.html")


def whole_page(folder):
    """70 QAs on five images with boxes, then hostile ones behind elements that take the names of the script's functions."""
    for number in range(5):
        Image.new("RGB", (300, 200), (40 * number, 90, 90)).save(folder / f"{number}.png")
    rows = [record(number) for number in range(70)]
    made = qa_gallery(rows, folder, lambda image: [NamedBox(f"box {image}", (0.0, 0.5, 0.5, 1.0))])
    evil = {
        "total": 30,
        "filters": [EVIL, "__proto__"],
        "orders": [EVIL],
        "folded": EVIL,
        "lines": [EVIL],
        "images": [["AAAA", 9, 9, "", [[EVIL, 0, 0, 1, 1]]], ["", 0, 0, EVIL]],
        "cards": [
            {
                "id": EVIL, "fault": EVIL, "picture": [number % 2, EVIL], "near": [[7, EVIL, EVIL]],
                "question_type": EVIL, "question": EVIL, "options": [[EVIL, EVIL, f"right' onclick='{RUN}"]],
                "notes": [EVIL], "text": EVIL, "folded": [0, 99, -1], "values": [EVIL, f"__proto__{number}"],
                "figures": [number],
            }
            for number in range(30)
        ],
    }  # fmt: skip
    hostile = {GALLERY_MIME: msgspec.json.encode(evil).decode()}
    rows = [
        (f"round {n} {EVIL}", n, percent(share, 0.1, 0.9)) for n, share in ((10, 0.5), (9, None), (1, 0.25))
    ]
    sorted_table = table(rows, ["name", "number", "share"], EVIL)._repr_html_()
    return notebook_page(folder, [{"text/html": CLOBBERS + sorted_table}, made._repr_mimebundle_(), hostile])


@pytest.mark.browser
def test_a_gallery_is_explored_and_hostile_text_stays_text(tmp_path, page):
    file = whole_page(tmp_path)
    faults, asked = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    # a table is sorted by its heads: first way, other way, as it was
    heads, numbers = page.locator("table.sortable th"), page.locator("table.sortable td:nth-child(2)")
    for head, key, orders in (
        (0, "Enter", ["1 9 10", "10 9 1", "10 9 1"]),
        (2, "Space", ["10 1 9", "1 10 9", "10 9 1"]),
    ):
        for order, way in zip(
            orders,
            ("descending", "ascending", None) if head else ("ascending", "descending", None),
            strict=True,
        ):
            heads.nth(head).get_by_role("button").press(key)
            assert (
                " ".join(numbers.all_inner_texts()) == order
                and heads.nth(head).get_attribute("aria-sort") == way
            )

    gallery = page.locator("section.gallery").first
    count, questions = gallery.locator(".gallery-count"), gallery.locator(".question")
    assert count.inner_text() == "1 to 24 of 70 shown"
    # the script's cards say what those of a page without a script say
    static = re.findall(r'<p class="question">([^<]+)</p>', file.read_text(encoding="utf-8"))[:24]
    assert questions.all_inner_texts() == static and len(static) == 24

    gallery.get_by_role("button", name="next →").first.click()
    assert count.inner_text() == "25 to 48 of 70 shown" and questions.first.inner_text() != static[0]
    search = gallery.get_by_role("searchbox", name="search")
    search.fill("69 THE")
    assert count.inner_text() == "1 to 1 shown, 1 found of 70"
    assert questions.all_inner_texts() == ["Which number is 69?"]
    assert gallery.locator(".trace").inner_text() == "dataengine trace r-69"
    hostile = page.locator("section.gallery").nth(1).locator(".trace code").first
    assert hostile.text_content() == trace_command(EVIL, "") == f"dataengine trace {shlex.quote(EVIL)}"
    search.fill("no such word")
    assert gallery.locator(".empty").is_visible()
    search.fill("")
    gallery.get_by_role("combobox", name="question type").select_option("object count")
    assert count.inner_text() == "1 to 24 shown, 24 found of 70"
    gallery.get_by_role("combobox", name="order").select_option("0 -1")
    assert questions.first.inner_text() == "Which number is 69?"

    assert gallery.locator(".box").count() == 0
    gallery.get_by_role("checkbox", name="boxes").check()
    assert gallery.locator(".box").count() == 24 and gallery.locator(".box").first.inner_text() == "box 4"
    frame, box = (gallery.locator(f".card {name}").first.bounding_box() for name in (".frame", ".box"))
    assert abs(box["width"] - frame["width"] / 2) < 3 and abs(box["y"] - frame["y"] - frame["height"] / 2) < 3
    gallery.locator(".zoom").first.click()
    large = page.get_by_role("dialog")
    assert (
        large.locator("img").bounding_box()["width"] > frame["width"] and large.locator(".box").count() == 1
    )
    page.keyboard.press("Escape")
    assert large.count() == 0

    hostile = page.locator("section.gallery").last
    assert hostile.locator(".card").count() == 24
    hostile.get_by_role("searchbox").fill("script")
    hostile.get_by_role("combobox").first.select_option(index=1)
    hostile.get_by_role("combobox").last.select_option(index=1)
    hostile.locator(".zoom").first.click()
    page.keyboard.press("Escape")
    hostile.locator("summary").first.click()
    page.wait_for_timeout(300)
    assert EVIL.split("<img")[0] in hostile.locator(".question").first.inner_text()
    assert page.evaluate("window.ran") is None and page.url == file.as_uri() and asked == [] and faults == []
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
