"""Steps 0, 1, 3 and 4: JSON in replies, and the letter of a choice as JSON: its schema and what reads it."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice

_INNERMOST = re.compile(r"\{[^{}]*\}")  # matches {"id": 1} inside {"types": [{"id": 1}]}


def strict_object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with just these properties, in the form that strict output demands.

    Source: OpenAI's structured outputs: every field required, no other allowed.
    """
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def objects_in(text: str) -> list[dict[str, Any]]:
    """The innermost JSON objects of a reply, also in a code fence, between words or before the reply was cut off."""
    found = []
    for match in _INNERMOST.findall(text):
        with suppress(ValueError, RecursionError):  # the lists in an object may be nested too deeply
            found.append(json.loads(match))
    return found


def letter_schema(choices: Sequence[str], may_pass: bool = True) -> dict[str, Any]:
    """The strict JSON schema of an answer: a choice's letter or, with `may_pass`, CANNOT_TELL."""
    more = [CANNOT_TELL] if may_pass else []
    return strict_object(answer={"type": "string", "enum": [*LETTERS[: len(choices)], *more]})


def structured_answer(text: str, choices: Sequence[str]) -> str | None:
    """The answer in a reply's JSON, None where there is none.

    A letter that is also an option's text is returned with its own option, `(A) B`, so that it is read as a letter.
    """
    answers = [found["answer"] for found in objects_in(text) if isinstance(found.get("answer"), str)]
    if not answers:
        return None
    answer: str = answers[-1]
    index = LETTERS.find(answer) if len(answer) == 1 else -1
    if 0 <= index < len(choices) and written_choice(answer, choices) != index:
        return f"({answer}) {choices[index]}"
    return answer
