"""`dataengine bundle`: a report as one file, whose links are whole and which says nothing about the machine."""

import base64
import io
import json
import os
import re
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.galleries.cards import Card, Picture
from dataengine_lib.report.galleries.gallery_data import GalleryData
from dataengine_lib.report.galleries.page import PageGalleries, with_fewer_cards
from dataengine_lib.report.galleries.pictures import Thumbnail
from dataengine_lib.report.html import page_html
from dataengine_lib.runs.bundles import pdf
from dataengine_lib.runs.bundles.bundle import bundle
from dataengine_lib.runs.bundles.links import linked_names, relinked
from dataengine_lib.runs.manifest import Manifest

KEY = "sk-proj-0123456789abcdefgh"


def link(name: str, text: str = "x") -> str:
    return f'<a class="file" href="{name}">{text}</a>'


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with three pages; what its pages and data say about the machine must not leave it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "reports" / "my run"
    (folder / "round1" / "checkpoint").mkdir(parents=True)
    questions = "/data/lab 7/q&a.json"
    (folder / "round1" / "weight.json").write_text('{"image_scene": 0.5}')
    (folder / "round1" / "answers ä.json").write_text('["fine"]')
    (folder / "round1" / "where.json").write_text(json.dumps([f"{tmp_path}/images/1.jpg"]))
    (folder / "round1" / "secret.json").write_text(json.dumps([KEY]))
    (tmp_path / "reports" / "other.json").write_text("not of this run")
    (folder / "outside.json").symlink_to(tmp_path / "reports" / "other.json")
    body = (
        f"<h1>Evaluation</h1><p>{tmp_path}/images, {tmp_path}, /data/lab 7/q&amp;a.json and {KEY}; not /my{tmp_path}</p>"
        + "".join(
            map(link, ("weight.json", "answers%20%C3%A4.json", "where.json", "secret.json", "checkpoint"))
        )
        + link("../index.html#ocr", "run")
        + link("#there")
        + link("https://arxiv.org/abs/1")
        + '<div style="height: 3000px"></div><h2 id="there">There</h2>'
    )
    (folder / "round1" / "1_evaluate.html").write_text(page_html("Evaluation", body))
    names = ("round1/1_evaluate.html", "6_compare_rounds.html", "../index.html", "/etc/passwd", "../other.json",
             "outside.json", "gone.json")  # fmt: skip
    (folder / "index.html").write_text(page_html("Run", "".join(map(link, names)) + '<h2 id="ocr">OCR</h2>'))
    (folder / "6_compare_rounds.html").write_text(page_html("Comparison", link("round1/weight.json")))
    write_json(folder / "run.json", {"run": "my run"})
    manifest = Manifest(
        step="1_evaluate", identity="i", started="", seed=0, inputs={}, notebook_sha256="n", code_sha256="c",
        parameters={"questions": questions, "panel": {"a": {"image_root": str(tmp_path / "images")}}, "rank": "text"},
        versions={"torch": "2"},
    )  # fmt: skip
    write_json(folder / "round1" / "1_evaluate.manifest.json", manifest)
    return folder


