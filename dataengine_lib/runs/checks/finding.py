"""One line of a check before a run: of `dataengine doctor`, and of the run itself where it is bad."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`bad` will stop a run, `warn` may; `subject` is what was looked at."""

    mark: Literal["ok", "warn", "bad"]
    subject: str
    message: str
