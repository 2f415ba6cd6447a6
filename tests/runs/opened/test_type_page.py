"""`types.html`: each type's figures from bad case to fixed and broken, its examples, and what to do next."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import Answer, Query, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.evaluation.rounds.figures import Gain, GainVerdict
from dataengine_lib.report.charts import score_chart
from dataengine_lib.report.index import write_run_index
from dataengine_lib.report.type_pages.anchors import type_anchor, with_type_links
from dataengine_lib.report.type_pages.figures import TypeRound, TypeStory
from dataengine_lib.report.type_pages.next_steps import next_steps
from dataengine_lib.runs.opened.type_page import write_type_page

EVIL = "<script>alert(1)</script>"


def answer(kind: str, number: int, *, correct: bool) -> Answer:
    return Answer(
        question=f"Which {kind} {number}?",
        choices=["yes it is", "no it is not"],
        correct_choice_idx=0,
        predicted_choice_idx=0 if correct else 1,
        model_answer="yes it is" if correct else "no it is not",
        correct=correct,
        question_type=kind,
        question_id=f"{kind}-{number}",
        image_path=f"{number}.png",
        split="diagnose",
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two types in one round: of `scene` one question is fixed and one broken; `<script>` has bad cases and no query."""
    before = [answer("scene", n, correct=n > 2) for n in range(6)] + [
        answer(EVIL, n, correct=False) for n in range(2)
    ]
    after = [answer("scene", n, correct=n in (0, 3, 4)) for n in range(6)] + before[6:]
    first = tmp_path / "round1"
    for folder, answers in ((first, before), (tmp_path / "final", after)):
        write_json(folder / "aokvqa_eval.json", answers)
        wrong = [one for one in answers if not one.correct]
        cases = {kind: [one for one in wrong if one.question_type == kind] for kind in ("scene", EVIL)}
        write_json(folder / "bad_case_aokvqa_classified.json", cases)
    shared: dict[str, Any] = {"image_id": 1, "image_path": "1.png", "question_type": "scene"}
    names = ["r-1", "r-2", "r-3"]
    write_json(
        first / "gptvqa_prompt.json",
        [Query(**shared, prompt="…", query_id=name, example_ids=["scene-0"]) for name in names],
    )
    raw = {"raw_instructions": "Question: Skip"}
    write_jsonl(
        first / "gptvqa_result.jsonl",
        [Result(**shared, **raw, query_id=name, model="playground") for name in names],
    )
    asked: dict[str, Any] = {"question": "Kept?", "choices": ["a", "b"], "correct_choice_idx": 1}
    write_json(
        first / "gptvqa_train_data.json",
        [TrainRecord(**shared, **raw, **asked, query_id="r-1", record_id="r-1")],
    )
    rejects = [
        Reject(line=2, reason="skipped by the teacher", query_id=name, **shared, **raw) for name in names[1:]
    ]
    write_jsonl(first / "rejects.jsonl", rejects)
    write_json(first / "checkpoint" / "train_log.json", {"by_type": {"scene": {"new": 3, "base": 9}}})
    write_json(tmp_path / "run.json", {"run": "small", "status": "done", "rounds": 1})
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_type_is_followed_from_its_bad_cases_to_what_changed(run: Path) -> None:
    page = write_type_page(run)
    assert page == run / "types.html"
    text = page.read_text(encoding="utf-8")
    # the type of which nothing was right comes first
    evil, scene = re.split(r'<section class="type">', text)[1:]
    assert "<h2" in evil and "2 bad cases and no query: set targets of construct_queries" in evil
    parts = re.findall(r'<span class="words">([^<]+)</span>.*?<span class="number">([^<]+)</span>', scene)
    assert parts == [
        ("bad cases", "3"),
        ("queries", "3"),
        ("replies", "3"),
        ("QAs kept", "1"),
        ("drawn in training", "3"),
        ("questions fixed", "1"),
        ("questions broken", "1"),
    ]
    assert "Dropped, most often because: skipped by the teacher (2)." in scene
    assert (
        '<span class="n">50.0 % [' in scene
        and 'of <span class="n">6</span> questions right at first' in scene
    )
    for what in ("bad case, fixed", "bad case, still wrong", "broken", "kept QA", "dropped QA"):
        assert f'class="kind">{what}, ' in scene, what
    assert "dataengine trace r-1 --run " in scene and str(run) not in text


