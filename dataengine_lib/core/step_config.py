"""The base of every step's Config (all steps): an unknown name is an error that names the nearest valid one."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from dataengine_lib.core.notebook_folder import enter_start_folder
from dataengine_lib.core.secrets.given_values import papermill_parameters, refuse_secrets
from dataengine_lib.core.text import nearest_name, shown, shown_key
from dataengine_lib.errors import ParameterError

# papermill writes its own copy of the notebook after each cell, and again when all are done: no cell can clean it
_SECRET_IN_NOTEBOOK = "; the notebook that papermill writes holds it all the same: delete that file"
_PYTHON_TYPE = re.compile(
    r" for <class '[\w.]+'>"
)  # matches the end of "not a valid path for <class 'pathlib.Path'>"


class StepConfig(BaseModel):
    """A step's parameters; the field names are the notebook's parameters and the YAML section's keys."""

    # use_attribute_docstrings: the text below a field is its description, which --help shows
    model_config = ConfigDict(
        extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @classmethod
    def read(cls, values: dict[str, Any], where: str) -> Self:
        """Build the Config from `values`, found at `where` (a file and section, or a command).

        Raises ParameterError with one line per wrong key, naming it and the nearest valid one.
        """
        refuse_secrets(values, where)
        for name, value in values.items():
            for text in _texts(value):
                # no path has one, and what opens it raises an error of its own kind
                if "\0" in text:
                    raise ParameterError(
                        f"{where}: {name}: holds a null byte (given: {text!r}); type it once more"
                    )
        try:
            return cls(**values)
        except ValidationError as error:
            # a value that fits none of a parameter's types has a problem for each of them, and one line for all
            by_key: dict[str, list[Any]] = {}
            for problem in error.errors():
                by_key.setdefault(cls._key(problem), []).append(problem)
            # a list that is wrong inside is no value of the parameter's other types either, which goes without saying
            inner = [key for key in by_key if not any(other.startswith(f"{key}.") for other in by_key)]
            raise ParameterError("\n".join(cls._message(key, by_key[key], where) for key in inner)) from error

    @classmethod
    def _key(cls, problem: Any) -> str:
        """`train_data.1`, `targets.image_scene`, `base_data.0.file`: the parameter, with the place inside its value."""
        name, *rest = problem["loc"] or ("",)
        field = cls.model_fields.get(name)
        # else a text before a number is pydantic's name of one of several types: `workers`, `int`
        keys = field is not None and get_origin(field.annotation) is dict
        parts = []
        for part in rest:
            keys = keys or isinstance(part, int)
            parts += [shown_key(part)] if keys else []
        return ".".join([shown_key(name), *parts])

    @classmethod
    def _keys_of(cls, loc: tuple[Any, ...]) -> list[str]:
        """The valid keys where a problem is: the parameters, or the fields of the model in a parameter's list."""
        if len(loc) == 1:
            return list(cls.model_fields)
        return list(next(_models(cls.model_fields[loc[0]].annotation)).model_fields)

    @classmethod
    def _message(cls, key: str, problems: list[Any], where: str) -> str:
        """One line for pydantic's problems with one parameter; without a `key` they are about several at once."""
        problem = problems[0]
        if problem["type"] == "extra_forbidden":
            outer, _, last = key.rpartition(".")
            near = nearest_name(last, cls._keys_of(problem["loc"]))
            return f"{where}: unknown key {key!r}; nearest valid key: {f'{outer}.{near}'.lstrip('.')!r}"
        if problem["type"] == "missing":
            return f"{where}: {key} is needed; give it"
        # pydantic puts "Value error, " before the messages of our own validators
        texts = [_PYTHON_TYPE.sub("", one["msg"].removeprefix("Value error, ")) for one in problems]
        text = ", or ".join([texts[0], *(one.removeprefix("Input should be ") for one in texts[1:])])
        if not key:  # the input is the whole configuration
            return f"{where}: {text}"
        return f"{where}: {key}: {text} (given: {shown(problem.get('input'))})"

    @classmethod
    def from_notebook(cls, names: dict[str, Any]) -> Self:
        """Build the Config from a notebook's `globals()`: every parameter is a variable of the same name.

        Changes to the folder in which relative paths start (see `enter_start_folder`). Raises ParameterError for a wrong
        value, and when the notebook's defaults name example files that are not there.
        """
        enter_start_folder(names, cls.model_fields)
        given = {name: names[name] for name in cls.model_fields if name in names}
        injected = papermill_parameters(names)
        refuse_secrets(injected, "the parameters cell", advice=_SECRET_IN_NOTEBOOK)
        if not Path("data_demo").is_dir():
            for name, value in given.items():
                for text in _texts(value):
                    if Path(text).parts[:1] == ("data_demo",):
                        raise ParameterError(
                            f"the parameters cell: {name}: {text} does not exist below {Path.cwd().name}/; "
                            "data_demo, the example of the defaults, comes with the repository; give files of your own, "
                            "or start in the folder that holds it (papermill --cwd DIR)"
                        )
        return cls.read(given, "the parameters cell")


def changed_parameters(config: StepConfig, names: Iterable[str]) -> list[str]:
    """Those of `names` that have another value than their default; a notebook gives every parameter."""
    defaults = {
        name: type(config).model_fields[name].get_default(call_default_factory=True) for name in names
    }
    return [name for name, default in defaults.items() if getattr(config, name) != default]


def _texts(value: Any) -> Iterator[str]:
    """The texts and paths in a parameter's value."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside a type: M of `Path | list[M] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
