"""Step 0: the teacher's reply about the types of a batch of questions, and the schema that it is held to."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dataengine_lib.core.text import one_line, underscored
from dataengine_lib.replies.json_reply import json_values, strict_object

# matches "1: image_scene", "- **1**: `image_scene`" and "Question 1 - IMAGE_SCENE"
_NUMBERED_LINE = re.compile(r"^\W*(?:question|item)?\s*(\d{1,9})\W+(\w.*)$", re.IGNORECASE)
# what begins a remark behind a type: "image_scene (a beach)", "image_scene - it asks for the place"
_REMARK = re.compile(r"[(,;:.]|\s[-–—]")
_NUMBER = re.compile(
    r"\W*(?:question|item|q|id)?[\s_#]*(\d{1,9})\W*", re.IGNORECASE
)  # matches "1" · "Question 1" · "q1"
_NUMBERS = ("id", "number", "question_id", "question_number")  # names of a question's number in JSON
_TYPES = ("question_type", "type", "category")
_DEEPEST = 6  # objects and lists around a type
_SHOWN_CHARACTERS = 60  # of a name that is not a type


def types_schema(names: list[str]) -> dict[str, Any]:
    """The JSON schema of a reply: one of the types `names` for each question, by its number in the prompt."""
    item = strict_object(id={"type": "integer"}, question_type={"type": "string", "enum": names})
    return strict_object(types={"type": "array", "items": item})


def parse_types(text: str, names: list[str], count: int = 0) -> tuple[dict[int, str], Counter[str]]:
    """The types in a reply by question number, and how often it gave each name that is not a type.

    Reads JSON, the objects of `types_schema` or other forms of it, and `number: type` lines; bullets, bold, capitals,
    spaces for underscores and a remark behind the type are ignored. A number with two different types gets none. Of
    `count` questions, numbers from 0 to one less are those from 1, and a list of as many types has their order.
    """
    legal = {underscored(name): name for name in names}
    types: dict[int, str] = {}
    illegal: Counter[str] = Counter()
    for number, words in _numbered(text, count):
        found = legal.get(underscored(words)) or legal.get(underscored(_REMARK.split(words)[0]))
        if found is None:
            illegal[one_line(words)[:_SHOWN_CHARACTERS]] += 1
        elif types.setdefault(number, found) != found:
            # an empty name, which no later mention of the number replaces
            types[number] = ""
    return {number: name for number, name in types.items() if name}, illegal


def _numbered(text: str, count: int) -> list[tuple[int, str]]:
    # JSON first, also of a reply that was cut off; else lines, in whatever text stands around.
    values = json_values(text)
    found = [item for value in values for item in _in_json(value, count, _DEEPEST)]
    if not any(isinstance(value, dict | list) for value in values):
        found = [(int(match[1]), match[2]) for match in map(_NUMBERED_LINE.match, text.splitlines()) if match]
    numbers = {number for number, _ in found}
    if numbers == set(range(count)):
        return [(number + 1, words) for number, words in found]
    # counted from 0, but not all of them: which of the others are counted from 1 is not known
    return [] if 0 in numbers and count not in numbers else found


def _in_json(value: Any, count: int, depth: int) -> Iterator[tuple[int, str]]:
    """The numbers and types in a JSON value: `{"id": 1, "question_type": …}` · `{"1": …, "2": …}` · `["1: …", …]`."""
    if not depth:
        return
    if isinstance(value, list):
        texts = [one for one in value if isinstance(one, str)]
        lines = [match for match in map(_NUMBERED_LINE.match, texts) if match]
        yield from ((int(match[1]), match[2]) for match in lines)
        if texts and not lines and len(texts) == len(value) == count:
            yield from enumerate(texts, 1)
        for one in value:
            yield from _in_json(one, count, depth - 1)
    elif isinstance(value, dict):
        numbers = [number for name in _NUMBERS if (number := _number(value.get(name)))]
        kinds = [kind for name in _TYPES if isinstance(kind := _one(value.get(name)), str)]
        if numbers and kinds:
            yield int(numbers[0]), kinds[0]
            return
        for name, one in value.items():
            if (number := _number(name)) and isinstance(kind := _one(one), str):
                yield int(number), kind
            else:
                yield from _in_json(one, count, depth - 1)


def _number(value: Any) -> str:
    """The digits of `1`, `"1"` and `"Question 1"`; empty for anything else."""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else ""


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