def test_hostile_types_are_text_and_have_an_anchor(run: Path) -> None:
    page = write_type_page(run)
    assert page is not None
    text = page.read_text(encoding="utf-8")
    assert EVIL not in text and "&lt;script&gt;" in text
    anchor = type_anchor(EVIL)
    assert re.fullmatch(r"type-[a-z0-9-]+\.[0-9a-f]{10}", anchor)
    assert f'id="{anchor}"' in text and f'href="#{anchor}"' in text
    assert type_anchor("image_scene") == "type-image_scene" != type_anchor("Image_scene")


def test_the_index_links_to_the_page_where_it_is(run: Path) -> None:
    assert "types.html" not in write_run_index(run).read_text(encoding="utf-8")
    write_type_page(run)
    assert 'href="types.html"' in write_run_index(run).read_text(encoding="utf-8")


def test_a_run_that_has_just_begun_has_no_such_page(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"run": "new"})
    assert write_type_page(tmp_path) is None and not (tmp_path / "types.html").exists()


def test_an_image_that_is_gone_is_a_box_with_the_reason(run: Path) -> None:
    for file in run.glob("*.png"):
        file.unlink()
    page = write_type_page(run)
    assert page is not None and 'class="no-image"' in page.read_text(encoding="utf-8")


def test_rows_of_a_chart_become_links_on_a_page_of_a_run() -> None:
    drawn = '<g class="row"><a data-type="type-scene"><path/></a></g><a data-type="x y">'
    made = with_type_links(drawn, "../types.html")
    assert '<a xlink:href="../types.html#type-scene" tabindex="-1"><path/></a>' in made
    assert made.endswith('<a data-type="x y">')
    score = SimpleNamespace(accuracy=0.5, low=0.4, high=0.6, total=40)
    chart = with_type_links(
        score_chart({"scene": score, EVIL: score}, "Accuracy")._repr_html_(), "types.html"
    )
    for kind in ("scene", EVIL):  # in the wide drawing and in the narrow one
        assert chart.count(f'<a xlink:href="types.html#{type_anchor(kind)}" tabindex="-1">') == 2


def verdict(word: Any) -> GainVerdict:
    gain = Gain(gain=0.1, low=0.0, high=0.2, questions=40, images=40)
    return GainVerdict(gain=gain, p_value=0.5, p_holm=0.5, verdict=word)


@pytest.mark.parametrize(
    ("figures", "word", "says"),
    [
        ({"questions": 0}, None, "No question of this type is evaluated"),
        ({"questions": 1}, None, "Only 1 question of it"),
        ({"questions": 40}, None, "no bad case of it to show"),
        ({"questions": 40, "bad_cases": 1}, None, "1 bad case and no query"),
        (
            {"questions": 40, "bad_cases": 9, "queries": 20, "kept": 4, "dropped": 16},
            None,
            "Only 4 of 20 QAs are kept",
        ),
        ({"questions": 40, "bad_cases": 9, "queries": 9, "kept": 9}, "gain", "The gain is real"),
        ({"questions": 40, "bad_cases": 9, "queries": 9, "kept": 9}, "loss", "It got worse"),
        ({"questions": 40, "bad_cases": 9, "queries": 9, "kept": 9}, "unclear", "9 QAs did not move it"),
        ({"questions": 40, "bad_cases": 9, "queries": 9, "kept": 9}, None, "Nothing stands out"),
    ],
)
def test_what_to_do_next(figures: dict[str, int], word: str | None, says: str) -> None:
    story = TypeStory("scene", [TypeRound(1, **figures)])
    lines = next_steps(story, verdict(word) if word else None)
    assert any(says in line for line in lines), lines
