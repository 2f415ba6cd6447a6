"""Reports are whole, offline, escaped and honest about failures."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import nbformat
import pytest
from PIL import Image

from dataengine_lib.data.comparison import Change
from dataengine_lib.data.files import write_json
from dataengine_lib.data.records import Answer, TrainRecord
from dataengine_lib.report import charts, gallery
from dataengine_lib.report.html import render_notebook
from dataengine_lib.report.index import write_index, write_run_index

EVIL = '<script>alert("x")</script><img src=http://evil.example/a.png onerror=alert(1)>'


def score(accuracy, total=40):
    return SimpleNamespace(accuracy=accuracy, low=accuracy - 0.1, high=accuracy + 0.1, total=total)


SCORES = {"image_scene": score(0.9), "image_$tyle": score(0.4), "spatial_relationship": score(0.3), "social_relation": score(0.0, 0)}


def every_chart():
    rounds = [SimpleNamespace(name=name, by_type={"a": score(x), "b": score(0.5)}) for name, x in (("before", 0.3), ("after", 0.7))]
    share = SimpleNamespace(weight_share=0.4, drawn_share=0.5, filled=5)
    return {
        "score": charts.score_chart(SCORES, "Accuracy"),
        "share": charts.share_chart({"a": share}),
        "count": charts.count_chart({"a": 3, "b": 5}, "Counts", "rows"),
        "kept": charts.kept_chart({"a": SimpleNamespace(kept=3, dropped=1)}),
        "loss": charts.loss_chart([SimpleNamespace(step=i, loss=3 - i / 10) for i in range(20)]),
        "round": charts.round_chart(rounds, ["a"]),
    }


@pytest.mark.parametrize("name", ["score", "share", "count", "kept", "loss", "round"])
def test_charts_are_whole_and_the_same_every_time(name):
    chart = every_chart()[name]
    assert ElementTree.fromstring(chart.svg).tag.endswith("svg")
    assert chart.svg == every_chart()[name].svg
    page = chart._repr_html_()
    assert 'role="img"' in page and f'aria-label="{chart.alt}"' in page and chart.alt.endswith((".", "start."))
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)


def test_the_score_chart_shows_intervals_numbers_and_the_weakest_first():
    chart = charts.score_chart(SCORES, "Accuracy")
    assert chart.alt == r"Accuracy. Weakest: spatial relationship 30%, image \$tyle 40%, image scene 90%."
    assert "(n=40)" in chart.svg and "95 % Wilson interval" in chart.svg and "social relation" not in chart.svg


def test_charts_of_nothing():
    assert charts.score_chart({}, "Accuracy").alt == "Accuracy. Weakest: none."
    assert charts.loss_chart([]).alt == "No step was trained."


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (900, 600), "red").save(tmp_path / "big.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    return tmp_path


def case(**changes):
    values = dict(question=EVIL, choices=["cat", EVIL, "dog", "cow"], correct_choice_idx=0, predicted_choice_idx=1,
                  question_type=EVIL, image_path="big.png")  # fmt: skip
    return Answer(**(values | changes))


def test_model_text_is_escaped_everywhere(root):
    record = TrainRecord(image_id=1, raw_instructions=EVIL, question_type=EVIL, question=EVIL, choices=[EVIL] * 4,
                         correct_choice_idx=2, rationales=[EVIL], image_path="big.png")  # fmt: skip
    change = Change("1", EVIL, 1, "big.png", EVIL, [EVIL] * 4, 0, EVIL, EVIL)
    query = SimpleNamespace(question_type=EVIL, prompt=EVIL, neighbour=True)
    preview = SimpleNamespace(query=query, anchor=root / "big.png", image=root / "big.png", neighbours=[(root / "big.png", 0.5)])
    reject = SimpleNamespace(question_type=EVIL, detail=EVIL, raw_instructions=EVIL)
    shown = [
        gallery.bad_case_gallery({"a": [case()]}, root), gallery.qa_gallery([record], root), gallery.reply_gallery([record], root),
        gallery.change_gallery([change], root, EVIL, EVIL), gallery.query_gallery([preview]), gallery.reject_gallery({EVIL: [reject]}),
        gallery.table([[EVIL, 1, 0.5, None]], [EVIL], EVIL), gallery.conclusion(EVIL),
    ]  # fmt: skip
    for part in shown:
        assert "<script" not in part.text and "<img src=http" not in part.text and "&lt;script&gt;" in part.text


def test_images_are_embedded_and_reduced(root):
    text = gallery.bad_case_gallery({"a": [case()]}, root).text
    data = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(data) == 1
    with Image.open(io.BytesIO(base64.b64decode(data[0]))) as picture:
        assert picture.size == (300, 200)


@pytest.mark.parametrize("name", ["broken.jpg", "missing.png", "../../etc/passwd", "/etc/passwd", ""])
def test_an_image_that_cannot_be_shown_is_said_so(root, name):
    text = gallery.bad_case_gallery({"a": [case(image_path=name)]}, root).text
    assert 'class="no-image"' in text and "<img" not in text


def test_right_and_wrong_are_marked_by_words():
    text = gallery.options(["cat", "dog"], 0, 1)
    assert "✓ right" in text and "✗ student" in text


def notebook(folder, name, cells):
    book = nbformat.v4.new_notebook(cells=cells)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def run_folder(tmp_path, **changes):
    run = {
        "run": "demo", "status": "done", "started": "2024-05-01T10:00:00+00:00", "seconds": 75.0, "rounds": 1, "seed": 0, "error": "",
        "notes": ["the teacher is a script"], "versions": {"torch": "2"},
        "steps": [
            {"step": "1_evaluate", "label": "round1/1_evaluate", "status": "done", "seconds": 3.0, "html": "round1/1_evaluate.html",
             "outputs": ["round1/weight.json"]},
            {"step": "2_construct_queries", "label": "round1/2_construct_queries", "status": "waiting", "seconds": 0, "html": "", "outputs": []},
        ],
    }  # fmt: skip
    folder = tmp_path / "reports" / "demo"
    write_json(folder / "run.json", run | changes)
    write_json(folder / "round1" / "weight.json", {"a": 0.5})
    return folder


def test_a_report_shows_results_without_code_and_links_its_neighbours(tmp_path):
    folder = run_folder(tmp_path)
    code = nbformat.v4.new_code_cell(
        "secret_code = 1", outputs=[
            nbformat.v4.new_output("display_data", data={"text/html": "<b>a figure</b>"}),
            nbformat.v4.new_output("stream", name="stderr", text="50%|#####"),
        ])  # fmt: skip
    page = render_notebook(notebook(folder / "round1", "1_evaluate", [nbformat.v4.new_markdown_cell("# Title"), code]), tmp_path / "x.html")
    text = page.read_text()
    assert "<b>a figure</b>" in text and "secret_code" not in text and "50%|" not in text and "¶" not in text
    assert 'href="2_construct_queries.html"' in text and "../index.html" in text and "../../index.html" in text
    assert 'href="weight.json"' in text and "the teacher is a script" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", text) and "<script" not in text


def test_markdown_cannot_smuggle_scripts_into_a_report_from_outputs(tmp_path):
    output = nbformat.v4.new_output("execute_result", data={"text/plain": EVIL}, execution_count=1)
    page = render_notebook(notebook(tmp_path, "n", [nbformat.v4.new_code_cell("x", outputs=[output])]), tmp_path / "n.html")
    assert "<script" not in page.read_text() and "&lt;script&gt;" in page.read_text()


def test_a_failed_notebook_shows_its_traceback_escaped(tmp_path):
    error = nbformat.v4.new_output("error", ename="DataEngineError", evalue=EVIL, traceback=["\x1b[31mTraceback\x1b[0m", EVIL])
    marker = nbformat.v4.new_markdown_cell("An Exception was encountered at In [4]", metadata={"tags": ["papermill-error-cell-tag"]})
    page = render_notebook(notebook(tmp_path, "n", [marker, nbformat.v4.new_code_cell("x", outputs=[error])]), tmp_path / "n.html")
    text = page.read_text()
    assert "This step failed" in text and "Traceback" in text and "<script" not in text and "\x1b" not in text and "In [4]" not in text


def test_the_run_page_shows_every_step(tmp_path):
    text = write_run_index(run_folder(tmp_path)).read_text()
    assert 'href="round1/1_evaluate.html"' in text and 'href="round1/weight.json"' in text and "1 min 15 s" in text
    assert text.count("<tr>") == 3 and "the teacher is a script" in text


def test_a_failed_run_says_why_escaped(tmp_path):
    text = write_run_index(run_folder(tmp_path, status="failed", error=EVIL)).read_text()
    assert "This run failed" in text and "&lt;script&gt;" in text and "<script" not in text


def test_the_index_lists_all_runs(tmp_path):
    run_folder(tmp_path)
    text = write_index(tmp_path / "reports").read_text()
    assert 'href="demo/index.html"' in text and "2024-05-01 10:00:00" in text
    (tmp_path / "empty").mkdir()
    assert "No run yet" in write_index(tmp_path / "empty").read_text()
