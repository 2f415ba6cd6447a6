"""Steps 1 and 4: a question with choices put to a chat model, which names a letter: as JSON where it can."""

from collections.abc import Sequence
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice
from dataengine_lib.replies.json_reply import objects_in, strict_object


def letter_schema(choices: Sequence[str], may_pass: bool = True) -> dict[str, Any]:
    """The strict JSON schema of an answer: a choice's letter or, with `may_pass`, `cannot tell`."""
    more = [CANNOT_TELL] if may_pass else []
    return strict_object(answer={"type": "string", "enum": [*LETTERS[: len(choices)], *more]})


def structured_answer(text: str, choices: Sequence[str]) -> str | None:
    """The answer in a reply's JSON, None where there is none; a letter that is also an option's text with its option."""
    answers = [found["answer"] for found in objects_in(text) if isinstance(found.get("answer"), str)]
    if not answers:
        return None
    said: str = answers[-1]
    place = LETTERS.find(said) if len(said) == 1 else -1
    if 0 <= place < len(choices) and written_choice(said, choices) != place:
        return f"({said}) {choices[place]}"
    return said
