"""After step 4: a data set's entry put into the config of a MiniGPT-4 training, whose other lines stay as they are."""

import copy
import json
import re
from pathlib import Path
from typing import Any

from dataengine_lib.core.user_files.yaml_file import parse_yaml
from dataengine_lib.errors import ParameterError

_SECTION = re.compile(r"\ufeff?datasets:\s*(#.*)?")  # matches the line `datasets:  # what is trained on`


def with_entry(file: Path, text: str, name: str, entry: dict[str, Any]) -> str:
    """The text of a train config with `entry` as its data set `name`, in the place of an earlier one of that name.

    Images get the size of the other training sets. Raises ParameterError when the text cannot be changed in a way that
    leaves all else as it is.
    """
    before = _parsed(file, text)
    entry = copy.deepcopy(entry)
    entry["vis_processor"]["train"]["image_size"] = _image_size(before["datasets"], name)
    if before["datasets"].get(name) == entry:
        return text
    after = _replaced(file, text, name, entry)
    wanted = before | {"datasets": before["datasets"] | {name: entry}}
    if _parsed(file, after) != wanted:
        raise ParameterError(
            f"{file}: its section datasets is written in a form that cannot be extended safely; add the entry of "
            "train_config_entry.yaml by hand"
        )
    return after


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        content = parse_yaml(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise ParameterError(f"{file}: is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("datasets"), dict):
        raise ParameterError(f"{file}: has no section datasets, so it is no config of a training")
    return content


def _image_size(datasets: dict[str, Any], name: str) -> int:
    for other, settings in datasets.items():
        try:
            size = settings["vis_processor"]["train"]["image_size"]
        except (KeyError, TypeError):
            continue
        if other != name and isinstance(size, int):
            return size
    return 224  # MiniGPT-4's own


def _replaced(file: Path, text: str, name: str, entry: dict[str, Any]) -> str:
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if _SECTION.fullmatch(line.rstrip())), None)
    if start is None:
        raise ParameterError(
            f"{file}: datasets: is not a line of its own; write it so, or add the entry by hand"
        )
    # up to the next key of the top level
    end = next((i for i in range(start + 1, len(lines)) if _indent(lines[i]) == 0), len(lines))
    depth = next((_indent(line) for line in lines[start + 1 : end] if _indent(line) is not None), 2) or 2
    first = next(
        (
            i
            for i in range(start + 1, end)
            if re.fullmatch(rf" {{{depth}}}{name}:\s*(#.*)?", lines[i].rstrip())
        ),
        None,
    )
    if first is None:
        place, last = _after_content(lines, start, end), None
    else:
        next_key = next((i for i in range(first + 1, end) if (_indent(lines[i]) or 99) <= depth), end)
        place, last = first, _after_content(lines, first, next_key)
    line_end = "\r\n" if "\r\n" in text else "\n"
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += line_end
    written = [" " * depth + f"{name}:" + line_end, *_yaml_lines(entry, depth + 2, line_end)]
    return "".join([*lines[:place], *written, *lines[place if last is None else last :]])


def _yaml_lines(values: dict[str, Any], depth: int, line_end: str) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [" " * depth + f"{key}:" + line_end, *_yaml_lines(value, depth + 2, line_end)]
        else:
            # JSON is YAML
            lines.append(" " * depth + f"{key}: {json.dumps(value)}" + line_end)
    return lines


def _indent(line: str) -> int | None:
    """The number of spaces before a line's content; None for an empty line or a comment."""
    content = line.strip()
    return None if not content or content.startswith("#") else len(line) - len(line.lstrip(" "))


def _after_content(lines: list[str], start: int, end: int) -> int:
    """The place behind the last line of lines[start:end] that is no empty line and no comment."""
    return max(i for i in range(start, end) if _indent(lines[i]) is not None) + 1
