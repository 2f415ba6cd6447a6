"""After step 4: a data set wired into a checkout of MiniGPT-4: config, builder, its import, the entry for a training."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.text import first_named
from dataengine_lib.core.user_files.yaml_file import parse_yaml
from dataengine_lib.errors import ParameterError
from dataengine_lib.exports.minigpt4.patch import FileChange, apply_changes, diff_lines
from dataengine_lib.exports.minigpt4.texts import ENTRY_FILE, MARKER, builder_file, config_place
from dataengine_lib.exports.minigpt4.train_config import with_entry

_BUILDERS = Path("minigpt4", "datasets", "builders")
_LOADER = Path("minigpt4", "datasets", "datasets", "vqa_dataset.py")
_LOADER_CLASS = "AOKVQADataset"


@dataclass(frozen=True)
class Wiring:
    """The checkout to change (none: leave it), the config of the training that gets the data set, whether to change."""

    checkout: Path | None
    train_config: str = ""
    apply: bool = False


def check_wiring(format: str, name: str, wiring: Wiring) -> None:
    """Raise ParameterError for what can be known before the export is written.

    That is a folder that is no checkout of MLLM-DataEngine's MiniGPT-4, a name that it registers itself, an unknown
    train config, or options that do not fit the format.
    """
    root = wiring.checkout
    if root is None:
        if wiring.train_config or wiring.apply:
            raise ParameterError("export: --train-config and --apply need --into, the checkout of MiniGPT-4")
        return
    if format != "minigpt4":
        raise ParameterError("export: --into is for minigpt4; leave it out")
    if not (root / _BUILDERS / "__init__.py").is_file() or not _defines(root / _LOADER, _LOADER_CLASS):
        raise ParameterError(
            f"{root}: is no checkout of MLLM-DataEngine's MiniGPT-4 (v1): {_LOADER} with {_LOADER_CLASS} and "
            f"{_BUILDERS}/__init__.py are needed; check --into"
        )
    own = builder_file(root / _BUILDERS, name)
    for file in sorted((root / _BUILDERS).glob("*.py")):
        if file != own and name in _registered(file):
            raise ParameterError(f"{file}: registers a data set {name!r} already; give another --name")
    _train_config(root, wiring.train_config)


def wire_lines(export: Path, name: str, wiring: Wiring) -> Iterator[str]:
    """Show what the checkout lacks of the data set `name` of an export, as a diff, and apply it if asked to.

    Yields lines for the terminal. Raises ParameterError, before anything is changed, as `check_wiring` does, and for a
    file that cannot be changed safely.
    """
    root = wiring.checkout
    if root is None:
        return
    check_wiring("minigpt4", name, wiring)
    changes = [one for one in _changes(export, name, root, wiring.train_config) if one.before != one.after]
    if not changes:
        yield f"{root}: has the data set {name} already; nothing to change"
        return
    yield from diff_lines(changes, root)
    files = f"{len(changes)} file{'s' * (len(changes) > 1)}"
    if wiring.apply:
        apply_changes(changes)
        yield f"{root}: {files} changed as above"
    else:
        yield f"{root}: nothing is changed yet; add --apply to change {files} as above"


def _changes(export: Path, name: str, root: Path, train_config: str) -> list[FileChange]:
    """In an order in which each part can do without those that follow: the training's entry comes last."""
    own = builder_file(root / _BUILDERS, name)
    config = root / "minigpt4" / config_place(name)
    start, training = root / _BUILDERS / "__init__.py", _train_config(root, train_config)
    entry: dict[str, Any] = parse_yaml((export / ENTRY_FILE).read_text(encoding="utf-8"))["datasets"][name]
    line = f"from minigpt4.datasets.builders import {own.stem}  # noqa: F401"
    return [
        _written(config, (export / config_place(name)).read_bytes()),
        _written(own, builder_file(export, name).read_bytes()),
        _changed(start, _with_import(start, line)),
        _changed(training, with_entry(training, _text(training), name, entry)),
    ]


def _written(file: Path, content: bytes) -> FileChange:
    """A file of ours as a whole."""
    before = file.read_bytes() if file.is_file() else None
    if before is not None and MARKER.encode() not in before:
        raise ParameterError(f"{file}: was not written by dataengine; move it, or give another --name")
    return FileChange(file, before, content)


def _changed(file: Path, text: str) -> FileChange:
    return FileChange(file, file.read_bytes(), text.encode("utf-8"))


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{file}: cannot be read as UTF-8 text ({error}); check --into") from error


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(_text(file).removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ParameterError(f"{file}: is not valid Python ({error}); correct it first") from error


def _defines(file: Path, name: str) -> bool:
    return file.is_file() and any(
        isinstance(one, ast.ClassDef) and one.name == name for one in _tree(file).body
    )


def _registered(file: Path) -> set[str]:
    """The names in `@registry.register_builder("name")` of a file."""
    return {
        str(argument.value)
        for call in ast.walk(_tree(file))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "register_builder"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def _with_import(file: Path, line: str) -> str:
    """The file's text with `line` behind its last import at the top level; as it is where it has the line."""
    text, tree = _text(file), _tree(file)
    wanted = ast.dump(ast.parse(line).body[0])
    if any(ast.dump(one) == wanted for one in tree.body):
        return text
    ends = [one.end_lineno or 0 for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    lines, place = text.splitlines(keepends=True), max(ends, default=0)
    end = "\r\n" if "\r\n" in text else "\n"
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += end
    return "".join([*lines[:place], line + end, *lines[place:]])


def _train_config(root: Path, named: str) -> Path:
    """The config of a training by its path in the checkout, or by its name below `train_configs`."""
    if named and (root / named).is_file():
        return root / named
    known = sorted((root / "train_configs").rglob("*.yaml"))
    found = [file for file in known if named in (file.name, file.stem)]
    if len(found) == 1:
        return found[0]
    names = first_named([str(file.relative_to(root)) for file in (found or known)])
    which = f"{named!r} is the name of {len(found)} configs" if named else "name the config of the training"
    raise ParameterError(
        f"{root}: {which}; give --train-config one of {names or 'its .yaml files, of which there are none'}"
    )
