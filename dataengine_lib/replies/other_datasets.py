"""Steps 4 and 5: QA files of other projects, in LLaVA's conversations or MLLM-DataEngine v2's records.

Step 4 reads them through `read_others`, which yields each row as a teacher's reply, so that it passes the same filters
and checks. Step 5 mixes LLaVA's turns in as they are, through `read_turns`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import first_rows, looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows
from dataengine_lib.core.records import LETTERS, NO_TYPE, Result, options_text
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_number
from dataengine_lib.questions.dataengine_v2 import is_v2, letter_of, qtype_name, rationales, unmarked
from dataengine_lib.replies.turn_options import split_answer, split_choices

_OthersFormat = Literal["llava", "dataengine-v2"]

_HEAD = 1 << 20  # bytes; the first rows of a QA file end within them
_ANY = msgspec.json.Decoder(Any)
# matches the image token with its line end, "<image>\n"
_IMAGE = re.compile(r"[ \t]*<image>[ \t]*\n?")
# names of the speakers in LLaVA's data and in files of similar tools
_ASKS, _ANSWERS, _SYSTEM = ("human", "user"), ("gpt", "assistant", "chatgpt"), ("system",)


class Turn(NamedTuple):
    """A question about an image and its answer, in the file's words without the image token."""

    key: str  # the conversation's id and the turn's number
    image: str
    asked: str
    answer: str


def others_format(file: Path) -> _OthersFormat | None:
    """The format of a JSON list or JSON lines file, by the first of its rows that has one; None for any other file.

    Raises DataEngineError when the file cannot be read.
    """
    with open_content(file) as stream:
        head = stream.read(_HEAD)
    # "ignore", since the head may end inside a character
    text = head.decode("utf-8", "ignore").lstrip()
    if text[:1] not in ("[", "{"):
        return None
    for row in first_rows(text.removeprefix("[")):
        if isinstance(row, dict) and "conversations" in row:
            return "llava"
        if isinstance(row, dict) and is_v2([row]):
            return "dataengine-v2"
    return None


def read_others(file: Path) -> Iterator[tuple[int, Result | str]]:
    """Yield (number of the row or line, counted from 1; the QA as a teacher's reply, or what is wrong with the row).

    `raw_instructions` has the layout that a teacher is asked for, `Question: … Choices: … Answer: … Explanation: …`.
    An open question has no choices; `parse_reply` drops it with that reason. A conversation yields a reply for each of
    its turns. The type is NO_TYPE where the file has none (step 0 can add it), `model` is empty.
    Raises DataEngineError when the file is in neither format.
    """
    kind = others_format(file)
    if kind is None:
        raise DataEngineError(
            f"{file}: no row has 'conversations' (LLaVA), or 'instruction' and 'image' (MLLM-DataEngine v2); "
            f"it {looks_like(file)}"
        )
    for found in json_rows(file):
        number, row = found.number, _object(found)
        if isinstance(row, str):
            yield number, row
        elif kind == "llava":
            for turn in _turns(row, number):
                yield number, turn if isinstance(turn, str) else _chat_reply(turn)
        else:
            yield number, _v2_reply(row, f"{file.stem}-{number}")


def read_turns(file: Path) -> Iterator[tuple[str, Turn | str]]:
    """Yield (where the row stands; a turn of a LLaVA conversation, or what is wrong with the row)."""
    for found in json_rows(file):
        row = _object(found)
        if isinstance(row, str):
            yield found.where, row
        else:
            for turn in _turns(row, found.number):
                yield found.where, turn


def _object(found: JsonRow) -> dict[str, Any] | str:
    """The row, or what is wrong with it."""
    try:
        row = json_value(found.raw, _ANY)
    except UNDECODABLE as error:
        return decode_fault(error)
    return row if isinstance(row, dict) else "is not an object"


def _turns(row: dict[str, Any], number: int) -> list[Turn | str]:
    """The conversation's turns, or one message that says what is wrong with it."""
    image, messages = row.get("image"), row.get("conversations")
    if isinstance(image, list) and len(image) == 1:
        image = image[0]
    if not isinstance(image, str) or not image.strip():
        return [
            "image: several images, one is needed" if isinstance(image, list) and image else "image: no image"
        ]
    if not isinstance(messages, list):
        return ["conversations: is not a list"]
    key = row.get("id")
    key = str(key) if isinstance(key, str | int) else str(number)
    turns: list[Turn | str] = []
    tokens, asked = 0, ""
    for place, message in enumerate(messages):
        speaker, text = (
            (message.get("from"), message.get("value")) if isinstance(message, dict) else (None, None)
        )
        if not isinstance(text, str) or speaker not in (*_ASKS, *_ANSWERS, *_SYSTEM):
            return [f"conversations[{place}]: needs 'from' (human or gpt) and 'value'"]
        if speaker in _SYSTEM and not place:
            continue
        # questions and answers alternate, and a question comes first
        if (speaker in _ANSWERS) != bool(asked):
            return [f"conversations[{place}]: {speaker} is out of turn"]
        if asked:
            turns.append(Turn(f"{key}-{len(turns) + 1}", image, asked.strip(), text.strip()))
            asked = ""
        else:
            tokens += text.count("<image>")
            # a space, so that a question that is only the image token still waits for its answer
            asked = _IMAGE.sub("", text).strip() or " "
    if tokens > 1:
        return [f"conversations: {tokens} image tokens for one image"]
    return turns or ["conversations: no answer"]


def _chat_reply(turn: Turn) -> Result:
    found = split_choices(turn.asked)
    if found is None:
        return _result(turn.key, turn.image, NO_TYPE, {"Question": turn.asked, "Answer": turn.answer})
    asked, choices = found
    answer, explanation = split_answer(turn.answer, choices)
    parts = {
        "Question": asked,
        "Choices": options_text(choices),
        "Answer": answer,
        "Explanation": explanation,
    }
    return _result(turn.key, turn.image, NO_TYPE, parts)


def _v2_reply(row: dict[str, Any], key: str) -> Result | str:
    for name in ("instruction", "image"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            return f"{name}: is not text"
    options, letter = row.get("options"), letter_of(row)
    choices = unmarked(options) if isinstance(options, list) else []
    answer = str(row.get("answer") or "")
    if isinstance(letter, str) and len(letter.strip()) == 1:
        index = LETTERS.find(letter.strip().upper())
        answer = f"The answer is ({letter.strip()})" + (
            f": {choices[index]}." if 0 <= index < len(choices) else ""
        )
    parts = {
        "Question": row["instruction"],
        "Short answer": str(row.get("short_answer") or ""),
        "Choices": options_text(choices[:26]),
        "Answer": answer,
        "Explanation": " ".join(rationales(row)),
    }
    return _result(key, row["image"], qtype_name(row.get("qtype")) or NO_TYPE, parts)


def _result(key: str, image: str, kind: str, parts: dict[str, str]) -> Result:
    """The row as a reply in the layout that a teacher is asked for: a line for each part that is not empty."""
    lines = [f"{name}: {' '.join(text.split())}" for name, text in parts.items() if text.strip()]
    return Result(
        image_id=image_number(image),
        raw_instructions="\n".join(lines),
        question_type=kind,
        query_id=key,
        image_path=image,
    )
