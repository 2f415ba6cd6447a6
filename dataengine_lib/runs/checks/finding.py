"""One line of a check before a run: of `dataengine doctor`, and of the run itself where it is bad."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warn", "bad"]  # bad will stop a run, warn may


@dataclass(frozen=True)
class Finding:
    """A mark and a line; `subject` is what was looked at."""

    mark: Mark
    subject: str
    message: str
