"""Galleries of a page: each image once, data that ends no script, one script by its hash, nothing from a wrong notebook."""

import base64
import hashlib
import re

import msgspec
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from dataengine_lib.core.records import Answer
from dataengine_lib.report.galleries.cards import Card
from dataengine_lib.report.galleries.gallery_data import GALLERY_MIME, MOST_CARDS, GalleryData, make_gallery
from dataengine_lib.report.galleries.pictures import Pictures
from dataengine_lib.report.gallery import bad_case_gallery
from dataengine_lib.report.html import render_notebook

EVIL = "</script><script>alert(1)</script><!-- \u2028 \u202e & <img src=x onerror=alert(1)>"


@pytest.fixture
def root(tmp_path):
    for number in range(40):
        Image.new("RGB", (320, 200 + number), (6 * number, 255 - 6 * number, 100)).save(
            tmp_path / f"{number}.png"
        )
    return tmp_path


def cases(number, **changes):
    asked = {
        "choices": ["a", "b"],
        "correct_choice_idx": 0,
        "predicted_choice_idx": 1,
        "question_type": "scene",
    }
    return [
        Answer(
            **(
                asked
                | {"question": f"Which {n}?", "question_id": f"q{n}", "image_path": f"{n}.png"}
                | changes
            )
        )
        for n in range(number)
    ]


def rendered(folder, *outputs):
    cells = [new_code_cell("1", outputs=[new_output("display_data", data)]) for data in outputs]
    nbformat.write(new_notebook(cells=cells), folder / "n.ipynb")
    return render_notebook(folder / "n.ipynb", folder / "n.html").read_text(encoding="utf-8")


def page_data(html):
    (text,) = re.findall(r'<script type="application/json" id="gallery-data">(.*?)</script>', html, re.DOTALL)
    return msgspec.json.decode(text)


def test_a_page_has_every_case_and_every_image_once(root):
    shown = [bad_case_gallery({"scene": cases(40)}, root)._repr_mimebundle_() for _ in range(2)]
    html = rendered(root, *shown)
    data = page_data(html)
    assert [len(gallery["cards"]) for gallery in data["galleries"]] == [40, 40]
    assert len(data["images"]) == 40
    in_page = set(re.findall(r"data:image/webp;base64,([^\"]+)", html))
    in_data = [image[0] for image in data["images"] if image[0]]
    assert len(in_page) == 24 and len(in_data) == len(set(in_data)) == 16 and not in_page & set(in_data)
    assert html.count("24 of 40 shown") == 2 and "image/jpeg" not in html  # those of the notebook itself


def test_the_policy_allows_the_page_s_own_script_only(root):
    html = rendered(root, bad_case_gallery({"scene": cases(3)}, root)._repr_mimebundle_())
    (digest,) = re.findall(r"; script-src 'sha256-([^']+)'", html)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts] == [digest]
    assert "script-src" not in rendered(root, {"text/html": "<p>no gallery</p>"})


def test_hostile_text_does_not_end_the_data(root):
    evil = cases(30, question=EVIL, choices=[EVIL, EVIL], question_type=EVIL, question_id=EVIL)
    html = rendered(root, bad_case_gallery({EVIL: evil}, root)._repr_mimebundle_())
    assert html.count("<script") == html.count("</script>") == 2 and "<img src=x" not in html
    assert "\u2028" not in page_data(html) and "\u202e" not in html
    card = page_data(html)["galleries"][0]["cards"][0]
    assert card["question"] == EVIL.replace("\u202e", "")


@pytest.mark.parametrize(
    "data",
    [
        "{",
        '{"total": "many"}',
        '{"total": 1, "cards": [{"picture": ["0", "a"]}]}',
        '{"total": 1, "images": [["x", "wide", 2]], "cards": []}',
        ["not", "text"],
    ],
)
def test_data_of_another_program_is_left_out(tmp_path, data):
    html = rendered(tmp_path, {"text/html": "<p>the first cards</p>", GALLERY_MIME: data})
    assert "the first cards" in html and "<script" not in html


def test_a_notebook_cannot_name_another_source_of_an_image(tmp_path):
    images = [['x" onerror="alert(1)', 2, 2], ["https://example.org/a.png", 2, 2], ["AAAA", 2, 2]]
    cards = [{"picture": [place, "alt"]} for place in (0, 1, 2, 3, -1)]
    text = msgspec.json.encode({"total": 5, "images": images, "cards": cards}).decode()
    html = rendered(tmp_path, {GALLERY_MIME: text})
    assert html.count("<img") == 1 and html.count('class="no-image">no image') == 4
    assert "onerror" not in html and "example.org" not in html


def test_a_gallery_has_a_bounded_size(root):
    rows = [f"{'long ' * 2000}{n}" for n in range(MOST_CARDS + 1)]
    made = make_gallery(rows, lambda row: Card(question=row), Pictures())
    whole = made.data()
    assert whole.total == MOST_CARDS + 1 and len(whole.cards) == MOST_CARDS
    assert len(msgspec.json.encode(whole)) < 6_000_000
    assert f"24 of {MOST_CARDS + 1:,} shown" in made.text


def test_thumbnails_are_smaller_the_more_there_are(tmp_path):
    Image.effect_noise((640, 480), 90).save(tmp_path / "noise.png")
    for number in range(60):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / "noise.png")
    widths = {}
    for count in (4, 60):
        pictures = Pictures()
        for number in range(count):
            pictures.named(tmp_path, f"{number}.png")
        made = pictures.thumbnails()
        widths[count] = made[0].width
        assert sum(len(one.data) for one in made) < 600_000 + 3_500 * count
    assert widths[4] == 320 > widths[60]


def test_the_data_of_a_notebook_is_one_text(root):
    data = bad_case_gallery({"scene": cases(30)}, root)._repr_mimebundle_()
    nbformat.write(
        new_notebook(cells=[new_code_cell(outputs=[new_output("display_data", data)])]), root / "n.ipynb"
    )
    (line,) = [one for one in (root / "n.ipynb").read_text().splitlines() if GALLERY_MIME in one]
    assert len(line) > 10_000
    assert msgspec.json.decode(data[GALLERY_MIME], type=GalleryData).total == 30
