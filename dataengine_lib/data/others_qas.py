"""Before steps 4 and 5: files of QAs that others made, LLaVA's conversations and MLLM-DataEngine v2's records.

`read_others` gives their rows as a teacher's replies, so that step 4 reads, filters and checks them like its own;
`read_turns` gives LLaVA's turns as they are, which step 5 mixes in.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from dataengine_lib.data.dataengine_v2 import is_v2, letter_of, qtype_name, rationales
from dataengine_lib.data.files import UNDECODABLE, read_json, said_of
from dataengine_lib.data.image_refs import image_number
from dataengine_lib.data.records import LETTERS, NO_TYPE, Result, options_text
from dataengine_lib.errors import DataEngineError

OthersFormat = Literal["llava", "dataengine-v2"]

_HEAD = 1 << 20  # bytes in which a file's first row ends
_IMAGE = re.compile(r"[ \t]*<image>[ \t]*\n?")
_LONGEST = 20_000  # characters of a turn that options are looked for in; step 4 reads no longer replies
_ASKS, _ANSWERS, _SETS_UP = ("human", "user"), ("gpt", "assistant", "chatgpt"), ("system",)


class Turn(NamedTuple):
    """A question about an image and its answer, as the file words them, without the image's token."""

    key: str  # the conversation's id and the turn's number
    image: str
    asked: str
    answer: str


def others_format(file: Path) -> OthersFormat | None:
    """Which of the formats a JSON list or JSON lines file has by its first row; None for any other file.

    Raises DataEngineError when the file cannot be read.
    """
    try:
        with Path(file).open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    text = head.decode("utf-8-sig", "ignore").lstrip().removeprefix("[").lstrip()
    try:
        first, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # a first row beyond the head is no question with its answer
        return None
    if not isinstance(first, dict):
        return None
    return "llava" if "conversations" in first else "dataengine-v2" if is_v2([first]) else None


def read_others(file: Path) -> Iterator[tuple[int, Result | str]]:
    """(number of the row, counted from 1; the QA as a teacher's reply, or what is wrong with the row).

    `raw_instructions` has the layout that a teacher is asked for, `Question: … Choices: … Answer: … Explanation: …`.
    An open question has no choices, which `parse_reply` turns down as such. A conversation gives a reply for each of
    its turns. The type is unclassified where the file has none (step 0 can tell it), `model` is empty.
    Raises DataEngineError when the file is in neither format.
    """
    kind = others_format(file)
    if kind is None:
        raise DataEngineError(
            f"{file}: row 1: has neither 'conversations' (LLaVA) nor 'instruction' and 'image' (MLLM-DataEngine v2); "
            "give a JSON list or JSON lines of such rows"
        )
    for number, row in _rows(file):
        if isinstance(row, str):
            yield number, row
        elif kind == "llava":
            for turn in _turns(row, number):
                yield number, turn if isinstance(turn, str) else _chat_reply(turn)
        else:
            yield number, _v2_reply(row, f"{file.stem}-{number}")


def read_turns(file: Path) -> Iterator[tuple[int, Turn | str]]:
    """(number of the row, counted from 1; a turn of LLaVA's conversations, or what is wrong with the row)."""
    for number, row in _rows(file):
        if isinstance(row, str):
            yield number, row
        else:
            for turn in _turns(row, number):
                yield number, turn


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The rows one at a time: of the file only its text is in memory."""
    with file.open("rb") as stream:
        listed = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
        stream.seek(0)
        rows = read_json(file, list[msgspec.Raw]) if listed else (line for line in stream if line.strip())
        for number, raw in enumerate(rows, 1):
            try:
                row = msgspec.json.decode(raw if listed else raw.removeprefix(b"\xef\xbb\xbf"))
            except UNDECODABLE as error:
                yield number, said_of(error)
                continue
            yield number, row if isinstance(row, dict) else "is no object"


def _turns(row: dict[str, Any], number: int) -> list[Turn | str]:
    """The conversation's turns, or the one thing that is wrong with it."""
    image, said = row.get("image"), row.get("conversations")
    if isinstance(image, list) and len(image) == 1:
        image = image[0]
    if not isinstance(image, str) or not image.strip():
        return [
            "image: several images, one is needed" if isinstance(image, list) and image else "image: no image"
        ]
    if not isinstance(said, list):
        return ["conversations: is no list"]
    key = row.get("id")
    key = str(key) if isinstance(key, str | int) else str(number)
    turns: list[Turn | str] = []
    tokens, asked = 0, ""
    for place, one in enumerate(said):
        speaker, text = (one.get("from"), one.get("value")) if isinstance(one, dict) else (None, None)
        if not isinstance(text, str) or speaker not in (*_ASKS, *_ANSWERS, *_SETS_UP):
            return [f"conversations[{place}]: needs 'from' (human or gpt) and 'value'"]
        if speaker in _SETS_UP and not place:
            continue
        if (speaker in _ANSWERS) != bool(asked):
            return [f"conversations[{place}]: {speaker} speaks out of turn"]
        if asked:
            turns.append(Turn(f"{key}-{len(turns) + 1}", image, asked.strip(), text.strip()))
            asked = ""
        else:
            tokens += text.count("<image>")
            asked = _IMAGE.sub("", text).strip() or " "
    if tokens > 1:
        return [f"conversations: {tokens} image tokens for one image"]
    return turns or ["conversations: no answer"]


