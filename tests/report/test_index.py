"""The index pages: every run and step with status, links and figures, whatever state the runs are in."""

import re

import pytest
from PIL import Image

from dataengine_lib.core.files import write_json
from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.rounds.figures import (
    Accuracy,
    ChangedAnswer,
    Comparison,
    Figures,
    GainVerdict,
    PairedScore,
    RoundScores,
)
from dataengine_lib.report.index import write_index, write_run_index
from dataengine_lib.report.index_pages.runs_table import UnusualParameter

EVIL = "<script>alert(1)</script>"


def plain(page):
    """The page's text, in which the numbers have no elements of their own."""
    return re.sub(r'<span class="n">([^<]*)</span>', r"\1", page.read_text())


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


def counted_steps(folder):
    """Two rounds of which all figures of the funnel are known, and the evaluation after them; the steps that made them."""
    steps = []
    for number, place in enumerate(("round1", "round2", "final")):
        score = {"total": 200, "accuracy": 0.6 + number / 20, "low": 0.5, "high": 0.8}
        files = {
            "metrics.json": {
                "splits": {"diagnose": {"overall": {"total": 0}}, "holdout": {"overall": score}}
            },
            "bad_case_aokvqa_classified.json": {"image_scene": [{"of": "any version"}] * 3, EVIL: [{}]},
        }
        names = {"1_evaluate": list(files)}
        if place != "final":
            kept = {"image_scene": {"kept": 9, "dropped": 1}, EVIL: {"kept": 4, "dropped": 7}}
            files |= {
                "sampling.json": {"image_scene": {"filled": 20}},
                "gptvqa_spare_asked.json": [{}, {}],
                "usage.json": {"cost_usd": 1.25, "requests": 22},
                "post_process.json": {"kept": 13, "dropped": 8, "by_type": kept},
                "checkpoint/train_log.json": {"by_type": {"image_scene": {"new": 50, "base": 9}}},
            }
            names |= {
                "2_construct_queries": ["sampling.json"],
                "3_generate_qa": ["gptvqa_result.jsonl", "usage.json", "gptvqa_spare_asked.json"],
                "4_post_process": ["post_process.json"],
                "5_fine_tune": ["checkpoint"],
            }
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / "gptvqa_result.jsonl").write_text("{}\n" * 21)
        for name, content in files.items():
            write_json(folder / place / name, content)
        steps += [
            step(f"{place}/{name}", outputs=[f"{place}/{file}" for file in outputs])
            for name, outputs in names.items()
        ]
    return [*steps, step("6_compare_rounds")]


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


def write_figures(folder, verdict="gain", too_few=False, low=0.05, high=0.15, changed=0):
    """`changed` questions were fixed, of an image `1.png`."""
    gain = Gain(0.1, low, high, 200, 90)
    fixed = [
        ChangedAnswer(f"q-{number}", "image_scene", 1, "1.png", f"Which {EVIL}?", ["a", "b"], 0, "b", "a")
        for number in range(changed)
    ]
    shows = {"gain": gain, "p_value": 0.01, "p_holm": 0.01, "verdict": verdict}
    paired = PairedScore(**shows, fixed=30, broken=10, p_mcnemar=0.01)

    def scores(name, share):
        score = Accuracy(int(200 * share), 200, share, share - 0.05, share + 0.05, 90, too_few)
        return RoundScores(name, "aokvqa_eval.json", score, {"image_scene": score})

    compared = Comparison("before", "after", paired, {"image_scene": paired}, GainVerdict(**shows), fixed, [])
    before, after = scores("before", 0.6), scores("after", 0.7)
    write_json(
        folder / "compare_rounds.json",
        Figures(
            split="holdout", questions=200, images=90, seed=0, rounds=[before, after],
            comparisons=[compared], weak_types=["image_scene"], weak_note="", left_out=[],
        ),
    )  # fmt: skip


def test_the_run_page_shows_rounds_and_steps(tmp_path):
    text = plain(write_run_index(run_folder(tmp_path)))
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
        text = plain(page)
        assert "60.0% → 70.0%" in text and "+10.0 points" in text and "[+5.0, +15.0]" in text
        assert 'class="small-chart"' in text and "image scene" in text
        assert text.count("[+5.0, +15.0]: a real gain") == 2 and "cannot tell" not in text


