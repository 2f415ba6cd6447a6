"""Step 3, annotations teacher: a question with its proven answer, and the grammar that all questions share."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from dataengine_lib.annotations.vocabulary import ALWAYS_PLURAL

if TYPE_CHECKING:
    from dataengine_lib.annotations.facts import ImageFacts


@dataclass(frozen=True)
class QaDraft:
    """A question with its proven answer, three answers that are proven wrong, and the reason."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    why: str


QaWriter = Callable[["ImageFacts", Random], QaDraft | None]
"""Drafts one question from an image's facts and random numbers; None if they prove none of its kind."""


def is_or_are(name: str) -> str:
    """The verb that goes with a category's name."""
    return "are" if name in ALWAYS_PLURAL else "is"


def with_article(name: str) -> str:
    """The name with its indefinite article, if it takes one."""
    # "scissors" and "broccoli" take none
    if name in ALWAYS_PLURAL or name == "broccoli":
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
