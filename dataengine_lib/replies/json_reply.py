"""Steps 0, 1, 3 and 4: replies under a JSON schema, and QAs among them in the public text layout that step 4 reads."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dataengine_lib.core.records import LETTERS, options_text
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice
from dataengine_lib.replies.answer_words import behind_thoughts

_STRING = {"type": "string"}
_FLAT = re.compile(r"\{[^{}]*\}")
_ASKS_FOR_SHORT = "\nShort answer: "


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
    """The innermost JSON objects in a reply, also from a code fence, between words or before a cut."""
    found = []
    for match in _FLAT.findall(text):
        with suppress(ValueError):
            found.append(json.loads(match))
    return found


def qa_schema(prompt: str) -> dict[str, Any]:
    """The schema of a QA, with a short answer where the prompt asks for one.

    With `skip` true the reason says why no question was written and the other fields count for nothing.
    """
    short = {"short_answer": _STRING} if _ASKS_FOR_SHORT in prompt else {}
    return strict_object(
        question=_STRING,
        **short,
        choices={"type": "array", "items": _STRING, "minItems": 4, "maxItems": 4},
        answer={"type": "string", "enum": list(LETTERS[:4])},
        explanation=_STRING,
        skip={"type": "boolean"},
        reason=_STRING,
    )


def as_text(reply: str) -> str:
    """A JSON reply in the layout `Question: … Choices: … Answer: … Explanation: …`; any other text as it is.

    Servers that do not keep to the schema put the object, or several, into a list, a code fence or between words.
    Nothing is mended here: a letter outside the choices or a missing choice shows in the text, and step 4 drops it.
    """
    return "\n\n".join(map(_as_text, _qa_objects(reply))) or reply


def _qa_objects(reply: str) -> list[dict[str, Any]]:
    with suppress(ValueError, RecursionError):
        found = json.loads(reply)
        if isinstance(found, dict):
            return [found] if found.keys() & {"question", "skip"} else []
    found = objects_in(behind_thoughts(reply)[0]) if '"question"' in reply else []
    return [one for one in found if one.keys() >= {"question", "choices"}]


def _as_text(found: dict[str, Any]) -> str:
    if found.get("skip") is True:
        return f"Question: Skip\nChoices: Skip\nAnswer: Skip\nExplanation: {_line(found.get('reason')) or 'Skip'}"
    choices, letter = found.get("choices"), _line(found.get("answer"))
    choices = _without_marks([_line(choice) for choice in choices[:9]]) if isinstance(choices, list) else []
    answer = f"The answer is ({letter})" if letter else ""
    if letter in LETTERS[: len(choices)] and letter:
        answer += f": {choices[LETTERS.index(letter)]}."
    lines = [f"Question: {_line(found.get('question'))}"]
    if "short_answer" in found:
        lines.append(f"Short answer: {_line(found['short_answer'])}")
    lines += [f"Choices: {options_text(choices)}", f"Answer: {answer}"]
    if explanation := _line(found.get("explanation")):
        lines.append(f"Explanation: {explanation}")
    return "\n".join(lines)


def _without_marks(choices: list[str]) -> list[str]:
    """The choices without their letters, which models like to repeat inside them."""
    bare = [
        re.sub(rf"^\(?{letter}[).:] +", "", choice) for letter, choice in zip(LETTERS, choices, strict=False)
    ]
    return bare if all(text != choice for text, choice in zip(bare, choices, strict=True)) else choices


def _line(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode()


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
