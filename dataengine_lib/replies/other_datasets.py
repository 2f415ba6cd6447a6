"""Steps 4 and 5: QA files of other projects, in LLaVA's conversations or MLLM-DataEngine v2's records.

Step 4 reads them through `read_others`, which yields each row as a teacher's reply, so that it passes the same filters
and checks. Step 5 mixes LLaVA's turns in as they are, through `read_turns`.
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

_HEAD = 1 << 20  # bytes; the first row of a QA file ends within them
# matches the image token with its line end, "<image>\n"
_IMAGE = re.compile(r"[ \t]*<image>[ \t]*\n?")
_LONGEST = 20_000  # characters of a turn that options are searched for in; step 4 drops longer replies
# names of the speakers in LLaVA's data and in files of similar tools
_ASKS, _ANSWERS, _SYSTEM = ("human", "user"), ("gpt", "assistant", "chatgpt"), ("system",)


class Turn(NamedTuple):
    """A question about an image and its answer, in the file's words without the image token."""

    key: str  # the conversation's id and the turn's number
    image: str
    asked: str
    answer: str


def others_format(file: Path) -> _OthersFormat | None:
    """The format of a JSON list or JSON lines file, by its first row; None for any other file.

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
    except (ValueError, RecursionError):  # not JSON, or a first row that is too long for a QA
        return None
    if not isinstance(first, dict):
        return None
    return "llava" if "conversations" in first else "dataengine-v2" if is_v2([first]) else None


def read_others(file: Path) -> Iterator[tuple[int, Result | str]]:
    """Yield (number of the row, counted from 1; the QA as a teacher's reply, or what is wrong with the row).

    `raw_instructions` has the layout that a teacher is asked for, `Question: … Choices: … Answer: … Explanation: …`.
    An open question has no choices; `parse_reply` drops it with that reason. A conversation yields a reply for each of
    its turns. The type is NO_TYPE where the file has none (step 0 can add it), `model` is empty.
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
    """Yield (number of the row, counted from 1; a turn of a LLaVA conversation, or what is wrong with the row)."""
    for number, row in _rows(file):
        if isinstance(row, str):
            yield number, row
        else:
            for turn in _turns(row, number):
                yield number, turn


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the rows one at a time, so that only the file's text is in memory."""
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
            yield number, row if isinstance(row, dict) else "is not an object"


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
        if (speaker in _ANSWERS) != bool(asked):
            return [f"conversations[{place}]: {speaker} is out of turn"]
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


# One pattern for each style and case: "(A) dog (B) cat" within a line; "A. dog", "A) dog" or "(A): dog" on its own line
_MARKS = [
    re.compile(pattern, re.MULTILINE)
    for case, before in (("A-Z", ""), ("a-z", r"(?<!\w)"))  # not the "(s)" of "thing(s)"
    for pattern in (
        rf"{before}\((?P<letter>[{case}])\)[ \t]*(?=\S)",
        rf"^[ \t]{{0,8}}\(?(?P<letter>[{case}])[.):][ \t]+(?=\S)",
    )
]
# matches "\nChoices:" at the end of a question
_HEADING = re.compile(r"\s*(?:choices|options|answer choices)\s*:?\s*\Z", re.IGNORECASE)
# matches "Question:" at the start of a line
_ASKED = re.compile(r"^[ \t]*(?i:question)[ \t]*:(?=\s*\S)", re.MULTILINE)
# matches "Hint: Look at the map.\n" · "Context: N/A Question:" before a question, as in ScienceQA
_HINT = re.compile(r"\s*(?i:hint|context)[ \t]*:[^\n]*?(?:\bQuestion[ \t]*:|\n)(?=\s*\S)")


def split_choices(asked: str) -> tuple[str, list[str]] | None:
    """(question, choices) of an instruction that shows options A, B, …; None for an open question.

    Left out are the lines behind the last option, which say how to answer ("Answer with the letter …"), what stands
    before `Question:`, and a line of `Hint:` or `Context:` before the question. Lower-case letters count as options only
    where there are at least four.
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
        while before := _HINT.match(question):
            question = question[before.end() :].strip()
        if question and all(choices):
            return question, [one_line(choice) for choice in choices]
    return None


# matches "B" · "(B)." · "The correct answer is B:" at the start of an answer
_ANSWER_LETTER = re.compile(
    r"\s*(?:(?:the )?(?:correct )?(?:answer|option)(?: is)?:?\s*)?"
    r"(?:\((?P<a>[A-Z])\)|(?P<b>[A-Z])(?=[.):]|\s*\n|\s*\Z))[.):]*",
    re.IGNORECASE,
)
_LAST_LINE = re.compile(  # matches "\nSo, the answer is B" at the end of an answer
    r"\n[ \t*#]*(?:(?:so|thus|hence|therefore),? )?(?P<line>(?:the )?(?:correct )?answer\b[^\n]*)\Z",
    re.IGNORECASE,
)
# matches "(C)" · "option C" · "answer is: C"
_NAMED = re.compile(r"\(([A-Z])\)|(?i:\b(?:answer|option|choice)(?: is)?:?) ([A-Z])\b")
_WORD = re.compile(r"\w+")
_SHORTEST_REMARK = 3  # words; a shorter text may be a choice in other words
_STEM = 5  # letters that words are compared by, so that "elephants" is "elephant"


def _answer(given: str, choices: list[str]) -> tuple[str, str]:
    """(answer in the layout of a reply, explanation); an answer that names no option by letter is kept as it is.

    The letter may be followed by its choice, a remark, or both; or it may come last, on a line of its own.
    """
    found = _ANSWER_LETTER.match(given)
    if found is None and (last := _LAST_LINE.search(given)):
        answer, more = _answer(last["line"], choices)
        if answer != last["line"]:
            return answer, f"{given[: last.start()].rstrip(' #*')}\n{more}".strip()
    index = LETTERS.find((found["a"] or found["b"]).upper()) if found else -1
    if found is None or index >= len(choices):
        return given, ""
    rest, letter, choice = given[found.end() :], LETTERS[index], choices[index]
    others = choices[:index] + choices[index + 1 :]
    text = rest.strip()
    if text and choice_key(text) in map(choice_key, others):  # the letter of one, the words of another
        return given, ""
    if text[: len(choice)].casefold() == choice.casefold():
        after = text[len(choice) :]
        longer = tuple(other.casefold() for other in others if len(other) > len(choice))
        # "cat" before "caterpillar", or before another choice that is "cat food"
        if after[:1].isalnum() or text.casefold().startswith(longer):
            return given, ""
        text = after.lstrip(" .,;:")
    elif text and "\n" not in rest[: rest.index(text)] and not _is_remark(text, letter, choice, others):
        return given, ""
    return f"The answer is ({letter}): {choice}.", text


def _is_remark(text: str, letter: str, choice: str, others: list[str]) -> bool:
    """Whether what follows a letter is a sentence about its choice: it names no other letter and no other choice.

    Where it does not name its own choice, it must not share a word with another one either: it might be that choice
    in other words.
    """
    words, own = _words(text), _words(choice)
    if len(words.split()) < _SHORTEST_REMARK or choice_key(text) == choice_key(choice):
        return False
    if any((mark[1] or mark[2]) != letter for mark in _NAMED.finditer(text)):
        return False
    without = words.replace(own, " | ")
    if any(other in (words if own in other else without) for other in map(_words, others)):
        return False
    return own in words or not _stems(words) & (_stems(*map(_words, others)) - _stems(own))


def _words(text: str) -> str:
    """The words of `choice_key` with a space around each, so that one text can be searched for in another."""
    return f" {' '.join(_WORD.findall(choice_key(text)))} "


def _stems(*texts: str) -> set[str]:
    return {word.rstrip("s")[:_STEM] for text in texts for word in text.split()}
