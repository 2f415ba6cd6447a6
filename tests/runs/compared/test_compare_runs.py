"""`dataengine compare`: runs in pairs on the questions that they share, and how they differ."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.index_pages.runs_table import UnusualParameter
from dataengine_lib.runs.compared.compare_runs import compare_runs, compared_sentences
from dataengine_lib.runs.compared.differences import RunDifference, seen_from
from dataengine_lib.runs.compared.page import write_comparison
from dataengine_lib.runs.compared.unusual import unusual_parameters
from dataengine_lib.runs.manifest import Digest, Manifest

HOSTILE = "<script>alert(1)</script>"


def answer(number: int, correct: bool, kind: str) -> dict:
    return {
        "question_id": f"q{number}", "image_id": number, "image_path": f"{number}.jpg", "split": "holdout",
        "question": f"What is {number}?", "choices": ["a", "b"], "correct_choice_idx": 0, "direct_answers": [],
        "difficult_direct_answer": False, "question_type": kind, "prompt": "", "rationales": [],
        "model_answer": "a" if correct else "b", "predicted_choice_idx": int(not correct), "correct": correct,
        "score": float(correct),
    }  # fmt: skip


def write_run(
    folder: Path, right: range, *, numbers: range = range(200), topk: int = 20, sha: str = "a" * 64
) -> Path:
    """A run of one round, of which step 2 has a manifest; its last student answers `right` of the questions `numbers`."""
    for place, known in (("round1", range(0)), ("final", right)):
        rows = [answer(n, n in known, "ocr" if n % 2 else HOSTILE) for n in numbers]
        write_json(folder / place / "aokvqa_eval.json", rows)
    manifest = Manifest(
        step="2_construct_queries", identity="i", started="", seed=0, notebook_sha256="n", code_sha256="c", versions={},
        parameters={"topk": topk, "output": f"{folder}/round1/gptvqa_prompt.json", "template": "v1"},
        inputs={"coco_dataset": [Digest("pool", sha)]},
    )  # fmt: skip
    write_json(folder / "round1" / "2_construct_queries.manifest.json", manifest)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path / "demo", range(100)),
        write_run(tmp_path / "better", range(140), topk=50),
        write_run(tmp_path / "same", range(1, 101), sha="b" * 64),
        write_run(tmp_path / "worse", range(60)),
        write_run(tmp_path / "other", range(1000, 1100), numbers=range(1000, 1200)),
    ]


def test_each_run_is_compared_with_the_first(runs: list[Path]) -> None:
    compared = compare_runs(runs)
    assert [run.scores.overall.correct for run in compared.runs] == [100, 140, 100, 60, 100]
    assert {run.evaluated for run in compared.runs} == {"after round 1"}
    better, same, worse, other = compared.pairs
    assert better.comparison is not None and worse.comparison is not None and same.comparison is not None
    assert better.comparison.overall.gain.gain == pytest.approx(0.2)
    assert (better.comparison.overall.fixed, better.comparison.overall.broken) == (40, 0)
    assert (same.comparison.overall.fixed, same.comparison.overall.broken) == (1, 1)
    verdicts = [pair.comparison.overall.verdict for pair in (better, same, worse) if pair.comparison]
    assert verdicts == ["gain", "unclear", "loss"]
    # corrected over the three runs that can be compared
    assert better.comparison.overall.p_holm >= 2 * better.comparison.overall.p_value
    assert other.comparison is None and "no holdout question is in all of them" in other.reason
    assert compared_sentences(compared) == [
        "better (+20.0 points): better than demo.",
        "same (+0.0 points): not distinguishable from demo by these questions.",
        "worse (-20.0 points): worse than demo.",
        "other: with no question in common with demo.",
    ]


def test_only_what_differs_is_listed(runs: list[Path]) -> None:
    compared = compare_runs(runs[:3])
    assert compared.parameters == [RunDifference("construct_queries.topk", [20, 50, 20])]
    assert compared.data == [
        RunDifference("construct_queries.coco_dataset", ["aaaaaaaa", "aaaaaaaa", "bbbbbbbb"])
    ]


def test_questions_that_only_one_run_has_are_a_warning(tmp_path: Path) -> None:
    first = write_run(tmp_path / "demo", range(100))
    part = write_run(tmp_path / "part", range(100), numbers=range(50, 200))
    compared = compare_runs([first, part])
    assert compared.pairs[0].questions == 150
    (warning,) = compared.warnings
    assert "50 questions are not compared" in warning and "part" in warning


def test_runs_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / arm / "seed0", range(9)) for arm in ("adaptive", "uniform")]
    assert [run.name for run in compare_runs(runs).runs] == ["adaptive/seed0", "uniform/seed0"]


def test_the_page_has_every_part_and_runs_nothing(runs: list[Path], tmp_path: Path) -> None:
    page = write_comparison(compare_runs(runs), tmp_path / "out" / "compared.json").read_text(
        encoding="utf-8"
    )
    assert HOSTILE not in page and "&lt;script&gt;alert(1)" in page
    for words in ("better than demo", "a real gain", "a real loss", "construct_queries.topk", "bbbbbbbb", "<svg",
                  "no holdout question is in all of them"):  # fmt: skip
        assert words in page, words
    figures = json.loads((tmp_path / "out" / "compared.json").read_text(encoding="utf-8"))
    assert figures["pairs"][0]["comparison"]["overall"]["gain"]["gain"] == pytest.approx(0.2)


def test_the_verb_prints_the_conclusion_and_the_page(runs: list[Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs[:2]), "--output", str(tmp_path / "c.json")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "better (+20.0 points): better than demo."
    assert (tmp_path / "c.html").is_file()


def test_wrong_folders_are_one_line(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="two or more runs, each once"):
        compare_runs(runs[:1])
    with pytest.raises(ParameterError, match="two or more runs, each once"):
        compare_runs([runs[0], runs[1], runs[0]])
    with pytest.raises(DataEngineError, match="gone: is not a folder"):
        compare_runs([runs[0], tmp_path / "gone"])
    write_json(tmp_path / "begun" / "run.json", {})
    with pytest.raises(DataEngineError, match="begun: has no evaluation yet"):
        compare_runs([runs[0], tmp_path / "begun"])


def test_the_index_of_runs_names_what_most_others_set_to_something_else(
    runs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "torn").mkdir()
    found = unusual_parameters([*runs, tmp_path / "torn"])
    # each run's own paths are no difference, and a folder of no run has none
    assert found == {run: [] for run in [*runs, tmp_path / "torn"]} | {
        runs[1]: [UnusualParameter("construct_queries.topk", "50", "20")]
    }
    # of two, the first is the one that is compared with
    assert unusual_parameters(runs[1::-1])[runs[0]] == [
        UnusualParameter("construct_queries.topk", "20", "50")
    ]


def test_paths_of_a_run_are_the_same_wherever_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "reports" / "demo"
    monkeypatch.chdir(tmp_path)
    for name in (run, Path("reports/demo"), Path("demo")):
        given = {"input": f"{name}/round1/a.json", "others": [str(name)], "pool": f"{name}s/coco", "topk": 5}
        assert seen_from(run, given) == {
            "input": "RUN/round1/a.json",
            "others": ["RUN"],
            "pool": f"{name}s/coco",
            "topk": 5,
        }
