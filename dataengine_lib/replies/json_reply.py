"""Steps 0, 1, 3 and 4: JSON in replies, and the letter of a choice as JSON: its schema and what reads it."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice

# where a JSON object or list can begin: '{"id"' · '[{"id"' · '["dog"', not "{x}", "{{", "[1]" or "[stop]"
_BEGINS = re.compile(r"\{\s{0,99}\"|\[\s{0,99}[\"{]")
_MOST_BROKEN = (
    64  # places that look like JSON and are none, before the rest of a reply is not searched any more
)
_DEEPEST = 6  # objects and lists around an answer
_LETTER_FIELDS = ("letter", "option", "label", "choice")
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


def _answers_in(value: Any, depth: int) -> Iterator[Any]:
    """What stands under `answer` in a JSON value, in objects and lists of any kind, in its order."""
    if isinstance(value, dict) and depth:
        if "answer" in value:
            yield value["answer"]
        else:
            for one in value.values():
                yield from _answers_in(one, depth - 1)
    elif isinstance(value, list) and depth:
        for one in value:
            yield from _answers_in(one, depth - 1)


def structured_words(text: str) -> str | None:
    """The answer in a reply's JSON to a question without options, a number as it was written; None where there is none."""
    answers = [answer for value in json_values(text) for answer in _answers_in(value, _DEEPEST)]
    answer = answers[-1] if answers else None
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return answer if isinstance(answer, str) else None


def structured_answer(text: str, choices: Sequence[str]) -> str | None:
    """The answer in a reply's JSON, None where there is none.

    A letter that is also an option's text is returned with its own option, `(A) B`, so that it is read as a letter.
    So is a number in place of a letter that can mean one option only.
    """
    answers = [answer for value in json_values(text) for answer in _answers_in(value, _DEEPEST)]
    answer = answers[-1] if answers else None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, dict):  # {"answer": {"letter": "B", "text": "cat"}}
        answer = next((answer[name] for name in _LETTER_FIELDS if name in answer), None)
    if isinstance(answer, NumberText):
        places = meant_by_number(answer, choices)
        answer = LETTERS[places.pop()] if len(places) == 1 else None
    if not isinstance(answer, str) or not any(map(str.isalnum, answer)):
        return None
    index = LETTERS.find(answer) if len(answer) == 1 else -1
    if 0 <= index < len(choices) and written_choice(answer, choices) != index:
        return f"({answer}) {choices[index]}"
    return answer
