"""The options of a step's `dataengine` verb (all steps): the fields of its Config, with the same names and checks."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dataengine_lib.cli_terminal import completed_from
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.text import shown
from dataengine_lib.errors import ParameterError
from dataengine_lib.resources import BuiltIns

Values = dict[str, Any]  # the options that were given, by field


def config_command(
    config: type[StepConfig],
    name: str,
    run: Callable[[Any], None],
    *,
    option_names: dict[str, str],
    complete: Callable[[Values], Values],
) -> Callable[..., None]:
    """The function from whose signature typer makes the verb `name`: an option for every field of `config`.

    Values reach the Config as text, so that a wrong one gets the same message as in a YAML. `option_names` are those of
    fields whose option has another name; `complete` may add values before the Config checks them.
    """
    flags = {field: option_names.get(field, "--" + field.replace("_", "-")) for field in config.model_fields}
    # required ones first; the sort keeps the order of the others
    fields = sorted(config.model_fields.items(), key=lambda field: not field[1].is_required())
    annotations = {field: _option(info, flags[field]) for field, info in fields}

    def command(**values: Any) -> None:
        # an option that was not given is None, or [] where it takes several values
        given = {field: value for field, value in values.items() if value not in (None, [])}
        for field in given:
            kind = config.model_fields[field].annotation
            if get_origin(kind) is dict:
                given[field] = _pairs(given[field], flags[field])
            elif _may_be_list(kind) and str(given[field]).lstrip().startswith("["):
                given[field] = _json(given[field], flags[field])
        run(config.read(complete(given), f"dataengine {name}"))

    # typer reads options from the signature and the annotations of a function
    keyword = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(field, keyword, default=None, annotation=a) for field, a in annotations.items()]
    )
    command.__annotations__ = annotations
    return command


def _option(field: FieldInfo, flag: str) -> Any:
    """The annotation that typer reads an option from; its help is the docstring below the field."""
    kind, metavar = _option_type(field.annotation)
    default = field.get_default(call_default_factory=True)
    help_parts = [field.description or ""]
    if default is PydanticUndefined:
        help_parts.append("[required]")
    elif default is not False and default not in (None, [], {}, ""):
        help_parts.append(f"[default: {_default_text(default)}]")
    # --direct-answers/--no-direct-answers
    if kind == bool | None:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    text = " ".join(filter(None, help_parts))
    names = [name for one in field.metadata if isinstance(one, BuiltIns) for name in one.names]
    names += _literals(field.annotation)
    complete = completed_from(lambda: names) if names else None
    return Annotated[
        kind, typer.Option(flag, help=text, metavar=metavar, show_default=False, autocompletion=complete)
    ]


def _literals(annotation: Any) -> list[str]:
    """The texts that a type names: `live` and `batch` of `Literal["live", "batch"]`, also inside another type."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [name for part in get_args(annotation) for name in _literals(part)]


def _option_type(annotation: Any) -> tuple[Any, str | None]:
    """What typer reads an option as, and the word that help shows for its value."""
    if get_origin(annotation) is dict:
        return list[str] | None, "NAME=VALUE…"
    if get_origin(annotation) is list:
        return list[str] | None, "VALUE…"
    if annotation is bool:
        return bool | None, None
    # `Path | None` is [Path], `Literal["live", "batch"]` is ["live", "batch"], `int` is [int]
    inner = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    choices = [part for part in inner if isinstance(part, str)]  # of a Literal
    if choices:
        return str | None, "|".join(choices)
    if _may_be_list(annotation):
        return str | None, "PATH|JSON"
    if {str, Path} <= set(inner):  # a built-in name or a file
        return str | None, "NAME|PATH"
    return str | None, {Path: "PATH", int: "N", float: "X"}.get(inner[0], "TEXT")


def _may_be_list(annotation: Any) -> bool:
    """Whether a list is one of several types of a field, as in `Path | list[BaseData] | None`; an option has it as JSON."""
    return any(get_origin(part) is list for part in get_args(annotation))


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ParameterError(f"{option}: not valid JSON ({error}): {shown(text)}") from error


def _pairs(words: list[str], option: str) -> Values:
    """`NAME=VALUE` words, or one JSON object, as a dict. Raises ParameterError for anything else."""
    found: Values = {}
    for word in words:
        # at the last =, so that a name may hold one: `a=b=40` sets `a=b` to 40
        name, equals, value = word.rpartition("=")
        if word.lstrip().startswith("{"):
            found |= _json(word, option)
        elif equals and name:
            found[name] = value
        else:
            raise ParameterError(
                f"{option}: write NAME=VALUE, for example image_scene=40 (given: {shown(word)})"
            )
    return found


def _default_text(default: Any) -> str:
    values = default if isinstance(default, list) else [default]
    return " ".join(value.name if isinstance(value, Path) else str(value) for value in values)
