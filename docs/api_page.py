"""Writes docs/api.md from the docstrings of the library's public names; `make docs` runs it."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dataengine_lib.runs.workflow import STEPS, STUDY

PAGE = Path(__file__).with_name("api.md")
_STEPS = Path(__file__).parents[1] / "dataengine_lib" / "steps"
_INTRODUCTION = """# API

The functions and classes to call from Python. Every function reads files and writes files, as its verb and its notebook do;
nothing runs on import. Parameters of a Config have the names of the YAML's keys and of the verb's options
(`batch_size`, `--batch-size`). A wrong parameter raises `ParameterError`, anything else that cannot be done
`DataEngineError`; the message is one line that names the file, row or key and the remedy.

```python
from pathlib import Path

from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, compare_rounds

result = compare_rounds(
    CompareRoundsConfig(
        evaluations=[Path("data_demo/aokvqa_eval.json"), Path("data_demo/aokvqa_eval_after.json")],
        output=Path("reports/compared/compare_rounds.json"),
    )
)
result.figures.comparisons[0].overall.gain
```

`make docs` writes this page from the docstrings.
"""
# module -> its public names, after the steps, whose names are all that their modules define
_MORE = {
    "runs.opened.opened_run": ["load_run", "OpenedRun"],
    "runs.parameters": ["read_experiment"],
    "runs.run": ["run_experiment"],
    "runs.compared.compare_runs": ["compare_runs", "ComparedRuns"],
    "runs.bundles.bundle": ["bundle", "Bundle"],
    "studies.read_study": ["read_study"],
    "studies.run_study": ["run_study"],
    "widgets.explore": ["ExploreConfig", "explore", "Explored"],
    "widgets.reviewer": ["Reviewer", "reviewer"],
    "report.tables": ["show_style"],
    "errors": ["DataEngineError", "ParameterError"],
}


def public_names() -> dict[str, list[str]]:
    """The names of the page by module."""
    modules = [step.config.__module__ for step in (*STEPS, STUDY)]
    # those that are no part of a run, such as embed
    for file in sorted(_STEPS.glob("*.py")):
        name = f"dataengine_lib.steps.{file.stem}"
        if name not in modules and file.stem in _defined_in(import_module(name)):
            modules.append(name)
    steps = {name: _defined_in(import_module(name)) for name in modules}
    return steps | {f"dataengine_lib.{name}": names for name, names in _MORE.items()}


def api_page() -> str:
    """The text of the page."""
    parts = [_INTRODUCTION]
    for name, names in public_names().items():
        module = import_module(name)
        parts.append(f"## {name.removeprefix('dataengine_lib.')}\n\n{_text(module)}")
        parts += [_entry(getattr(module, one), name) for one in names]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _defined_in(module: ModuleType) -> list[str]:
    found = [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    return [name for name in found if not name.startswith("_")]


def _entry(value: Any, module: str) -> str:
    name = value.__name__
    lines = [f"### {name}", ""]
    if inspect.isfunction(value):
        return "\n".join([*lines, f"`{name}{_signature(value)}`", "", _text(value)])
    lines += [f"`from {module} import {name}`", "", _text(value), ""]
    if issubclass(value, BaseModel):
        lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_code(type_name(field.annotation))}{_limits(field)} | {_default(field)} | "
            f"{_cell(field.description)} |"
            for key, field in value.model_fields.items()
        ]
        return "\n".join(lines)
    if fields := list(_fields(value)):
        notes = comments(value)
        lines += ["| field | type | |", "|---|---|---|"] if notes else ["| field | type |", "|---|---|"]
        for key, kind in fields:
            note = f" {_cell(notes.get(key))} |" if notes else ""
            lines.append(f"| `{key}` | {_code(type_name(kind))} |{note}")
        lines.append("")
    lines += [f"- {_member(key, member)}" for key, member in vars(value).items() if _is_shown(key, member)]
    return "\n".join(lines).rstrip()


def _fields(value: type) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        yield from ((field.name, field.type) for field in dataclasses.fields(value))
    elif hasattr(value, "__struct_fields__"):
        yield from inspect.get_annotations(value).items()


def comments(value: type) -> dict[str, str]:
    """The comments behind the fields of a class, by field."""
    found = re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(value), re.M)
    return dict(found)


def _is_shown(name: str, member: Any) -> bool:
    if name.startswith("_"):
        return False
    return inspect.isfunction(member) or isinstance(member, property) or hasattr(member, "attrname")


def _member(name: str, member: Any) -> str:
    function = getattr(member, "fget", None) or getattr(
        member, "func", None
    )  # of a property, also a cached one
    shown = f"`{name}`" if function else f"`{name}{_signature(member)}`"
    return f"{shown}: {_text(function or member, one_line=True)}"


def _signature(function: Any) -> str:
    found = inspect.signature(function)
    parts, star = [], False
    for name, one in found.parameters.items():
        if name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            parts, star = [*parts, "*"], True
        default = (
            "" if one.default is one.empty else f" = {getattr(one.default, '__name__', repr(one.default))}"
        )
        parts.append(f"{name}: {type_name(one.annotation)}{default}")
    return f"({', '.join(parts)}) -> {type_name(found.return_annotation)}"


def type_name(annotation: Any) -> str:
    """An annotation as people write it, without modules: `Path | None`, `"all" | "holdout"`."""
    if isinstance(annotation, str | ForwardRef):
        return annotation if isinstance(annotation, str) else annotation.__forward_arg__
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in arguments)
    if origin in (Union, UnionType):
        return " | ".join(map(type_name, arguments))
    if origin is Callable:
        return f"Callable[[{', '.join(map(type_name, arguments[0]))}], {type_name(arguments[1])}]"
    if origin:
        return f"{origin.__name__}[{', '.join(map(type_name, arguments))}]"
    return "None" if annotation in (None, NoneType) else getattr(annotation, "__name__", str(annotation))


def _limits(field: FieldInfo) -> str:
    """`, 0 to 1` or `, at least 1` of a number that has such limits."""
    found = {
        key: f"{getattr(one, key):,g}"
        for one in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if hasattr(one, key)
    }
    if {"ge", "le"} <= found.keys():
        return f", {found['ge']} to {found['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return "".join(f", {words[key]} {value}" for key, value in found.items())


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    return _code(json.dumps(value, ensure_ascii=False, default=str))


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _text(value: Any, one_line: bool = False) -> str:
    """The docstring; the class's own, since a dataclass without one gets its signature."""
    text = inspect.cleandoc(value.__doc__ or "")
    assert text and not text.startswith(f"{getattr(value, '__name__', '')}("), f"{value}: has no docstring"
    return " ".join(text.split()) if one_line else text


if __name__ == "__main__":
    PAGE.write_text(api_page(), encoding="utf-8")
