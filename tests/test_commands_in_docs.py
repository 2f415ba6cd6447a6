"""The commands that the documentation shows: verbs and options exist, and the cheap ones work in a fresh shell."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from project import PROJECT_ROOT
from typer.main import get_command

from dataengine_lib import cli
from dataengine_lib.cli_steps import add_step_verbs
from dataengine_lib.cli_terminal import repeat_list_options
from dataengine_lib.runs.workflow import STEPS

PAGES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "CONTRIBUTING.md",
    *sorted(PROJECT_ROOT.glob("docs/**/*.md")),
]
# a path in a command that is one of the project
OURS = re.compile(r"(params|data_demo|notebooks|tests|docs)/")
# what a block shows -> the test that runs it, or what it does, and a text by which that test is known
RUN_BY = {
    "demo": ("tests/test_demo.py", '"params" / "demo.yaml"'),
    "study": ("tests/studies/test_study.py", "through the real notebooks"),
    "lab": ("tests/test_jupyterlab.py", "as `make lab` starts it"),
    "docs": ("tests/docs/test_made_pages.py", "api_page.api_page()"),
    "test": (".ci/run", "exec make test"),
    "lint": ("Makefile", "lint pytest"),
    "bench": ("tests/docs/test_benchmarks_page.py", "run_all.main()"),
    "fuzz": ("tests/fuzz/test_fuzz_inputs.py", "def test_"),
}
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


def command_of(verb: str) -> tuple[typer.core.TyperGroup, Any]:
    """The command line with the options of one verb, and that verb's command."""
    app = typer.Typer(cls=cli.app.info.cls, rich_markup_mode=None)
    app.registered_commands = list(cli.app.registered_commands)
    app.registered_callback = cli.app.registered_callback
    add_step_verbs(app, verb)
    group: Any = get_command(app)
    return group, group.commands.get(verb)


def test_every_option_of_a_verb_exists() -> None:
    options: dict[str, set[str]] = {}
    for words in commands("dataengine"):
        found = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        if not words[1].startswith("-"):
            options.setdefault(words[1], set()).update(found)
    assert {"run", "plan", "doctor", "generate-qa", "export"} <= set(options)
    for verb, named in options.items():
        _, command = command_of(verb)
        assert command, f"dataengine has no verb {verb}"
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert named <= known | {"--help"}, verb


def test_every_command_of_a_block_is_read_with_all_it_needs() -> None:
    """Values have the right type, and what a verb needs is given; nothing is run."""
    shown = [shlex.split(line) for line in block_commands() if line.startswith("dataengine ")]
    assert len(shown) > 20
    for words in shown:
        group, command = command_of(words[1])
        arguments = repeat_list_options(words[2:])
        try:
            parsed = command.make_context(
                words[1], arguments, parent=group.make_context("dataengine", [words[1]])
            )
        except click.exceptions.Exit:  # of --help
            continue
        assert not parsed.args


def test_every_file_of_the_project_that_a_command_names_exists() -> None:
    named = {word for line in block_commands() for word in line.split() if OURS.match(word)}
    assert {"params/aokvqa.yaml", "params/study.yaml", "tests/replies"} <= named
    assert not {word for word in named if not (PROJECT_ROOT / word).exists()}


def test_every_make_target_exists_and_long_ones_are_run_by_a_test() -> None:
    targets = {line.split()[1] for line in block_commands() if line.startswith("make ")}
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    assert not {target for target in targets if f"\n{target}: " not in makefile}
    assert targets <= RUN_BY.keys()
    for test, text in RUN_BY.values():
        assert text in (PROJECT_ROOT / test).read_text(encoding="utf-8"), test


def test_every_set_names_a_parameter() -> None:
    configs = {step.name: step.config for step in STEPS}
    sets = re.findall(r"--set ([a-z_]+)\.(\w+)=", "\n".join(page.read_text() for page in PAGES))
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
