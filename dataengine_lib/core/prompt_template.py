"""Steps 0, 2 and 4: users' prompt templates, Jinja files that can reach nothing but the values they are filled with."""

from pathlib import Path
from typing import Any

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import ParameterError


class PromptTemplate:
    """The Jinja template in `file`; `names` are the values that it may use, `remedy` what to do when it is missing.

    Raises ParameterError naming the file, and the line of a syntax error.
    """

    def __init__(self, file: Path, names: str, remedy: str) -> None:
        import jinja2

        from dataengine_lib.core.user_files.bounded_template import BoundedEnvironment

        self.file, self._names = Path(file), names
        # an unknown name is an error, and blocks leave no blank lines
        self._environment = BoundedEnvironment(
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        try:
            self._source = self.file.read_text(encoding="utf-8")
            self._template = self._environment.from_string(self._source)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            why = (
                "not UTF-8"
                if isinstance(error, UnicodeDecodeError)
                else getattr(error, "strerror", None) or error
            )
            shown = repr(str(file)) if "\0" in str(file) else file
            raise ParameterError(f"{shown}: cannot be read ({why}); {remedy}") from error
        except jinja2.TemplateSyntaxError as error:
            raise ParameterError(
                f"{file}: line {error.lineno}: {error.message}; names to use: {names}"
            ) from error
        except (
            Exception
        ) as error:  # Python's own limits, such as RecursionError, for a template nested too deep
            raise ParameterError(
                f"{file}: cannot be read as a template ({_reason(error)}); names to use: {names}"
            ) from error

    def render(self, **values: Any) -> str:
        """The template filled with `values`; raises ParameterError when it uses another name, or a value wrongly.

        Also for whatever else it raises, and for a template that never ends.
        """
        import jinja2

        from dataengine_lib.core.user_files.bounded_template import template_line

        self._environment.start()
        try:
            return self._template.render(values)
        except jinja2.TemplateError as error:
            raise ParameterError(
                f"{self.file}: {one_line(str(error.message))[:200]}; names to use: {self._names}"
            ) from error
        except Exception as error:  # what a template computes may raise anything: 1 / 0, 'a' + 1
            raise ParameterError(
                f"{self.file}: {template_line(error)}{_reason(error)}; names to use: {self._names}"
            ) from error

    def reads(self) -> frozenset[str]:
        """The names of values that the template uses."""
        from jinja2 import meta

        return frozenset(meta.find_undeclared_variables(self._environment.parse(self._source)))

    def sets(self, name: str) -> bool:
        """Whether `{% set name = … %}` in the template gives `name` a constant that is true."""
        from jinja2 import nodes

        return any(
            isinstance(line.target, nodes.Name)
            and line.target.name == name
            and isinstance(line.node, nodes.Const)
            and bool(line.node.value)
            for line in self._environment.parse(self._source).find_all(nodes.Assign)
        )


def _reason(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")[:200].rstrip(": ")
