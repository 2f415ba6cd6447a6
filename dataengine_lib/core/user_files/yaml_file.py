"""YAML that people write (all steps): experiments, category sets, prices; one line names the place of any fault."""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import ParameterError

_MOST_BYTES = 1 << 22  # the built-in tables have up to 10 kB
_MOST_VALUES = 100_000  # with the values that aliases repeat
_MOST_DEPTH = 40
_SURROGATE = re.compile("[\ud800-\udfff]")  # matches what the escape "\ud800" alone stands for


class _PlaceError(Exception):
    """A fault of the text, as `line 3: …`."""


class _Loader(yaml.SafeLoader):
    """YAML's plain values; a date stays text, as every parameter that is one takes it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(file: Path, remedy: str) -> Any:
    """The content of a YAML file; `remedy` is what to do when it cannot be read.

    Raises ParameterError, one line, naming the file and the line: no YAML, a key given twice (both lines), a key that
    is no text, aliases without end, more than one document.
    """
    try:
        content = file.read_bytes()
        if len(content) > _MOST_BYTES:
            raise ParameterError(
                f"{file}: has {len(content):,} bytes, which is no file of settings; {remedy}"
            )
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path, or not UTF-8
        if isinstance(error, UnicodeDecodeError):
            kind = looks_like(content)
            reason = "is not valid YAML: not saved as UTF-8" + ("" if "known" in kind else f"; it {kind}")
        else:
            reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        shown = repr(str(file)) if "\0" in str(file) else file
        raise ParameterError(f"{shown}: {reason}; {remedy}") from error
    try:
        return parse_yaml(text)
    except ValueError as error:
        kind = looks_like(content)
        other = (
            f"; it {kind}"
            if any(word in kind for word in ("LFS", "page", "server's", "binary", "image"))
            else ""
        )
        raise ParameterError(f"{file}: is not valid YAML: {error}{other}") from error


def parse_yaml(text: str) -> Any:
    """The one value of a YAML text. Raises ValueError with the place of the fault, one line."""
    try:
        loader = _Loader(text)  # raises for control characters
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node)
        return loader.construct_document(node)
    except _PlaceError as error:
        raise ValueError(str(error)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        words = one_line(f"{error.context or ''} {error.problem or ''}")
        raise ValueError(f"{place}{words[:200]}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except Exception as error:  # constructors of tags such as !!int raise what Python does
        raise ValueError(one_line(str(error))[:200] or type(error).__name__) from None


def _check(top: Node) -> None:
    """Raise _PlaceError for keys that are given twice or are no text, and for what aliases or nesting make too large."""
    sizes: dict[int, int] = {}  # of nodes that are done: how many values they stand for, aliases followed

    def size(node: Node, depth: int, above: frozenset[int]) -> int:
        if id(node) in above:
            raise _PlaceError(f"{_line(node)}: an alias of the value that it stands in")
        if depth > _MOST_DEPTH:
            raise _PlaceError(f"{_line(node)}: nested too deep")
        if id(node) not in sizes:
            parts: list[Node] = []
            if isinstance(node, MappingNode):
                _check_keys(node)
                parts = [part for pair in node.value for part in pair]
            elif isinstance(node, SequenceNode):
                parts = node.value
            elif _SURROGATE.search(node.value):
                raise _PlaceError(f"{_line(node)}: half of a surrogate pair, which is no character")
            within = above | {id(node)}
            sizes[id(node)] = 1 + sum(size(part, depth + 1, within) for part in parts)
            if sizes[id(node)] > _MOST_VALUES:
                raise _PlaceError(
                    f"{_line(node)}: more than {_MOST_VALUES:,} values, with those that aliases repeat"
                )
        return sizes[id(node)]

    size(top, 0, frozenset())


def _check_keys(node: MappingNode) -> None:
    first: dict[str, Node] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            raise _PlaceError(f"{_line(key)}: a list or a mapping stands where a key should")
        if key.tag == "tag:yaml.org,2002:merge":  # `<<: *defaults`
            continue
        if key.tag != "tag:yaml.org,2002:str":
            raise _PlaceError(
                f"{_line(key)}: the key {key.value[:60] or 'null'} is not text; put it in quotes"
            )
        if key.value in first:
            raise _PlaceError(
                f"line {first[key.value].start_mark.line + 1} and {_line(key)}: the key {key.value[:60]!r} is given "
                "twice; keep one of them"
            )
        first[key.value] = key


def _line(node: Node) -> str:
    return f"line {node.start_mark.line + 1}"
