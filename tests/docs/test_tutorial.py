"""The tutorial's commands, one after the other: the quick ones are run in this process, where `run` is a finished run.

`make` and `run` are run by the tests of tests/test_commands_in_docs.py's RUN_BY and by tests/test_end_to_end.py.
"""

import io
import json
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib import cli
from dataengine_lib.report.html import page_html

TUTORIAL = (PROJECT_ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
DEMO = PROJECT_ROOT / "data_demo"
# exit status of commands that are not run here, and why
ELSEWHERE = {
    "make demo": "tests/test_demo.py",
    "make lab": "tests/test_jupyterlab.py",
    "source .venv/bin/activate": "made by make",
    "dataengine report reports/demo --open": "tests/runs/test_render_run.py, tests/test_cli_terminal.py",
    "dataengine doctor aokvqa.yaml": "asks the model hub and the teacher's server: tests/runs/test_doctor.py",
}


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TUTORIAL, re.M | re.S)
    return [block for its_language, block in found if its_language == language]


def finished_run(folder: Path) -> None:
    """What `run` leaves, made of data_demo: the evaluations before and after, training data and a page."""
    for place in ("round1", "final"):
        (folder / place).mkdir(parents=True)
    shutil.copy(DEMO / "aokvqa_eval.json", folder / "round1")
    shutil.copy(DEMO / "aokvqa_eval_after.json", folder / "final" / "aokvqa_eval.json")
    shutil.copy(DEMO / "gptvqa_train_data.json", folder / "round1")
    (folder / "run.json").write_text(json.dumps({"run": folder.name, "status": "done"}))
    (folder / "index.html").write_text(page_html("Run", "<h1>Run</h1>"))


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of `dataengine`, whose standard input is no terminal."""
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_its_commands_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    shutil.copytree(DEMO, "data_demo", ignore=shutil.ignore_patterns("study"))
    # A-OKVQA's validation split and COCO, as far as these commands read them
    Path("data/aokvqa").mkdir(parents=True)
    shutil.copy(DEMO / "aokvqa_v1p0_val.json", "data/aokvqa")
    Path("data/coco").symlink_to(tmp_path / "data_demo")
    shown = {}
    for command in "".join(blocks("")).replace("\\\n", " ").splitlines():
        words = shlex.split(command)
        if command in ELSEWHERE:
            continue
        assert words[0] == "dataengine", f"{command}: say where it is run"
        if words[1] == "run":
            assert Path(words[2]).is_file()
            out = words[words.index("--out") + 1] if "--out" in words else f"reports/{Path(words[2]).stem}"
            finished_run(tmp_path / out)
            continue
        assert run(words, monkeypatch) == 0, command + capsys.readouterr().err
        shown[f"{words[1]} {words[2]}"] = capsys.readouterr().out
    # what the text says of their output
    doctor = shown["doctor mine.yaml"]
    assert "has 54 questions: differences below about ±13 points cannot be seen" in doctor
    assert "annotations answers 10 of 18 types" in doctor
    text = " ".join(TUTORIAL.split())
    assert "54 holdout questions cannot show a difference below about 13 points" in text
    assert "`annotations` writes 10 of the 18 types" in text
    assert "questions for +5" in shown["plan mine.yaml"] and "US dollars" in shown["plan aokvqa.yaml"]
    assert "not distinguishable" in shown["compare reports/mine"]
    assert "mine/bundle.json" in zipfile.ZipFile("reports/mine.zip").namelist()
    assert len(list(Path("exports").rglob("*.md"))) > 5, "a data card for each export"
    rows = json.loads(Path("reports/mine/round1/gptvqa_train_data.json").read_text())
    assert len(rows) == 15


def test_its_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    (code,) = blocks("python")
    exec(code, {})


def test_its_table_names_options_of_init() -> None:
    table = TUTORIAL.split("## 5.")[1].split("\n\n")[1]
    named = set(re.findall(r"`(--[a-z-]+)`", table))
    given = {
        "--questions",
        "--image-root",
        "--student",
        "--coco-dataset",
        "--teacher",
        "--budget-usd",
        "--maxnum",
    }
    assert named == given


def test_the_messages_of_the_faq_are_those_of_the_library() -> None:
    faq = (PROJECT_ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    library = "".join(
        file.read_text(encoding="utf-8") for file in sorted((PROJECT_ROOT / "dataengine_lib").rglob("*.py"))
    )
    # texts of several lines in one
    library = re.sub(r'"\s+f?"', "", library)
    answers = [" ".join(text.split()) for text in faq.split("\n\n")]
    quoted = [
        text for answer in answers if answer.startswith('**"') for text in re.findall(r'"([^"]+)"', answer)
    ]
    assert len(quoted) >= 8
    # "…" and what the server is called stand for what differs from case to case
    parts = [
        part.strip() for text in quoted for part in re.split(r"…|reasoning_content", text) if part.strip()
    ]
    assert [part for part in parts if part not in library] == []
