"""pyproject.toml, constraints.txt, environment.yml and the Makefile agree."""

import os
import re
import subprocess
import tomllib
from importlib import metadata
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from project import PROJECT_ROOT

from dataengine_lib import __version__
from dataengine_lib.errors import install_command

# The extras that tests need: `make test` installs them, `make demo` none.
DEV_EXTRAS = ("dev", "lab", "ray")
# What torch brings for one kind of accelerator only; pinned by torch's own version.
ACCELERATOR = re.compile(r"^(nvidia-|cuda-|triton|intel-|pytorch-triton)")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = (PROJECT_ROOT / "constraints.txt").read_text().splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", row) for row in rows), (
        "exact, no paths, no +cpu"
    )
    return {
        canonicalize_name(name): Version(version)
        for name, _, version in (row.partition("==") for row in rows)
    }


def installed(project: dict[str, Any]) -> list[str]:
    """What `make test` installs."""
    extras = project["optional-dependencies"]
    return [
        line for lines in (project["dependencies"], *(extras[name] for name in DEV_EXTRAS)) for line in lines
    ]


def test_constraints_pin_every_dependency_within_its_bounds(
    project: dict[str, Any], pins: dict[str, Version]
) -> None:
    for line in installed(project):
        requirement = Requirement(line)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_constraints_pin_what_the_dependencies_bring(
    project: dict[str, Any], pins: dict[str, Version]
) -> None:
    waiting = [Requirement(line) for line in installed(project)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or ACCELERATOR.match(name):
            continue
        seen.add((name, extras))
        assert name in pins, f"{name} is installed by make but not pinned"
        for line in metadata.requires(name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in extras or {""}
            ):
                waiting.append(inner)


def test_conda_installs_this_package_with_its_clip_extra(project: dict[str, Any]) -> None:
    environment = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    assert pip == ["-c constraints.txt", "-e .[clip,lab]"], "dependencies stand in pyproject.toml only"
    assert "clip" in project["optional-dependencies"]
    python = next(line.partition("=")[2] for line in conda if line.startswith("python="))
    assert Version(python) in SpecifierSet(project["requires-python"])
    assert {re.split("[=<>]", line)[0] for line in conda} == {"python", "pip", "git"}


def test_what_only_tests_need_is_pinned_and_kept_apart(pins: dict[str, Version]) -> None:
    """Installed without dependencies, so that what these need must be there already."""
    lines = (PROJECT_ROOT / "tests" / "packages.txt").read_text().splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[0-9.]+", str(row.specifier)) for row in rows), "exact versions"
    assert {"openai-clip", "faiss-cpu"} <= {row.name for row in rows}
    assert not {canonicalize_name(row.name) for row in rows} & pins.keys()
    assert {"regex", "tqdm", "wcwidth", "numpy", "packaging"} <= pins.keys()
    made = subprocess.run(
        ["make", "-n", "test"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    if "packages.txt" in made.stdout:  # not installed yet
        assert "--no-deps --target .venv/test-packages -r tests/packages.txt" in made.stdout


def lab_command() -> str:
    """`make lab` on one line; reports/ and params/ can be reached from the notebooks it begins with."""
    done = subprocess.run(["make", "-n", "lab"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.replace("\\\n", " ").split())


def test_make_has_its_targets_and_ci_calls_one() -> None:
    for target in ("demo", "test", "lab", "lint", "bench"):
        done = subprocess.run(
            ["make", "-n", target], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        )
        assert ".venv/bin/" in done.stdout
    assert lab_command().endswith(" --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/start.md")
    assert f'JUPYTER_CONFIG_PATH="{PROJECT_ROOT}/.jupyter$' in lab_command()
    script = PROJECT_ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec make test")


def test_a_demo_installs_no_extra(project: dict[str, Any]) -> None:
    """On a fresh clone; what is installed here does not matter."""

    def installs(target: str) -> list[str]:
        # all files count as changed, as if nothing were installed
        made = subprocess.run(
            ["make", "-B", "-n", target], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        )
        return re.findall(r'pip install .*-e "(.*)"', made.stdout)

    assert (installs("demo"), installs("study"), installs("lab")) == (["."], ["."], [".[lab]"])
    assert installs("lint") == [f".[{','.join(DEV_EXTRAS)}]"]
    assert set(DEV_EXTRAS) <= project["optional-dependencies"].keys()


def test_licence_and_changelog(project: dict[str, Any]) -> None:
    licence = (PROJECT_ROOT / "LICENSE").read_text()
    assert "Apache License" in licence and "Version 2.0, January 2004" in licence
    assert project["license"] == "Apache-2.0"
    assert f"## {__version__}" in (PROJECT_ROOT / "CHANGELOG.md").read_text()


def test_every_install_command_names_an_extra_and_the_pins(project: dict[str, Any]) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT_ROOT / "dataengine_lib").rglob("*.py")]
    named = {
        extra for source in sources for extra in re.findall(r"install_command\([\"'](.+?)[\"']\)", source)
    }
    assert {"clip", "ray", "local-llm", "dev", "lab"} <= named <= set(project["optional-dependencies"])
    assert install_command("clip") == 'pip install -c constraints.txt -e ".[clip]"'
    # no other place writes such a command out
    assert not [source for source in sources if re.search(r"pip install [^\n]*\[(?!\{extra)", source)]
