"""Steps 0, 1 and 2: category sets, the question types that a student is measured by, one YAML file each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.text import nearest_name
from dataengine_lib.core.user_files.yaml_file import read_yaml
from dataengine_lib.errors import ParameterError
from dataengine_lib.resources import CATEGORY_SETS


@dataclass(frozen=True)
class CategorySet:
    """A named, ordered set of question types with a one-line definition each."""

    name: str
    definitions: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The types in the file's order."""
        return list(self.definitions)

    def definition(self, question_type: str) -> str:
        """What a type means; empty for a type outside the set."""
        return self.definitions.get(question_type, "")


def read_categories(choice: str | Path) -> CategorySet:
    """Read a built-in category set, or a file `{name: …, types: {type: definition}}`.

    Raises ParameterError naming the file and the key.
    """
    file = CATEGORY_SETS.file(choice)
    content = read_yaml(file, CATEGORY_SETS.hint())
    types = content.get("types") if isinstance(content, dict) else None
    if not isinstance(types, dict) or not types:
        raise ParameterError(
            f"{file}: `types` must map each question type to its definition, as the built-in ones do"
        )
    wrong = [key for key, text in types.items() if not isinstance(key, str) or not isinstance(text, str)]
    if wrong:
        raise ParameterError(f"{file}: types.{wrong[0]}: the definition must be text; correct the file")
    definitions = {type_name(key): text for key, text in types.items()}
    name = content.get("name", file.stem)
    if not isinstance(name, str):
        raise ParameterError(f"{file}: name: must be text (given: {str(name)[:60]}); put it in quotes")
    return CategorySet(name, definitions)


def type_name(name: str) -> str:
    """The name that a type is compared by: `Identity reasoning` is `identity_reasoning`; punctuation stays."""
    return "_".join(name.strip().lower().split())


def known_type(name: str, types: Iterable[str], where: str) -> str:
    """The one of `types` with this name. Raises ParameterError naming `where` and the nearest type."""
    known = {type_name(kind): kind for kind in types}
    if type_name(name) not in known:
        near = nearest_name(type_name(name), known) if known else "none"
        raise ParameterError(f"{where}: unknown question type {name!r}; nearest: {near!r}")
    return known[type_name(name)]
