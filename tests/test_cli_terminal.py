"""`--open`: the report in the default browser at the end of a verb, or one line with its path."""

import sys
import webbrowser
from pathlib import Path
from types import SimpleNamespace

import pytest

from dataengine_lib import cli, cli_terminal
from dataengine_lib.runs import run, summary
from dataengine_lib.studies import read_study, run_study

NO_DISPLAY = "no browser opened, as this machine has no display; the report is "
NOT_STARTED = "no browser could be started; set BROWSER to one, or open "


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the browser was given, on a machine with a display."""
    found: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda url: not found.append(url))
    return found


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The page of a run and a study that end at once."""
    page = tmp_path / "Zoë #1" / "index.html"
    monkeypatch.setattr(cli, "_read", lambda *_: None)
    monkeypatch.setattr(run, "run_experiment", lambda *_, **__: None)
    monkeypatch.setattr(summary, "summary_lines", lambda *_: [])
    monkeypatch.setattr(summary, "render_run", lambda _: summary.Rendered(page, []))
    monkeypatch.setattr(read_study, "read_study", lambda *_: None)
    monkeypatch.setattr(run_study, "run_study", lambda *_, **__: SimpleNamespace(page=page, failed=["arm/1"]))
    return page


def status(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dataengine", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("verb", "expected"), [("run", 0), ("study", 1), ("report", 0)])
def test_the_report_opens_at_the_end(
    verb: str, expected: int, opened: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [verb, "x.yaml", *([] if verb == "report" else ["--out", str(finished.parent)])]
    assert status(monkeypatch, *words) == expected
    assert opened == []
    assert status(monkeypatch, *words, "--open") == expected
    assert opened == [finished.as_uri()] and "Zo%C3%AB%20%231/index.html" in opened[0]


def test_without_a_display_one_line_names_the_page(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_terminal.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    cli_terminal.open_report_page(Path("reports/demo/index.html"))
    assert capsys.readouterr() == ("", f"{NO_DISPLAY}reports/demo/index.html\n")
    assert opened == []
    # of an editor on another machine, which shows the page there
    monkeypatch.setenv("BROWSER", "code")
    cli_terminal.open_report_page(Path("reports/demo/index.html"))
    assert len(opened) == 1 and capsys.readouterr() == ("", "")


def _fails(url: str) -> bool:
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("outcome", [lambda url: False, _fails])
def test_a_browser_that_does_not_start_is_one_line(
    outcome: object, opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", outcome)
    cli_terminal.open_report_page(Path("index.html"))
    assert capsys.readouterr().err == f"{NOT_STARTED}index.html\n"