def unpacked(file: Path, into: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(into)
    return {
        path.relative_to(into).as_posix(): path.read_text(encoding="utf-8")
        for path in into.rglob("*") if path.is_file()
    }  # fmt: skip


def test_a_zip_has_pages_and_data_and_its_links_lead_to_them(report: Path, tmp_path: Path) -> None:
    made = bundle(report, tmp_path / "out.zip")
    texts = unpacked(made.output, tmp_path / "elsewhere")
    names = {
        "index.html",
        "6_compare_rounds.html",
        "round1/1_evaluate.html",
        "round1/weight.json",
        "round1/answers ä.json",
    }
    assert set(texts) == {f"my run/{name}" for name in {*names, "bundle.json"}}
    for page in made.pages:
        for name in linked_names(texts[f"my run/{page}"], page):
            assert f"my run/{name}" in texts, (page, name)
    evaluation = texts["my run/round1/1_evaluate.html"]
    assert 'href="../index.html#ocr"' in evaluation and 'href="#there"' in evaluation
    assert 'href="https://arxiv.org/abs/1"' in evaluation
    assert 'href="checkpoint"' not in evaluation and evaluation.count("not in this bundle") == 3
    assert "passwd" not in "".join(texts.values()) and "not of this run" not in "".join(texts.values())


def test_what_it_leaves_out_is_named_with_the_reason(report: Path, tmp_path: Path) -> None:
    made = bundle(report, tmp_path / "out.zip")
    assert made.left_out == {
        "outside.json": "no file there",
        "gone.json": "no file there",
        "round1/where.json": "it has paths of the machine or a secret",
        "round1/secret.json": "it has paths of the machine or a secret",
        "round1/checkpoint": "a folder",
    }
    assert bundle(report, tmp_path / "pages.zip", data=False).files == []


@pytest.mark.parametrize("suffix", [".zip", ".html"])
def test_no_path_of_the_machine_and_no_secret_leaves_it(report: Path, tmp_path: Path, suffix: str) -> None:
    made = bundle(report, tmp_path / f"out{suffix}")
    texts = (
        unpacked(made.output, tmp_path / "elsewhere") if suffix == ".zip" else {"": made.output.read_text()}
    )
    whole = "\n".join(texts.values())
    for hidden in (KEY, "/data/lab 7", str(Path.home()) + "/"):
        assert hidden not in whole
    assert whole.count(str(tmp_path)) == 1  # as a part of another path, /my/…
    assert "…/q" in whole and "***" in whole


def test_bundle_json_has_hashes_and_parameters(report: Path, tmp_path: Path) -> None:
    texts = unpacked(bundle(report, tmp_path / "out.zip").output, tmp_path / "elsewhere")
    about = json.loads(texts["my run/bundle.json"])
    assert about["report"] == "my run" and about["start"] == "index.html"
    for name, entry in about["files"].items():
        content = texts[f"my run/{name}"].encode()
        assert entry == {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    step = about["steps"]["round1/1_evaluate.html"]
    assert step["parameters"] == {
        "questions": "…/q&a.json",
        "panel": {"a": {"image_root": "images"}},
        "rank": "text",
    }
    assert step["versions"] == {"torch": "2"}


def test_the_same_report_gives_the_same_bytes(report: Path, tmp_path: Path) -> None:
    first = bundle(report, tmp_path / "a.zip").output.read_bytes()
    shutil.copytree(report, tmp_path / "copy" / report.name, symlinks=True)
    os.utime(report / "index.html", (0, 0))
    assert bundle(report, tmp_path / "b.zip").output.read_bytes() == first


@pytest.mark.parametrize("suffix", [".zip", ".html"])
def test_pictures_are_reduced_until_it_is_small_enough(report: Path, tmp_path: Path, suffix: str) -> None:
    page = report / "6_compare_rounds.html"
    noise = Image.effect_noise((320, 240), 90).convert("RGB")  # hard to compress
    shown = {kind: encoded(noise, kind) for kind in ("WEBP", "JPEG")}
    no_picture = "UklGR" + "A" * 4000
    body = f'<img src=\'data:image/jpeg;base64,{shown["JPEG"]}\' width=320>["{shown["WEBP"]}", 320, 240, "{no_picture}"]'
    page.write_text(page_html("Comparison", body))
    whole = bundle(report, tmp_path / f"whole{suffix}", data=False)
    size = whole.output.stat().st_size
    assert whole.picture_side == 0 and size > 40_000
    out = tmp_path / f"small{suffix}"
    assert bundle(report, out, data=False, max_mb=(size - 1) / 1e6).picture_side == 224
    limit = (out.stat().st_size - 1) / 1e6
    command = ["bundle", str(report), "--output", str(out), "--no-data", "--max-mb", str(limit)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "pictures have at most 160 pixels" in done.output, done.output
    assert out.stat().st_size <= 1e6 * limit
    text = "".join(unpacked(out, tmp_path / "small").values()) if suffix == ".zip" else out.read_text()
    assert no_picture in text and all(one not in text for one in shown.values())
    found = re.findall(r"(?:UklGR|/9j/)[A-Za-z0-9+/]{100,}={0,2}", text)
    pictures = [Image.open(io.BytesIO(base64.b64decode(one))) for one in found if one != no_picture]
    assert sorted((one.format, one.size) for one in pictures) == [("JPEG", (160, 120)), ("WEBP", (160, 120))]
    out.unlink()
    with pytest.raises(
        ParameterError, match=r"MB even with small pictures and galleries, more than --max-mb 0\.001"
    ):
        bundle(report, out, data=False, max_mb=0.001)
    assert not out.exists()


def test_galleries_are_cut_where_small_pictures_do_not_suffice(report: Path, tmp_path: Path) -> None:
    images = [Image.new("RGB", (96, 96), (80 * number, 0, 0)) for number in range(3)]  # which get no smaller
    thumbnails = [Thumbnail(encoded(image, "WEBP"), 96, 96) for image in images]
    cards = [
        Card(
            id=f"q{number}",
            picture=Picture(number % 2 + (number > 60), "x"),
            question=f"What is {number}? </script>" * 9,
        )
        for number in range(70)
    ]
    galleries = PageGalleries(first=2)
    body = galleries.add_data(GalleryData(total=90, cards=cards, images=thumbnails))
    page = report / "6_compare_rounds.html"
    page.write_text(page_html("Comparison", body, script=galleries.script()))
    whole = page.read_text()
    assert (
        with_fewer_cards(whole, 70) == whole
        and with_fewer_cards("<p>no gallery</p>", 1) == "<p>no gallery</p>"
    )
    cut = with_fewer_cards(whole, 50)
    assert "q49" in cut and "q50" not in cut and cut.count("</script>") == whole.count("</script>")
    assert all(image.data in whole for image in thumbnails)
    assert [image.data in cut for image in thumbnails] == [True, True, False]
    least = bundle(report, tmp_path / "whole.html").output.stat().st_size
    made = bundle(report, tmp_path / "small.html", max_mb=(least - 2500) / 1e6)
    assert made.cards == 50 and "What is 49" in made.output.read_text()
    assert "What is 50" not in made.output.read_text()


def encoded(picture: Image.Image, kind: str) -> str:
    stream = io.BytesIO()
    picture.save(stream, kind, quality=90)
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.browser
def test_one_page_opens_anywhere_with_whole_links(report: Path, tmp_path: Path, page: Page) -> None:
    made = bundle(report, tmp_path / "far" / "away.html")
    shutil.rmtree(report)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(made.output.as_uri())
    run = page.frame_locator("iframe >> nth=0")
    assert run.get_by_role("heading", name="OCR").is_visible()
    run.get_by_role("link").first.click()
    evaluation = page.frame_locator('iframe[title="Evaluation"]')
    evaluation.get_by_role("heading", name="Evaluation").wait_for()
    assert not page.locator("iframe >> nth=0").is_visible()
    evaluation.locator("a[href='about:srcdoc#there']").click()
    frame = page.frames[1 + made.pages.index("round1/1_evaluate.html")]
    assert frame.evaluate("scrollY") > 1000
    evaluation.get_by_role("link", name="run").click()
    run.get_by_role("heading", name="OCR").wait_for()
    page.get_by_text("3 pages in one file").click()
    page.get_by_role("link", name="Comparison").click()
    page.frame_locator('iframe[title="Comparison"]').get_by_text("x").wait_for()
    assert errors == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda report: bundle(report, Path("out.tar")), "out.tar: a bundle is a .zip or an .html"),
        (lambda report: bundle(report / "round1", Path("out.zip")), "no report of a run or study here"),
        (lambda report: bundle(report / "gone", Path("out.zip")), "no report of a run or study here"),
    ],
)  # fmt: skip
def test_wrong_folders_and_names_are_one_line(report: Path, make: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make(report)  # type: ignore[operator]
    assert not list(Path.cwd().glob("out.*"))


def test_the_verb_names_the_file_and_what_is_left_out(report: Path) -> None:
    done = CliRunner().invoke(app, ["bundle", str(report)])
    assert done.exit_code == 0, done.output
    assert "my run.zip: 3 pages, 2 data files" in done.output.replace("\n", "")
    assert "left out: round1/checkpoint (a folder)" in done.output
    assert (report.parent / "my run.zip").is_file()


def test_without_a_browser_pdf_is_one_line(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataEngineError, match="--pdf: no browser found; install Chromium"):
        pdf.print_pages(report, ["index.html"], tmp_path / "pdf")


@pytest.mark.browser
def test_pages_are_printed(report: Path, tmp_path: Path, page: Page) -> None:
    (written,) = pdf.print_pages(report, ["round1/1_evaluate.html"], tmp_path / "pdf")
    assert written.name == "round1_1_evaluate.pdf" and written.read_bytes().startswith(b"%PDF")
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_addresses_are_read_as_browsers_do() -> None:
    text = (
        link("a%20b.json?x=1#y")
        + link("sub/../c.html")
        + link("mailto:x@y")
        + link("//host/z")
        + "<b href='no'>"
    )
    assert linked_names(text, "round1/page.html") == ["round1/a b.json", "round1/c.html"]
    assert 'href="&lt;a&amp;b.html&gt;"' in relinked(
        link("a&amp;b.html"), "p.html", lambda name, _: f"<{name}>"
    )
