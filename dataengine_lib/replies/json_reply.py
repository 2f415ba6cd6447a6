"""Steps 0, 1, 3 and 4: JSON in replies, and the letter of a choice as JSON: its schema and what reads it."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice

_INNERMOST = re.compile(r"\{[^{}]*\}")  # matches {"id": 1} inside {"types": [{"id": 1}]}
# where a JSON object or list can begin: '{"id"' · '[{"id"' · '["dog"', not "{x}", "[1]" or "[stop]"
_BEGINS = re.compile(r"[{\[]\s{0,99}[\"{]")
_MOST_BROKEN = (
    64  # places that look like JSON and are none, before the rest of a reply is not searched any more
)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")  # matches "3" · "-2.5" · "1,000"


class NumberText(str):
    """A number of a JSON reply as it was written: `1.50` stays `1.50`, and a million digits are no error."""

    __slots__ = ()


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


def json_values(reply: str) -> list[Any]:
    """The JSON objects and lists of a reply in their order, also in code fences and between words.

    The whole reply where it is JSON, else what stands behind its reasoning; of an object that was cut off, the whole
    ones inside it. Numbers are NumberText; a field that an object has twice with different values is None. Line ends
    inside strings are allowed.
    """
    with suppress(ValueError, RecursionError):
        return [_DECODER.decode(reply)]
    text = after_reasoning(reply)[0]
    found, place, broken = [], 0, 0
    while broken < _MOST_BROKEN and (begin := _BEGINS.search(text, place)):
        try:
            value, place = _DECODER.raw_decode(text, begin.start())
            found.append(value)
        except (ValueError, RecursionError):
            place, broken = begin.start() + 1, broken + 1
    return found


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object by name; None for one that it has twice with different values."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        for name, value in pairs:
            if value != fields[name]:
                fields[name] = None
    return fields


_DECODER = json.JSONDecoder(
    object_pairs_hook=unique_fields, parse_int=NumberText, parse_float=NumberText, strict=False
)


def meant_by_number(number: str, choices: Sequence[str]) -> set[int]:
    """The indices of the choices that a number in place of an answer can mean.

    It may be a choice's text or its place, counted from 0 or from 1: of four animals, 0 is the first and 4 the last,
    and 2 may be either of two. Where all choices are numbers, it has to be the text of one.
    """
    keys = [choice_key(choice) for choice in choices]
    found = {index for index, key in enumerate(keys) if key == choice_key(number)}
    if not found and all(map(_NUMBER.fullmatch, keys)):
        return set()
    if number.isascii() and number.isdigit() and len(number) < 3:
        found |= {place for place in (int(number), int(number) - 1) if 0 <= place < len(choices)}
    return found


def letter_schema(choices: Sequence[str], may_pass: bool = True) -> dict[str, Any]:
    """The strict JSON schema of an answer: a choice's letter or, with `may_pass`, CANNOT_TELL."""
    more = [CANNOT_TELL] if may_pass else []
    return strict_object(answer={"type": "string", "enum": [*LETTERS[: len(choices)], *more]})


def structured_answer(text: str, choices: Sequence[str]) -> str | None:
    """The answer in a reply's JSON, None where there is none.

    A letter that is also an option's text is returned with its own option, `(A) B`, so that it is read as a letter.
    So is a number in place of a letter that can mean one option only.
    """
    answers = [found["answer"] for found in objects_in(text) if "answer" in found]
    answer = answers[-1] if answers else None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, int) and not isinstance(answer, bool):
        places = meant_by_number(str(answer), choices)
        answer = LETTERS[places.pop()] if len(places) == 1 else None
    if not isinstance(answer, str):
        return None
    index = LETTERS.find(answer) if len(answer) == 1 else -1
    if 0 <= index < len(choices) and written_choice(answer, choices) != index:
        return f"({answer}) {choices[index]}"
    return answer