def test_a_run_is_followed_from_its_bad_cases_to_what_was_fixed_and_broken(tmp_path):
    folder = run_folder(tmp_path, steps=counted_steps(tmp_path / "demo"))
    write_figures(folder, "unclear", changed=5)
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "1.png")
    text = plain(write_run_index(folder, image_root=tmp_path))
    parts = re.findall(r'<span class="words">([^<]+)</span>.*?<span class="number">([^<]+)</span>', text)
    assert parts == [
        ("bad cases", "12"),
        ("queries", "44"),
        ("replies", "42"),
        ("QAs kept", "26"),
        ("drawn in training", "100"),
        ("questions fixed", "30"),
        ("questions broken", "10"),
    ]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(<td class.*?)</tr>", text)]
    interval = "[50.0, 80.0]"
    assert rows[0] == [
        "1", f"60.0 % {interval}", "4", "22", "21", "13", "50", "30", "10", "1.25", "0.09615"
    ]  # fmt: skip
    # the second round is not compared with the first here
    assert rows[1][7:9] == ["–", "–"]
    assert rows[2] == ["after", f"70.0 % {interval}", "4", *"–––––––", "–"]
    assert "fixed and broken on holdout" in text
    # three of what was fixed, with the image
    assert "5 questions: wrong before, right after the last round. 3 of them" in text
    assert text.count('<article class="card">') == 3 and text.count('src="data:image/') == 3
    assert "dataengine trace q-0 --run " in text and str(tmp_path) not in text
    # what a reader has to be careful with
    assert f"of 1 of 2 question types, less than half of the QAs are kept: {'&lt;script&gt;'}" in text
    assert "(8 of 22)." in text and EVIL not in text
    # an interval of 10 points is not too wide; one of 12 is
    assert "Cannot tell" not in text
    write_figures(folder, "unclear", low=-0.04, high=0.08)
    wide = plain(write_run_index(folder))
    assert "the holdout questions leave open whether 1 of 1 question types gained" in wide
    assert "all types together gained: [-4.0, +8.0] points" in wide
    assert "<h2 id=" in wide and 'id="fixed"' not in wide


def test_figures_of_too_few_questions_say_that_they_cannot_tell(tmp_path):
    folder = run_folder(tmp_path)
    write_figures(folder, "too few", too_few=True)
    for page in (write_run_index(folder), write_index(tmp_path)):
        text = plain(page)
        assert text.count("[+5.0, +15.0]: 200 questions cannot tell") == 2
        assert "holdout accuracy, 200 questions; 200 questions cannot tell" in text
        assert ">+10 ?</text>" in text and "?: too few questions to tell" in text


@pytest.mark.parametrize("status", ["waiting", "running", "failed"])
def test_an_earlier_run_s_figures_are_not_shown_for_this_one(tmp_path, status):
    folder = run_folder(tmp_path, steps=[step("6_compare_rounds", status)])
    write_figures(folder)
    assert 'small-chart"' not in plain(write_run_index(folder))


def test_a_failed_run_says_why_escaped(tmp_path):
    text = plain(write_run_index(run_folder(tmp_path, status="failed", error=EVIL)))
    assert "This run failed" in text and "&lt;script&gt;" in text and "<script" not in text


def test_missing_keys_are_allowed(tmp_path):
    write_json(tmp_path / "bare" / "run.json", {"run": "bare"})
    assert "Run bare" in plain(write_run_index(tmp_path / "bare"))
    assert 'href="bare/index.html"' in plain(write_index(tmp_path))


def test_the_index_lists_every_run_latest_first_even_beside_broken_ones(tmp_path):
    run_folder(tmp_path, "old run")
    run_folder(tmp_path, "new", started="2026-06-01T10:00:00+00:00")
    write_json(tmp_path / "new" / "compare_rounds.json", {"of": "another version"})
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"run": ')
    (tmp_path / "many runs").mkdir()
    (tmp_path / "many runs" / "7_study.html").write_text("study")
    different = {tmp_path / "old run": [UnusualParameter("evaluate.seed", EVIL, "2")] * 8}
    text = plain(write_index(tmp_path, different))
    assert 'href="many%20runs/7_study.html"' in text
    # a table with a row for each run, and what is different in it
    new, old = re.findall(r'<tr>\s*<th scope="row">(.*?)</tr>', text, re.DOTALL)
    assert "evaluate.seed: <b>&lt;script&gt;" in old and "(others 2)" in old and "and 2 more" in old
    assert "evaluate.seed" not in new and "<script" not in text
    assert text.index('href="new/index.html"') < text.index('href="old%20run/index.html"')
    assert "2026-05-01 10:00:00" in text and "torn/run.json" in text and "<title>All reports" in text


def test_an_empty_folder_says_how_to_begin(tmp_path):
    assert "dataengine run params/demo.yaml" in plain(write_index(tmp_path))


def test_warnings_are_counted_and_named_with_their_steps(tmp_path):
    steps = [step("round1/1_evaluate", warnings=["few questions", EVIL]), step("6_compare_rounds")]
    text = plain(write_run_index(run_folder(tmp_path, steps=steps)))
    assert text.count("⚠ Warning,") == 2 and "⚠ 2 warnings<br>" in text and "few questions" in text
    assert '<a href="round1/1_evaluate.html">round 1 · 1 evaluate</a>:</strong> few questions' in text
    assert "&lt;script&gt;" in text and "<script" not in text
    assert "⚠ 2 warnings ·" in plain(write_index(tmp_path))
    assert "⚠" not in plain(write_run_index(run_folder(tmp_path, "calm")))
