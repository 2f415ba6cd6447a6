"""Step 1: what a student, loaded or recorded elsewhere, said of one question."""

from typing import Optional

import msgspec


class Said(msgspec.Struct, frozen=True):
    """What a student said of one question: the option's place (None: cannot tell), and what is known beside it."""

    choice: int | None
    scores: list[float] = []  # one per choice, higher is better; empty: unknown
    written: str = ""  # what was read, for the report
    direct_answer: str | None = None  # None: not asked
    reversed: Optional["Said"] = (
        None  # asked with the options in reverse, told by their own places; None: not asked
    )
