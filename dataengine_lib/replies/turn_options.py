"""Steps 4 and 5: options and answers that are written inside the turns of a conversation, as LLaVA's data has them."""

import re

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import choice_key, one_line

_LONGEST = 20_000  # characters of a turn that options are searched for in; step 4 drops longer replies
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


def split_answer(given: str, choices: list[str]) -> tuple[str, str]:
    """(answer in the layout of a reply, explanation); an answer that names no option by letter is kept as it is.

    The letter may be followed by its choice, a remark, or both; or it may come last, on a line of its own.
    """
    found = _ANSWER_LETTER.match(given)
    if found is None and (last := _LAST_LINE.search(given)):
        answer, more = split_answer(last["line"], choices)
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
    # the own choice is taken out first: the "dog" of "hot dog" names no other choice "dog"
    without = words.replace(own, " | ")
    if any(other in (words if own in other else without) for other in map(_words, others)):
        return False
    return own in words or not _stems(words) & (_stems(*map(_words, others)) - _stems(own))


def _words(text: str) -> str:
    """The words of `choice_key` with a space around each, so that one text can be searched for in another."""
    return f" {' '.join(_WORD.findall(choice_key(text)))} "


def _stems(*texts: str) -> set[str]:
    return {word.rstrip("s")[:_STEM] for text in texts for word in text.split()}
