"""What every step's Config shares: unknown names are errors, and the nearest valid one is named."""

import difflib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from dataengine_lib.core.notebook_folder import enter_start_folder
from dataengine_lib.errors import ParameterError


class StepConfig(BaseModel):
    """A step's parameters; the field names are the notebook's parameters and the YAML section's keys."""

    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, values: dict[str, Any], where: str) -> Self:
        """Build the Config from `values`, found at `where` (a file and section, or a command).

        Raises ParameterError with one line per wrong key, naming it and the nearest valid one.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise ParameterError(
                "\n".join(cls._line(problem, where) for problem in error.errors())
            ) from error

    @classmethod
    def _line(cls, problem: Any, where: str) -> str:
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=0.0)
            return f"{where}: unknown key {key!r}; nearest valid key: {near[0]!r}"
        if problem["type"] == "missing":
            return f"{where}: {key} is needed; give it"
        return f"{where}: {key}: {problem['msg'].removeprefix('Value error, ')} (given: {problem.get('input')!r})"

    @classmethod
    def from_notebook(cls, names: dict[str, Any]) -> Self:
        """Build the Config from a notebook's `globals()`: every parameter is a variable of the same name.

        Relative paths start where `enter_start_folder` says. Raises ParameterError for a wrong value, and where the
        example files are not there that the notebook's defaults name.
        """
        enter_start_folder(names, cls.model_fields)
        given = {name: names[name] for name in cls.model_fields if name in names}
        for name, value in given.items():
            if str(value).startswith("data_demo") and not Path(value).exists():
                raise ParameterError(
                    f"the parameters cell: {name}: {value} does not exist below {Path.cwd().name}; data_demo, the example "
                    "that the defaults name, comes with the project's repository; give files of your own"
                )
        return cls.read(given, "the parameters cell")