def _chat_reply(turn: Turn) -> Result:
    found = split_choices(turn.asked)
    if found is None:
        return _result(turn.key, turn.image, NO_TYPE, {"Question": turn.asked, "Answer": turn.answer})
    asked, choices = found
    answer, explanation = _answer(turn.answer, choices)
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
            return f"{name}: is no text"
    options, letter = row.get("options"), letter_of(row)
    choices = [str(option).strip() for option in options] if isinstance(options, list) else []
    if all(re.match(rf"\(?{LETTERS[place]}[.):]", choice) for place, choice in enumerate(choices[:26])):
        choices = [re.sub(r"^\(?[A-Z][.):]\s*", "", choice) for choice in choices]
    answer = str(row.get("answer") or "")
    if isinstance(letter, str) and len(letter.strip()) == 1:
        place = LETTERS.find(letter.strip().upper())
        answer = f"The answer is ({letter.strip()})" + (
            f": {choices[place]}." if 0 <= place < len(choices) else ""
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
    """The layout that a teacher is asked for: each part on a line of its own, none where it is empty."""
    lines = [f"{name}: {' '.join(text.split())}" for name, text in parts.items() if text.strip()]
    return Result(
        image_id=image_number(image),
        raw_instructions="\n".join(lines),
        question_type=kind,
        query_id=key,
        image_path=image,
    )


_MARK = {  # options on lines of their own, or in brackets within one line
    style: re.compile(pattern, re.MULTILINE)
    for style, pattern in {
        "lines": r"^[ \t]{0,8}\(?(?P<letter>[A-Z])[.):][ \t]+(?=\S)",
        "brackets": r"\((?P<letter>[A-Z])\)[ \t]*(?=\S)",
    }.items()
}
_HEADING = re.compile(r"\s*(?:choices|options|answer choices)\s*:?\s*\Z", re.IGNORECASE)


def split_choices(asked: str) -> tuple[str, list[str]] | None:
    """(question, choices) of an instruction that shows options A, B, …; None for an open question.

    What follows the last option on lines of its own tells how to answer, and is left out.
    """
    text = asked[:_LONGEST]
    for style in ("brackets", "lines"):
        marks = list(_MARK[style].finditer(text))
        letters = "".join(mark["letter"] for mark in marks)
        if len(marks) < 2 or not LETTERS.startswith(letters):
            continue
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        choices = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
        choices[-1] = choices[-1].partition("\n")[0].strip()
        question = _HEADING.sub("", text[: marks[0].start()]).strip()
        if question and all(choices):
            return question, [" ".join(choice.split()) for choice in choices]
    return None


_SAID = re.compile(
    r"\s*(?:(?:the )?(?:correct )?(?:answer|option)(?: is)?:?\s*)?"
    r"(?:\((?P<a>[A-Z])\)|(?P<b>[A-Z])(?=[.):]|\s*\n|\s*\Z))[.):]*",
    re.IGNORECASE,
)


def _answer(said: str, choices: list[str]) -> tuple[str, str]:
    """(answer as the layout has it, explanation); an answer that names no option by letter stays as it is."""
    found = _SAID.match(said)
    place = LETTERS.find((found["a"] or found["b"]).upper()) if found else -1
    if found is None or place >= len(choices):
        return said, ""
    rest, choice = said[found.end() :], choices[place]
    if rest.strip()[: len(choice)].casefold() == choice.casefold():
        after = rest.strip()[len(choice) :]
        if after and after[0].isalnum():  # "cat" before "caterpillar"
            return said, ""
        rest = "\n" + after.lstrip(" .,;:")
    elif rest.strip() and "\n" not in rest[: len(rest) - len(rest.lstrip())]:
        return said, ""
    return f"The answer is ({LETTERS[place]}): {choice}.", rest.strip()
