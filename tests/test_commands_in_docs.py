"""The commands that the documentation shows: verbs and options exist, and the cheap ones work in a fresh shell."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib.runs.workflow import STEPS

PAGES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "CONTRIBUTING.md",
    *sorted(PROJECT_ROOT.glob("docs/*.md")),
]
# as `source .venv/bin/activate` puts them there
BIN = Path(sys.executable).parent
# the language, empty for commands, and the lines between the fences
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def block_commands() -> list[str]:
    """Every command of every block, with continued lines joined and comments cut off."""
    found = [pair for page in PAGES for pair in BLOCK.findall(page.read_text(encoding="utf-8"))]
    blocks = [block for language, block in found if not language]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.split(r"\s+#", line)[0] for line in lines]


def commands(program: str) -> list[list[str]]:
    """The words of the blocks' commands of one program, and of those in the text between backquotes."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    inline = [found for text in texts for found in re.findall(rf"`({program}\s[^`]+)`", text)]
    named = [line for line in block_commands() if line.startswith(f"{program} ")]
    return [shlex.split(command) for command in dict.fromkeys([*named, *inline])]


def fresh_shell(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """The command in an environment that knows the virtual environment, and nothing else of ours."""
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.run(
        words, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )


def help_of(verb: str) -> str:
    code = "from dataengine_lib.cli import main; main()"
    environment = os.environ | {"COLUMNS": "200"}
    command = [sys.executable, "-c", code, verb, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{verb}: {done.stderr}"
    return done.stdout


def test_every_option_of_a_verb_exists() -> None:
    options: dict[str, set[str]] = {}
    for words in commands("dataengine"):
        found = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        options.setdefault(words[1], set()).update(found)
    assert {"run", "plan", "doctor", "generate-qa", "export"} <= set(options)
    for verb, named in options.items():
        shown = help_of(verb) if named - {"--help"} else "--help"
        assert not {option for option in named if not re.search(rf"{option}\b", shown)}, verb


def test_every_set_names_a_parameter() -> None:
    configs = {step.name: step.config for step in STEPS}
    sets = re.findall(r"--set (\w+)\.(\w+)=", "\n".join(page.read_text() for page in PAGES))
    assert sets
    for step, key in sets:
        assert key in configs[step].model_fields, f"{step}.{key}"


def test_the_page_says_how_its_commands_are_found() -> None:
    assert "source .venv/bin/activate" in PAGES[0].read_text(encoding="utf-8")
    environment = (PROJECT_ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "\nname: dataengine\n" in environment and "conda activate dataengine" in PAGES[0].read_text()


@pytest.mark.parametrize(
    ("command", "status", "shown"),
    [
        ("dataengine plan params/aokvqa.yaml", 0, "note: "),
        ("dataengine doctor params/aokvqa.yaml", 1, "bad  data paths: "),
        ("dataengine evaluate --help", 0, "--student"),
    ],
)
def test_the_cheap_ones_work_in_a_fresh_shell(tmp_path: Path, command: str, status: int, shown: str) -> None:
    assert shlex.split(command) in commands("dataengine")
    done = fresh_shell(command.split(), tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert shown in done.stdout and "Traceback" not in done.stderr
