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

from dataengine_lib.core.files import UNDECODABLE, decode_fault, read_json
from dataengine_lib.core.records import LETTERS, NO_TYPE, Result, options_text
from dataengine_lib.core.text import choice_key, one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_number
from dataengine_lib.questions.dataengine_v2 import is_v2, letter_of, qtype_name, rationales, unmarked

_OthersFormat = Literal["llava", "dataengine-v2"]

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


def others_format(file: Path) -> _OthersFormat | None:
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
                yield number, decode_fault(error)
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
    choices = unmarked(options) if isinstance(options, list) else []
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


_MARKS = [  # options in brackets within one line, or on lines of their own; their letters are of one case
    re.compile(pattern, re.MULTILINE)
    for case, before in (("A-Z", ""), ("a-z", r"(?<!\w)"))  # not that of "thing(s)"
    for pattern in (
        rf"{before}\((?P<letter>[{case}])\)[ \t]*(?=\S)",
        rf"^[ \t]{{0,8}}\(?(?P<letter>[{case}])[.):][ \t]+(?=\S)",
    )
]
_HEADING = re.compile(r"\s*(?:choices|options|answer choices)\s*:?\s*\Z", re.IGNORECASE)
_ASKED = re.compile(r"^[ \t]*(?i:question)[ \t]*:(?=\s*\S)", re.MULTILINE)
_BEFORE_IT = re.compile(r"\s*(?i:hint|context)[ \t]*:[^\n]*?(?:\bQuestion[ \t]*:|\n)(?=\s*\S)")


def split_choices(asked: str) -> tuple[str, list[str]] | None:
    """(question, choices) of an instruction that shows options A, B, …; None for an open question.

    What follows the last option on lines of its own tells how to answer, and is left out, as is what stands before
    `Question:` and a line of `Hint:` or `Context:` before the question. Small letters are options where there are four.
    """
    text = asked[:_LONGEST]
    if headings := list(_ASKED.finditer(text)):
        text = text[headings[-1].end() :]
    for style in _MARKS:
        marks = list(style.finditer(text))
        letters = "".join(mark["letter"] for mark in marks)
        fewest, known = (4, LETTERS.lower()) if letters.islower() else (2, LETTERS)
        if len(marks) < fewest or not known.startswith(letters):
            continue
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        choices = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
        choices[-1] = choices[-1].partition("\n")[0].strip()
        question = _HEADING.sub("", text[: marks[0].start()]).strip()
        while before := _BEFORE_IT.match(question):
            question = question[before.end() :].strip()
        if question and all(choices):
            return question, [one_line(choice) for choice in choices]
    return None


_SAID = re.compile(
    r"\s*(?:(?:the )?(?:correct )?(?:answer|option)(?: is)?:?\s*)?"
    r"(?:\((?P<a>[A-Z])\)|(?P<b>[A-Z])(?=[.):]|\s*\n|\s*\Z))[.):]*",
    re.IGNORECASE,
)
_LAST = re.compile(  # "Answer: B" on the last line
    r"\n[ \t*#]*(?:(?:so|thus|hence|therefore),? )?(?P<line>(?:the )?(?:correct )?answer\b[^\n]*)\Z",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\(([A-Z])\)|(?i:\b(?:answer|option|choice)(?: is)?:?) ([A-Z])\b")
_WORD = re.compile(r"\w+")
_SENTENCE = 3  # words of the shortest remark; what is shorter may be a choice in other words
_STEM = 5  # letters that tell a word, so that elephants are an elephant


def _answer(said: str, choices: list[str]) -> tuple[str, str]:
    """(answer as the layout has it, explanation); an answer that names no option by letter stays as it is.

    Behind the letter may come its choice, a remark, or both; the letter may come last, on a line of its own.
    """
    found = _SAID.match(said)
    if found is None and (last := _LAST.search(said)):
        answer, more = _answer(last["line"], choices)
        if answer != last["line"]:
            return answer, f"{said[: last.start()].rstrip(' #*')}\n{more}".strip()
    place = LETTERS.find((found["a"] or found["b"]).upper()) if found else -1
    if found is None or place >= len(choices):
        return said, ""
    rest, letter, choice = said[found.end() :], LETTERS[place], choices[place]
    others = choices[:place] + choices[place + 1 :]
    text = rest.strip()
    if text and choice_key(text) in map(choice_key, others):  # the letter of one, the words of another
        return said, ""
    if text[: len(choice)].casefold() == choice.casefold():
        after = text[len(choice) :]
        longer = tuple(other.casefold() for other in others if len(other) > len(choice))
        # "cat" before "caterpillar", or before another choice that is "cat food"
        if after[:1].isalnum() or text.casefold().startswith(longer):
            return said, ""
        text = after.lstrip(" .,;:")
    elif text and "\n" not in rest[: rest.index(text)] and not _is_remark(text, letter, choice, others):
        return said, ""
    return f"The answer is ({letter}): {choice}.", text


def _is_remark(text: str, letter: str, choice: str, others: list[str]) -> bool:
    """Whether what follows a letter is a sentence about its choice; it may name no other letter and no other choice.

    Nor may it share a word with another choice where it does not name its own: it might tell that one in other words.
    """
    said, own = _words(text), _words(choice)
    if len(said.split()) < _SENTENCE or choice_key(text) == choice_key(choice):
        return False
    if any((mark[1] or mark[2]) != letter for mark in _NAMED.finditer(text)):
        return False
    without = said.replace(own, " | ")
    if any(other in (said if own in other else without) for other in map(_words, others)):
        return False
    return own in said or not _stems(said) & (_stems(*map(_words, others)) - _stems(own))


def _words(text: str) -> str:
    """The words between spaces, without a first article, so that one text is looked for in another."""
    return f" {' '.join(_WORD.findall(choice_key(text)))} "


def _stems(*texts: str) -> set[str]:
    return {word.rstrip("s")[:_STEM] for text in texts for word in text.split()}
