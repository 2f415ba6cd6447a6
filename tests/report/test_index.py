"""The index pages: every run and step with status, links and figures, whatever state the runs are in."""

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.rounds.figures import (
    Accuracy,
    Comparison,
    Figures,
    GainVerdict,
    PairedScore,
    RoundScores,
)
from dataengine_lib.report.index import write_index, write_run_index

EVIL = "<script>alert(1)</script>"


def step(label, status="done", **more):
    name = label.rpartition("/")[2]
    return {
        "step": name,
        "label": label,
        "status": status,
        "seconds": 3.21,
        "error": "",
        "outputs": [],
    } | more


def run_folder(reports, name="demo", **changes):
    steps = [
        step("0_classify_questions", "skipped"),
        step("round1/1_evaluate", outputs=["round1/weight.json", "round1/gone.json"]),
        step("round1/2_construct_queries", "failed", error=f"weights {EVIL}"),
        step("round2/1_evaluate", "waiting", seconds=0),
        step("6_compare_rounds"),
    ]
    run = {
        "run": name, "status": "done", "started": "2026-05-01T10:00:00+00:00", "seconds": 75.0, "rounds": 2,
        "overhead_seconds": 20.0, "seed": 7, "error": "", "notes": ["the teacher is a script"],
        "versions": {"torch": "2.13"}, "steps": steps,
    }  # fmt: skip
    folder = reports / name
    write_json(folder / "run.json", run | changes)
    write_json(folder / "round1" / "weight.json", {"a": 0.5})
    (folder / "round1" / "1_evaluate.html").write_text("report")
    return folder


def write_figures(folder, verdict="gain", too_few=False):
    gain = Gain(0.1, 0.05, 0.15, 200, 90)
    shows = {"gain": gain, "p_value": 0.01, "p_holm": 0.01, "verdict": verdict}
    paired = PairedScore(**shows, fixed=30, broken=10, p_mcnemar=0.01)

    def scores(name, share):
        score = Accuracy(int(200 * share), 200, share, share - 0.05, share + 0.05, 90, too_few)
        return RoundScores(name, "aokvqa_eval.json", score, {"image_scene": score})

    compared = Comparison("before", "after", paired, {"image_scene": paired}, GainVerdict(**shows), [], [])
    before, after = scores("before", 0.6), scores("after", 0.7)
    write_json(
        folder / "compare_rounds.json",
        Figures(
            split="holdout", questions=200, images=90, seed=0, rounds=[before, after],
            comparisons=[compared], weak_types=["image_scene"], weak_note="", left_out=[],
        ),
    )  # fmt: skip


def test_the_run_page_shows_rounds_and_steps(tmp_path):
    text = write_run_index(run_folder(tmp_path)).read_text()
    for shown in ("round 1", "round 2", "whole run", "✓ done", "✗ failed", "✓ unchanged", "waiting", "3.2 s"):
        assert shown in text
    assert 'href="round1/1_evaluate.html"' in text and 'href="round1/weight.json"' in text
    assert "gone.json" not in text and "2_construct_queries.html" not in text  # nothing leads nowhere
    assert (
        "1 min 15 s" in text
        and "of which 20 s for starting notebooks" in text
        and "seed 7" in text
        and "torch 2.13" in text
    )
    assert "the teacher is a script" in text and "weights &lt;script&gt;" in text and "<script" not in text


def test_figures_and_the_small_chart_are_shown_once_they_are_made(tmp_path):
    folder = run_folder(tmp_path)
    write_figures(folder)
    for page in (write_run_index(folder), write_index(tmp_path)):
        text = page.read_text()
        assert "60.0% → 70.0%" in text and "+10.0 points" in text and "[+5.0, +15.0]" in text
        assert 'class="small-chart"' in text and "image scene" in text
        assert text.count("[+5.0, +15.0]: a real gain") == 2 and "cannot tell" not in text


def test_figures_of_too_few_questions_say_that_they_cannot_tell(tmp_path):
    folder = run_folder(tmp_path)
    write_figures(folder, "too few", too_few=True)
    for page in (write_run_index(folder), write_index(tmp_path)):
        text = page.read_text()
        assert text.count("[+5.0, +15.0]: 200 questions cannot tell") == 2
        assert "holdout accuracy, 200 questions; 200 questions cannot tell" in text
        assert ">+10 ?</text>" in text and "?: too few questions to tell" in text


@pytest.mark.parametrize("status", ["waiting", "running", "failed"])
def test_an_earlier_run_s_figures_are_not_shown_for_this_one(tmp_path, status):
    folder = run_folder(tmp_path, steps=[step("6_compare_rounds", status)])
    write_figures(folder)
    assert 'small-chart"' not in write_run_index(folder).read_text()


def test_a_failed_run_says_why_escaped(tmp_path):
    text = write_run_index(run_folder(tmp_path, status="failed", error=EVIL)).read_text()
    assert "This run failed" in text and "&lt;script&gt;" in text and "<script" not in text


def test_missing_keys_are_allowed(tmp_path):
    write_json(tmp_path / "bare" / "run.json", {"run": "bare"})
    assert "Run bare" in write_run_index(tmp_path / "bare").read_text()
    assert 'href="bare/index.html"' in write_index(tmp_path).read_text()


def test_the_index_lists_every_run_latest_first_even_beside_broken_ones(tmp_path):
    run_folder(tmp_path, "old run")
    run_folder(tmp_path, "new", started="2026-06-01T10:00:00+00:00")
    write_json(tmp_path / "new" / "compare_rounds.json", {"of": "another version"})
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"run": ')
    text = write_index(tmp_path).read_text()
    assert text.index('href="new/index.html"') < text.index('href="old%20run/index.html"')
    assert "2026-05-01 10:00:00" in text and "torn/run.json" in text and "<title>All reports" in text


def test_an_empty_folder_says_how_to_begin(tmp_path):
    assert "dataengine run params/demo.yaml" in write_index(tmp_path).read_text()


def test_warnings_are_counted_and_named_with_their_steps(tmp_path):
    steps = [step("round1/1_evaluate", warnings=["few questions", EVIL]), step("6_compare_rounds")]
    text = write_run_index(run_folder(tmp_path, steps=steps)).read_text()
    assert text.count("⚠ Warning,") == 2 and "⚠ 2 warnings<br>" in text and "few questions" in text
    assert '<a href="round1/1_evaluate.html">round 1 · 1 evaluate</a>:</strong> few questions' in text
    assert "&lt;script&gt;" in text and "<script" not in text
    assert "⚠ 2 warnings ·" in write_index(tmp_path).read_text()
    assert "⚠" not in write_run_index(run_folder(tmp_path, "calm")).read_text()
