"""At a terminal: `--open`, the report in the default browser or one line with its path; completion by the shell."""

import os
import subprocess
import sys
import webbrowser
from pathlib import Path
from types import SimpleNamespace

import pytest
from project import PROJECT_ROOT

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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dataengine constr", "construct-queries"),
        ("dataengine generate-qa --mod", "--mode"),
        ("dataengine evaluate --rank ", "text letter generate"),
        ("dataengine evaluate --robust=c", "circular"),
        ("dataengine evaluate --categories mmb", "mmbench mmbench_l3"),
        ("dataengine fine-tune --text-formats QM", "QM-A QM-AE"),
        ("dataengine run x.yaml --to gen", "generate_qa"),
        ("dataengine export ll", "llava llamafactory"),
        ("dataengine export lab", "label-studio"),
        ("dataengine export all --paths b", "bare"),
        ("dataengine report ", "reports/demo reports/study"),
        ("dataengine compare reports/demo reports/s", "reports/study"),
        ("dataengine bundle re", "reports/demo reports/study"),
        ("dataengine trace x --run reports/d", "reports/demo"),
        ("dataengine report elsewhere/", "_files"),
        # the shell offers files
        ("dataengine evaluate --questions ", "_files"),
        ("dataengine run pa", "_files"),
    ],
)
def test_verbs_options_and_values_are_completed(
    line: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("demo/run.json", "study/study.json", "empty/notes.txt"):
        (tmp_path / "reports" / name).parent.mkdir(parents=True)
        (tmp_path / "reports" / name).touch()
    monkeypatch.setenv("_DATAENGINE_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    assert status(monkeypatch) == 0
    shown = capsys.readouterr().out
    offered = [part.partition('"')[0] for part in shown.replace("(", "\n").split('\n"')[1:]]
    assert " ".join(offered or shown.split()) == expected


def test_bash_completes_once_it_is_installed(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(PROJECT_ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    script = """
dataengine --install-completion
. ~/.bashrc
complete -p dataengine
COMP_WORDS=(dataengine fine-tune --method "") COMP_CWORD=3
_dataengine_completion dataengine
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, check=True
    )
    # -o default: files where nothing is offered
    assert done.stdout.splitlines()[-2:] == [
        "complete -o default -F _dataengine_completion dataengine",
        "lora full",
    ]
    assert done.stderr == ""
