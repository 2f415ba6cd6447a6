"""Step 0: the teacher's reply about the types of a batch of questions, and the schema that it is held to."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dataengine_lib.core.text import one_line, underscored
from dataengine_lib.replies.json_reply import objects_in, strict_object

# matches "1: image_scene", "- **1**: `image_scene`" and "Question 1 - IMAGE_SCENE"
_NUMBERED_LINE = re.compile(r"^\W*(?:question|item)?\s*(\d+)\W+(\w.*)$", re.IGNORECASE)
# what begins a remark behind a type: "image_scene (a beach)", "image_scene - it asks for the place"
_REMARK = re.compile(r"[(,;:.]|\s[-–—]")
_SHOWN_CHARACTERS = 60  # of a name that is not a type


def types_schema(names: list[str]) -> dict[str, Any]:
    """The JSON schema of a reply: one of the types `names` for each question, by its number in the prompt."""
    item = strict_object(id={"type": "integer"}, question_type={"type": "string", "enum": names})
    return strict_object(types={"type": "array", "items": item})


def parse_types(text: str, names: list[str]) -> tuple[dict[int, str], Counter[str]]:
    """The types in a reply by question number, and how often it gave each name that is not a type.

    Reads the objects of `types_schema` and `number: type` lines; bullets, bold, capitals, spaces for
    underscores and a remark behind the type are ignored. A number with two different types gets none.
    """
    legal = {underscored(name): name for name in names}
    types: dict[int, str] = {}
    illegal: Counter[str] = Counter()
    for number, words in _numbered(text):
        found = legal.get(underscored(words)) or legal.get(underscored(_REMARK.split(words)[0]))
        if found is None:
            illegal[one_line(words)[:_SHOWN_CHARACTERS]] += 1
        elif types.setdefault(number, found) != found:
            # an empty name, which no later mention of the number replaces
            types[number] = ""
    return {number: name for number, name in types.items() if name}, illegal


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    # JSON first, also of a reply that was cut off; then lines, in whatever text stands around.
    for item in objects_in(text):
        if re.fullmatch(r"\d{1,9}", str(item.get("id"))) and "question_type" in item:
            yield int(item["id"]), str(item["question_type"])
    for line in text.splitlines():
        if match := _NUMBERED_LINE.match(line):
            yield int(match[1]), match[2]
