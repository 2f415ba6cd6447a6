"""docs/benchmarks.md is what the committed results render to; it has all benchmarks, and claims of speed lead to it."""

import re
import sys
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT_ROOT / "tests/benchmarks"))

from table import render, results, run_all, scripts  # noqa: E402

# "ten minutes on two idle cores" · "6 times as fast" · "1.5 times as long"
CLAIM = re.compile(r"idle cores|\btimes as (?:fast|long)\b")


def test_the_page_is_made_from_the_committed_results() -> None:
    kept = results.read_results(render.KEPT.read_bytes())
    assert render.PAGE.read_text(encoding="utf-8") == render.page(kept), (
        "run tests/benchmarks/table/render.py"
    )
    for result in kept.values():
        assert result.rows and re.fullmatch(r"\d{4}-\d\d-\d\d", result.day)
        assert re.fullmatch(r"\d+ cores, \d+ GiB, Python [\d.]+, torch \S+", result.machine)


def test_every_benchmark_of_make_bench_has_a_row_and_writes_it() -> None:
    page = render.PAGE.read_text(encoding="utf-8")
    assert len(scripts.names()) > 15
    for name in scripts.names():
        assert f"`{name}` |" in page, name
        text = scripts.script_of(name).read_text(encoding="utf-8")
        assert f'write_result(\n        "{name}"' in text or f'write_result("{name}"' in text
    # what is committed belongs to a benchmark that still runs
    assert results.read_results(render.KEPT.read_bytes()).keys() <= set(scripts.names())


def test_make_bench_runs_every_script_that_writes_a_result() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    target = re.split(r"\n(?=\S)", makefile.split("\nbench:", 1)[1])[0]
    assert target.count("$(BIN)/python tests/benchmarks/table/run_all.py\n") == 1
    writing = {
        file
        for file in scripts.FOLDER.rglob("*.py")
        if "write_result(" in file.read_text(encoding="utf-8") and file.parent.name != "table"
    }
    assert writing == {scripts.script_of(name) for name in scripts.names()}


def test_a_benchmark_that_was_not_run_keeps_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "bench")
    for name, attribute in (("bench", "RESULTS"), ("kept.json", "KEPT"), ("page.md", "PAGE")):
        monkeypatch.setattr(render, attribute, tmp_path / name)
    monkeypatch.setattr(render, "names", lambda: ["one", "other", "never"])
    monkeypatch.setattr(render, "PROJECT_ROOT", tmp_path)
    for name in ("one", "other"):
        results.write_result(name, [results.Row(f"what {name} is", "at most | 2", "first figure")])
    render.main()
    before = render.PAGE.read_text()
    assert before.count("first figure") == 2 and "at most \\| 2" in before
    assert "| `never` | not measured yet |" in before
    (tmp_path / "bench/other.json").unlink()
    results.write_result("one", [results.Row("what one is", "", "second figure")])
    render.main()
    after = render.PAGE.read_text()
    assert after.count("first figure") == after.count("second figure") == 1
    # an older result does not replace a newer one
    old = render.msgspec.json.decode((tmp_path / "bench/one.json").read_bytes(), type=results.Result)
    old.day, old.rows[0].figure = "2020-01-01", "old figure"
    (tmp_path / "bench/one.json").write_bytes(render.msgspec.json.encode(old))
    render.main()
    assert render.PAGE.read_text() == after


def test_a_benchmark_that_misses_its_promise_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    monkeypatch.setattr(scripts, "BENCHMARKS", ("missing", "sub/slow", "good"))
    monkeypatch.setattr(run_all.render, "main", (tmp_path / "page").touch)
    monkeypatch.setattr(sys, "argv", ["run_all.py"])
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/slow.py").write_text("import sys; sys.exit('slower than is promised')")
    (tmp_path / "good.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SystemExit, match=r"^2 of 3 benchmarks missed a promise or failed: missing, slow$"):
        run_all.main()
    assert (tmp_path / "ran").exists() and (tmp_path / "page").exists()
    (tmp_path / "ran").unlink()
    monkeypatch.setattr(sys, "argv", ["run_all.py", "good", "none"])
    with pytest.raises(SystemExit, match=r"^none is no benchmark; there are missing, slow, good$"):
        run_all.main()
    assert not (tmp_path / "ran").exists()  # before the first one runs
    monkeypatch.setattr(sys, "argv", ["run_all.py", "good"])
    run_all.main()


def test_claims_of_speed_lead_to_the_page() -> None:
    pages = [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").glob("*.md")]
    claiming = [
        page for page in pages if page != render.PAGE and CLAIM.search(page.read_text(encoding="utf-8"))
    ]
    assert PROJECT_ROOT / "README.md" in claiming
    for page in claiming:
        assert "benchmarks.md" in page.read_text(encoding="utf-8"), page.name
