"""Turns a step's Config into the options of its `dataengine` verb (all steps): same names, same checks."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic_core import PydanticUndefined

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError

Values = dict[str, Any]


def verb(
    config: type[StepConfig],
    name: str,
    run: Callable[[Any], None],
    *,
    renamed: dict[str, str] | None = None,
    complete: Callable[[Values], Values] = lambda given: given,
) -> Callable[..., None]:
    """A function whose options are the fields of `config`; typer makes the command from its signature.

    Values are handed to the Config as text, so that a wrong one is answered as in a YAML. `renamed` gives a
    field another option name; `complete` may add to what was given before the Config sees it.
    """
    renamed = renamed or {}
    numbered = {field for field, info in config.model_fields.items() if get_origin(info.annotation) is dict}
    annotations: dict[str, Any] = {}
    flags: dict[str, str] = {}
    for field, info in config.model_fields.items():
        default = info.get_default(call_default_factory=True)
        kind, metavar = _option_type(info.annotation)
        note = [info.description or ""]
        if default is PydanticUndefined:
            note.append("[required]")
        elif default not in (None, [], {}, False):
            note.append(f"[default: {_short(default)}]")
        flag = renamed.get(field, "--" + field.replace("_", "-"))
        if kind == bool | None:
            flag = f"{flag}/--no-{flag.removeprefix('--')}"
        option = typer.Option(flag, help=" ".join(filter(None, note)), metavar=metavar, show_default=False)
        annotations[field] = Annotated[kind, option]
        flags[field] = flag

    def command(**values: Any) -> None:
        given = {
            field: _pairs(value, flags[field]) if field in numbered else value
            for field, value in values.items()
            if value not in (None, [])
        }
        run(config.read(complete(given), f"dataengine {name}"))

    kind_ = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(field, kind_, default=None, annotation=a) for field, a in annotations.items()]
    )
    command.__annotations__ = annotations
    return command


def _option_type(annotation: Any) -> tuple[Any, str | None]:
    """What typer reads an option as, and the word that help shows for its value."""
    inner = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    if get_origin(annotation) is dict:
        return list[str] | None, "NAME=VALUE…"
    if get_origin(annotation) is list:
        return list[str] | None, "VALUE…"
    if annotation is bool:
        return bool | None, None
    words = {Path: "PATH", int: "N", float: "X", str: "TEXT"}
    choices = [part for part in inner if isinstance(part, str)]
    return str | None, "|".join(choices) if choices else words.get(inner[0], "TEXT")


def _pairs(words: list[str], option: str) -> Values:
    """`NAME=VALUE` words, or one JSON object, as a dict. Raises ParameterError for anything else."""
    found: Values = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        if word.lstrip().startswith("{"):
            try:
                found |= json.loads(word)
            except ValueError as error:
                raise ParameterError(f"{option}: not valid JSON ({error}): {word}") from error
        elif equals and name:
            found[name] = value
        else:
            raise ParameterError(f"{option}: write NAME=VALUE, for example image_scene=40 (given: {word})")
    return found


def _short(default: Any) -> str:
    values = default if isinstance(default, list) else [default]
    return " ".join(value.name if isinstance(value, Path) else str(value) for value in values)


def spread(arguments: list[str], many: set[str]) -> list[str]:
    """`--train-data A B` as `--train-data A --train-data B`, for the options in `many`."""
    result: list[str] = []
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument in many else ""
            result.append(argument)
        elif option and result[-1] != option:
            result += [option, argument]
        else:
            result.append(argument)
    return result
