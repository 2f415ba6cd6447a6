"""Steps 4 and 5: QA files of other projects, in LLaVA's conversations or MLLM-DataEngine v2's records.

Step 4 reads them through `read_others`, which yields each row as a teacher's reply, so that it passes the same filters
and checks. Step 5 mixes LLaVA's conversations in as they are, through `read_conversations`.
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
_IMAGE = re.compile(r"[ \t]*<image>[ \t]*(\n?)")
# names of the speakers in LLaVA's data and in files of similar tools
_ASKS, _ANSWERS, _SYSTEM = ("human", "user"), ("gpt", "assistant", "chatgpt", "model", "bot"), ("system",)
_NEEDED = {
    "conversations": "'from' (human or gpt) and 'value'",
    "messages": "'role' (user or assistant) and 'content'",
}


class Conversation(NamedTuple):
    """Questions and their answers, in the file's words without the image token; `image` is empty for text alone."""

    key: str  # its id, or the number of its row
    image: str
    turns: tuple[tuple[str, str], ...]


def others_format(file: Path) -> _OthersFormat | None:
    """The format of a JSON list or JSON lines file, by the first of its rows that has one; None for any other file.

    Raises DataEngineError when the file cannot be read.
    """
    for row in _first_objects(file):
        if "conversations" in row:
            return "llava"
        if is_v2([row]):
            return "dataengine-v2"
    return None


def holds_chats(file: Path) -> bool:
    """Whether `read_conversations` reads the file: LLaVA's conversations, or messages of LLaMA-Factory and ms-swift.

    Raises DataEngineError when the file cannot be read.
    """
    return any(
        isinstance(row.get("conversations", row.get("messages")), list) for row in _first_objects(file)
    )


def _first_objects(file: Path) -> list[dict[str, Any]]:
    """The first rows of a JSON list or JSON lines that are objects; none in any other file."""
    with open_content(file) as stream:
        head = stream.read(_HEAD)
    # "ignore", since the head may end inside a character
    text = head.decode("utf-8", "ignore").lstrip()
    rows = first_rows(text.removeprefix("[")) if text[:1] in ("[", "{") else []
    return [row for row in rows if isinstance(row, dict)]


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
            chat = _conversation(row, number)
            if isinstance(chat, str) or not chat.image:
                yield number, chat if isinstance(chat, str) else "image: no image"
                continue
            for place, (asked, answer) in enumerate(chat.turns, 1):
                yield number, _chat_reply(f"{chat.key}-{place}", chat.image, asked, answer)
        else:
            yield number, _v2_reply(row, f"{file.stem}-{number}")


def read_conversations(file: Path) -> Iterator[tuple[str, Conversation | str]]:
    """Yield (where the row stands; its conversation, or what is wrong with the row).

    Rows are LLaVA's (`conversations`, `image`), or messages with one image, as LLaMA-Factory, ms-swift and OpenAI write
    them; rows without an image are text alone. System messages are left out, and a last question without an answer is.
    """
    for found in json_rows(file):
        row = _object(found)
        yield found.where, row if isinstance(row, str) else _conversation(row, found.number)


def _object(found: JsonRow) -> dict[str, Any] | str:
    """The row, or what is wrong with it."""
    try:
        row = json_value(found.raw, _ANY)
    except UNDECODABLE as error:
        return decode_fault(error)
    return row if isinstance(row, dict) else "is not an object"


def _conversation(row: dict[str, Any], number: int) -> Conversation | str:
    """The conversation of a row, or what is wrong with it."""
    name = "conversations" if "conversations" in row else "messages"
    messages = row.get(name)
    if not isinstance(messages, list):
        return "conversations: is not a list"
    images = _images(row, messages)
    spoken = [_speaker_and_text(message) for message in messages]
    tokens = sum(text.count("<image>") for speaker, text in filter(None, spoken) if speaker in _ASKS)
    if len(images) > 1:
        return "image: several images, one is needed"
    if images and not isinstance(images[0], str):
        return "image: is no path"
    if tokens and not images:
        return "image: no image, but an image token"
    key = row.get("id")
    key = str(key) if isinstance(key, str | int) else str(number)
    turns: list[tuple[str, str]] = []
    asked = ""
    for place, one in enumerate(spoken):
        if one is None:
            return f"{name}[{place}]: needs {_NEEDED[name]}"
        speaker, text = one
        if speaker in _SYSTEM:
            continue
        # LLaVA's mix has conversations that begin with an answer, which its own loader leaves out as well
        if speaker in _ANSWERS and not place and len(spoken) > 1:
            continue
        # questions and answers alternate, and a question comes first
        if (speaker in _ANSWERS) != bool(asked):
            return f"{name}[{place}]: {speaker} is out of turn"
        if asked:
            turns.append((asked.strip(), text.strip()))
            asked = ""
        else:
            # a space, so that a question that is only the image token still waits for its answer
            asked = _without_token(text).strip() or " "
    if tokens > 1:
        return f"{name}: {tokens} image tokens for one image"
    return Conversation(key, images[0] if images else "", tuple(turns)) if turns else f"{name}: no answer"


def _images(row: dict[str, Any], messages: list[Any]) -> list[Any]:
    """The images of a row: `image` or `images`, a path, a list or `{"path": …}`; else those in the messages' parts."""
    given = row.get("image") or row.get("images") or []
    found = given if isinstance(given, list) else [given]
    for message in [] if found else messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            # {"type": "image", "image": "a.jpg"} and {"type": "image_url", "image_url": {"url": "a.jpg"}}
            found += [
                part[name] for name in ("image", "image_url") if isinstance(part, dict) and part.get(name)
            ]
    paths = [one.get("path") or one.get("url") if isinstance(one, dict) else one for one in found]
    return [one.removeprefix("file://") if isinstance(one, str) else one for one in paths]


def _speaker_and_text(message: Any) -> tuple[str, str] | None:
    """(speaker, text) of a message in LLaVA's keys or in OpenAI's, None for anything else."""
    if not isinstance(message, dict):
        return None
    speaker, content = message.get("from", message.get("role")), message.get("value", message.get("content"))
    parts = content if isinstance(content, list) else [content]
    texts: list[str] = []
    for part in parts:
        if isinstance(part, dict):
            is_image = part.get("type") in ("image", "image_url")
            part = "<image>" if is_image else part.get("text")
        # an answer may be a number; bool is an int too
        if not isinstance(part, str | int | float) or isinstance(part, bool):
            return None
        texts.append(str(part))
    known = isinstance(speaker, str) and speaker.lower() in (*_ASKS, *_ANSWERS, *_SYSTEM)
    return (str(speaker).lower(), "\n".join(texts)) if known else None


def _without_token(text: str) -> str:
    """The text without `<image>`: on a line of its own with the line, between words with a space left."""

    def left(found: re.Match[str]) -> str:
        at_line_start = text[: found.start()].endswith("\n") or not found.start()
        return "" if at_line_start else found[1] or " "

    return _IMAGE.sub(left, text)


def _chat_reply(key: str, image: str, asked: str, answer: str) -> Result:
    found = split_choices(asked)
    if found is None:
        return _result(key, image, NO_TYPE, {"Question": asked, "Answer": answer})
    question, choices = found
    right, explanation = split_answer(answer, choices)
    parts = {
        "Question": question,
        "Choices": options_text(choices),
        "Answer": right,
        "Explanation": explanation,
    }
    return _result(key, image, NO_TYPE, parts)


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
