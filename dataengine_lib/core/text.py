"""When two texts count as the same: one function a level, from white space alone to bare words (all steps).

| level | two texts are the same that differ in |
|---|---|
| `one_line` | white space |
| `caseless` | and case |
| `caseless_composed` | and how accented characters are encoded |
| `answer_key` | case, quotes around, punctuation behind; signs count: `-5` is not `5`, `C++` not `C` |
| `choice_key` | as `answer_key`, and how accents are encoded, Markdown around and an article before |
| `words_key` | case, punctuation at the ends of every word, and ways to write the same character |
| `underscored` | case and everything but letters and digits |

`shown` is how a message quotes any of them, `nearest_name` the one that a wrong name may have meant.

The names of question types have a level of their own, `questions.categories.type_name`.
"""

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

_SHOWN_CHARACTERS = 80  # of a value that a message quotes: enough to find it in a file


def one_line(text: str) -> str:
    """The text with single spaces between its words and none at its ends: `a  dog\\n` is `a dog`."""
    return " ".join(text.split())


def printable_line(value: object, most: int = 300) -> str:
    """A value of a file as one line of a terminal, cut to `most` characters; None is empty.

    Without control characters, which could steer the terminal: ESC begins its commands.
    """
    text = one_line(str("" if value is None else value))
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= most else f"{text[:most]}…"


def shown(value: object, most: int = _SHOWN_CHARACTERS) -> str:
    """A value as a message quotes it: one line of about `most` characters, however large the value is.

    Texts stand in quotes, `'a very long te…'`; of a list or dict the first few entries are shown, `[1, 2, 3, ...]`.
    """
    if isinstance(value, str):
        # cut before white space is joined: the text may be a whole file
        text = one_line(value[: 4 * most])
        return repr(text if len(text) <= most and len(value) <= 4 * most else text[:most] + "…")
    short = reprlib.Repr()
    short.maxstring = short.maxother = most
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = 3
    short.maxlevel = 2
    text = one_line(short.repr(value))
    return text if len(text) <= 2 * most else text[: 2 * most] + "…"


def shown_key(key: object) -> str:
    """The name of a key in a message, at most as long as other values."""
    text = one_line(str(key)[: 4 * _SHOWN_CHARACTERS])
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """The one of `known`, of which there is at least one, that is spelt most like `name`, however different."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def first_named(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are: `red, green and 7 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def duration(seconds: float) -> str:
    """`45 s`, `2 min 05 s`, `1 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def caseless(text: str) -> str:
    """One line without case: `A  Dog\\n` is `a dog`."""
    return " ".join(text.casefold().split())


def caseless_composed(text: str) -> str:
    """As `caseless`; an é of two code points is the é of one, as programs that write tables change them."""
    return caseless(unicodedata.normalize("NFC", text))


_QUOTES = r"\s\"'“”‘’«»"
_ANSWER_EDGES = re.compile(rf"^[{_QUOTES}]+|[{_QUOTES}.,;:!?…]+$")  # matches both ends of `"a dog".`


def answer_key(text: str) -> str:
    """Without case, quotes around it and sentence punctuation behind: `"A dog".` is `a dog`.

    A sign before it or a mark like + behind it stays, as it makes another answer: `$5` is not `5`, `c++` not `c`.
    """
    return _ANSWER_EDGES.sub("", caseless(text))


@lru_cache(maxsize=256)  # a reply's choices are compared with each other, its answer and its short answer
def choice_key(text: str) -> str:
    """Equal for two choices that say the same: `**The dog.**` is `dog`."""
    key = caseless_composed(text).strip("\"'“”‘’„‚«»「」`* ").rstrip(".,;:!\"'“”‘’«»「」。，；！ ")
    return without_article(key)


def without_article(key: str) -> str:
    """A caseless line without its first article: `a dog` and `the dog` are `dog`."""
    return key.partition(" ")[2] if key.startswith(("a ", "an ", "the ")) else key


def words_key(text: str) -> str:
    """The words of a text, see `key_words`, with spaces between them: `"Is it, a DOG?"` is `is it a dog`."""
    return " ".join(key_words(text))


# Thai to Burmese, Khmer, kana, Han: written without spaces, so each character counts as a word
_UNSPACED = r"\u0e00-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")  # matches 犬 · は · dog · "dog?"
_WORD_EDGES = ".,;:!?…¿¡。、'\"`‘’“”「」『』()[]"


def key_words(text: str) -> list[str]:
    """The words of a text without case and punctuation at their ends, characters in their usual form (NFKC).

    Marks alone, as the choices `+` and `?` have them, count where there is nothing else.
    """
    split = str.split if text.isascii() else _WORD.findall  # the same for ASCII, and faster
    found = split(unicodedata.normalize("NFKC", text).casefold())
    return [word for part in found if (word := part.strip(_WORD_EDGES))] or found


def underscored(text: str) -> str:
    """Letters and digits in small letters with one underscore between: `Knowledge-based reasoning!` is
    `knowledge_based_reasoning`."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_")
