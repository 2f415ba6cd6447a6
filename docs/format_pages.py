"""Fills the tables and examples of docs/formats from the library's types and data_demo; `make docs` runs it.

A comment before a table, a text or an example says what belongs there:

- `<!-- keys: TYPE -->`: a table of all keys; key, type and default are the type's, the meaning is written by hand
- `<!-- figures: TYPE -->` to `<!-- end -->`: docstring and keys of a type, and of those inside it
- `<!-- example: FILE -->`: the first entries of a file, its long texts and lists cut
- `<!-- example of TYPE -->`: written by hand; a test reads it as the type
"""

import inspect
import json
import re
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from api_page import comments

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "formats"
KEYS = re.compile(r"<!-- keys: ([\w.]+) -->\n\n((?:\|.*\n)*)")
FIGURES = re.compile(r"<!-- figures: ([\w.]+) -->\n.*?<!-- end -->", re.S)
FILE_EXAMPLE = re.compile(r"<!-- example: ([\w./]+) -->\n\n(?:```json\n.*?```\n\n?)?", re.S)
TYPE_EXAMPLE = re.compile(r"<!-- example of ([\w.]+) -->\n\n```json\n(.*?)```", re.S)
_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false", dict: "object", Any: "any"}
_LONGEST = 72  # characters of a text in an example
_MOST = 4  # entries of a list or of an object whose keys are data


def filled(page: str) -> str:
    """The page with its tables and examples as the types and files are now."""
    page = KEYS.sub(_keys, page)
    described: list[type] = []
    page = FIGURES.sub(lambda found: _figures(found, described), page)
    return FILE_EXAMPLE.sub(_example, page).rstrip() + "\n"


def named(name: str) -> type[msgspec.Struct]:
    """The type of a dotted name below dataengine_lib."""
    module, _, found = name.rpartition(".")
    kind: type[msgspec.Struct] = getattr(import_module(f"dataengine_lib.{module}"), found)
    return kind


def structs(annotation: Any) -> list[type[msgspec.Struct]]:
    """The types with keys of their own that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [found for part in get_args(annotation) for found in structs(part)]


def type_words(annotation: Any) -> str:
    """A type in JSON's words: `list of text`, `object of number`, `integer or null`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        kinds = [one for one in arguments if one is not msgspec.UnsetType]
        return " or ".join(dict.fromkeys(map(type_words, kinds)))
    if origin is list:
        return f"list of {type_words(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(map(type_words, arguments))}]"
    if origin is dict:
        return "object" if arguments[1] is Any else f"object of {type_words(arguments[1])}"
    if annotation in (None, NoneType):
        return "null"
    return _NAMES.get(annotation) or f"`{annotation.__name__}`"


def _keys(found: re.Match[str]) -> str:
    kind = named(found[1])
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", found[2], re.M)
    meanings = dict(rows)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        meaning = meanings.get(field.encode_name, "")
        lines.append(f"| `{field.encode_name}` | {type_words(field.type)} | {_default(field)} | {meaning} |")
    return f"<!-- keys: {found[1]} -->\n\n" + "\n".join(lines) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "absent" if value is msgspec.UNSET else f"`{json.dumps(msgspec.to_builtins(value))}`"


def _figures(found: re.Match[str], known: list[type]) -> str:
    """The text of a type and those inside it; a page describes none of the `known` ones twice."""
    parts: list[str] = []
    waiting = [named(found[1])]
    known += waiting
    while waiting:
        kind = waiting.pop(0)
        notes = comments(kind)
        lines = [f"### {kind.__name__}", "", inspect.cleandoc(kind.__doc__ or ""), ""]
        lines += ["| key | type | |", "|---|---|---|"] if notes else ["| key | type |", "|---|---|"]
        for field in msgspec.structs.fields(kind):
            absent = ", or absent" if field.default is msgspec.UNSET else ""
            note = f" {notes.get(field.name, '')} |" if notes else ""
            lines.append(f"| `{field.encode_name}` | {type_words(field.type)}{absent} |{note}")
            new = [one for one in structs(field.type) if one not in known]
            known += new
            waiting += new
        parts.append("\n".join(lines))
    return f"<!-- figures: {found[1]} -->\n\n" + "\n\n".join(parts) + "\n\n<!-- end -->"


def _example(found: re.Match[str]) -> str:
    text = (ROOT / found[1]).read_text(encoding="utf-8")
    value = json.loads(text.splitlines()[0] if found[1].endswith("l") else text)
    block = json.dumps(_shortened(value), ensure_ascii=False, indent=1)
    # a list of numbers or short texts on one line
    block = re.sub(
        r"\[\s+((?:[^\[\]{}\n]{1,30},?\s+){1,6})\]", lambda one: f"[{' '.join(one[1].split())}]", block
    )
    return f"<!-- example: {found[1]} -->\n\n```json\n{block}\n```\n\n"


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    if isinstance(value, list):
        of_objects = bool(value) and isinstance(value[0], dict)
        most = 1 if of_objects else _MOST
        shown = [_shortened(one) for one in value[: most if len(value) <= most else 1 if of_objects else 2]]
        return shown if len(shown) == len(value) else [*shown, "…"]
    if isinstance(value, dict):
        kinds = {tuple(one) if isinstance(one, dict) else type(one) for one in value.values()}
        # keys that are data, such as question types: all values have the same form
        objects = len(value) > 1 and all(isinstance(one, dict) for one in value.values())
        is_map = len(kinds) == 1 and (objects or len(value) > _MOST)
        shown_keys = list(value)[: 1 if objects else 2] if is_map else list(value)
        return {key: _shortened(value[key]) for key in shown_keys} | ({"…": "…"} if is_map else {})
    return value


if __name__ == "__main__":
    for file in sorted(PAGES.glob("*.md")):
        file.write_text(filled(file.read_text(encoding="utf-8")), encoding="utf-8")
