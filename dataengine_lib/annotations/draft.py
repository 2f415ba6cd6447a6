"""Step 3, annotations teacher: a question with its proven answer, and the small grammar that questions share."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from dataengine_lib.annotations.vocabulary import PLURAL_FORM

if TYPE_CHECKING:
    from dataengine_lib.annotations.facts import Facts


@dataclass(frozen=True)
class Draft:
    """A question with its proven answer and three answers that are proven wrong."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    why: str


Writer = Callable[["Facts", Random], Draft | None]


def is_are(name: str) -> str:
    """The verb that goes with a category's name."""
    return "are" if name in PLURAL_FORM else "is"


def a(name: str) -> str:
    """The name with its indefinite article, if it takes one."""
    if name in PLURAL_FORM or name == "broccoli":
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
