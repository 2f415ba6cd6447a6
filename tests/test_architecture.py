"""docs/architecture.md, CONTRIBUTING.md and the folders agree with each other and with the import contract."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dataengine_lib"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def folders(root: Path) -> Iterator[Path]:
    """`root`'s folders with Python files, at any depth."""
    return (path for path in sorted(root.rglob("*")) if path.is_dir() and any(path.glob("*.py")))


def test_the_map_shows_the_packages_in_the_order_of_the_import_contract() -> None:
    block = ARCHITECTURE.split("```\n")[1]
    shown = [line.split("  ")[0] for line in block.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert shown == layers
    names = {name.strip() for line in shown for name in line.split("|")}
    found = {
        path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert names == found - {"__init__"}


def test_every_package_says_what_it_holds_and_what_it_knows_nothing_of() -> None:
    for folder in folders(LIBRARY):
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert docstring and len(docstring) > 60, folder
        if folder.parent == LIBRARY:
            says = " ".join(docstring.split())
            assert re.search(r"[Kk]nows (no|nothing)|Nothing imports it|Computes nothing", says), folder


def public_names(file: Path) -> Iterator[str]:
    """The classes, functions and constants that a file defines at its top level for other files."""
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        found: list[str] = []
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = [statement.name]
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [name for target in targets for name in ast.walk(target)]
            found = [
                name.id for name in names if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            ]
        yield from (name for name in found if not name.startswith("_"))


def test_a_public_name_stands_for_one_thing_in_the_whole_library() -> None:
    files: dict[str, list[str]] = {}
    for file in sorted(LIBRARY.rglob("*.py")):
        for name in dict.fromkeys(public_names(file)):
            files.setdefault(name, []).append(str(file.relative_to(LIBRARY)))
    assert len(files) > 500
    repeated = {name: places for name, places in files.items() if len(places) > 1}
    assert repeated.keys() <= {"main"}, repeated  # main: where a program starts


def test_no_folder_is_crowded() -> None:
    for folder in [*folders(LIBRARY), *folders(ROOT / "tests")]:
        assert len(list(folder.glob("*.py"))) <= 17, folder


def test_tests_mirror_the_packages() -> None:
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"__pycache__"}
    packages = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    assert mirrored - packages == {"helpers", "benchmarks", "reports", "fuzz", "docs"}
    assert packages - mirrored <= {"resources"}  # held by the tests of what reads them


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+/[\w./]*)`", text)) | set(re.findall(r"\]\(([\w./]+)\)", text))
    assert len(named) > 10
    for path in named:
        places = [ROOT / path, LIBRARY / path, ROOT / "docs" / path]
        assert any(place.exists() for place in places), path


def test_every_how_to_add_has_five_lines_that_name_files() -> None:
    sections = CONTRIBUTING.split("\n## Add ")[1:]
    assert len(sections) == 5
    for section in sections:
        lines = re.findall(r"^\d\. (.+)$", section, re.M)
        assert len(lines) == 5, section
        assert sum("/" in line or ".md" in line for line in lines) >= 4, section


def test_the_make_targets_that_it_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w+)", CONTRIBUTING, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target
