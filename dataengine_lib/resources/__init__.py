"""Prompts, category sets and prices that ship inside the package (steps 0 to 4), each found by its name.

`prompts/*.j2` and `categories/*.yaml` are the built-in values of the parameters `template` and `categories`;
`prices.yaml` is the price table where `prices` is not given. They lie beside this file, in a checkout as in a
wheel. Knows nothing of the steps that read them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_FOLDER = Path(__file__).parent
PRICES = _FOLDER / "prices.yaml"


@dataclass(frozen=True)
class BuiltIns:
    """The built-in files that a parameter can name, beside files of the user's own.

    In a Config the parameter is declared `Annotated[str | Path, CATEGORY_SETS]`: a built-in name stays a `str`
    (it is the same on every machine), any other text becomes the `Path` of the user's file.
    """

    folder: str
    suffix: str
    names: tuple[str, ...]

    def file(self, choice: str | Path) -> Path:
        """The file of a built-in name; any other value is a path already."""
        return _FOLDER / self.folder / f"{choice}{self.suffix}" if choice in self.names else Path(choice)

    def hint(self) -> str:
        """What an error about a missing file says: the names to choose from."""
        return f"give a file or a built-in name: {', '.join(self.names)}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic for a field that has this object in its annotation."""
        return core_schema.no_info_plain_validator_function(self._name_or_path)

    def _name_or_path(self, value: Any) -> str | Path:
        if not isinstance(value, str | Path):
            raise ValueError(self.hint())
        return value if value in self.names else Path(value)


CATEGORY_SETS = BuiltIns("categories", ".yaml", ("v1", "seed_bench", "mmbench", "mmbench_l3", "mme"))
# Step 2: text alone as MLLM-DataEngine v1, with a short answer as v2, or with the image itself.
QUERY_PROMPTS = BuiltIns("prompts", ".j2", ("v1", "v2", "vision"))
CLASSIFY_PROMPTS = BuiltIns("prompts", ".j2", ("classify",))
READER_PROMPTS = BuiltIns("prompts", ".j2", ("second_reader", "blind_reader"))
