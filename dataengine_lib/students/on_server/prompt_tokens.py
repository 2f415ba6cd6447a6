"""Step 1, `rank: text` of a student behind a server: which of the listed tokens of a prompt are those of its option.

A server lists the tokens as texts of their own, so white space may be lost ("▁dog" as "dog"), and a token that holds a
part of a character is "�". Texts are compared without white space, and "�" stands for any characters.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

Logprobs = Sequence[tuple[str, float]]
# White space, also as tokenizers write it: ▁ of SentencePiece, Ġ and Ċ of GPT-2's bytes.
_SPACE = re.compile(r"[\s▁ĠĊ]+")
_PARTIAL = re.compile("\ufffd+")  # parts of characters whose other bytes are in the next token


class OptionTokens(NamedTuple):
    """The tokens of an option with their log-probabilities; `joined`: the first one holds the end of the prompt as well."""

    tokens: list[tuple[str, float]]
    joined: bool

    @property
    def score(self) -> float:
        """The mean log-probability of the tokens, as of a student that is loaded here."""
        return sum(logprob for _, logprob in self.tokens) / len(self.tokens)


def option_tokens(listed: Logprobs, start: str, option: str, generated: int = 0) -> OptionTokens | None:
    """The tokens of `option`, the last ones of a prompt that ends with `start` and the option; None where none are found.

    They begin with the first token that reaches beyond `start`: one that holds characters of both belongs to the option.
    Behind the prompt, up to `generated` tokens of the reply may be listed.
    """
    for more in range(generated, -1, -1):
        if found := _at_the_end(listed[: len(listed) - more], start, option):
            return found
    return None


def stored_tokens(tokens: Logprobs, option: str) -> OptionTokens | None:
    """The tokens of `option` as a ledger holds them; None where it holds none."""
    if not tokens:
        return None
    first = _PARTIAL.split(_SPACE.sub("", tokens[0][0]))[0]
    return OptionTokens([*tokens], not _SPACE.sub("", option).startswith(first))


def _at_the_end(listed: Logprobs, start: str, option: str) -> OptionTokens | None:
    texts = [_SPACE.sub("", token) for token, _ in listed]
    whole, start, option = "".join(texts), _SPACE.sub("", start), _SPACE.sub("", option)
    if not option:
        return None
    # from the right: a question may hold the words that an answer begins with
    place = whole.rfind(start)
    while place >= 0 and not _same(whole[place + len(start) :], option):
        place = whole.rfind(start, 0, place + len(start) - 1)
    if place < 0:
        return None
    boundary, end = place + len(start), 0
    for number, text in enumerate(texts):
        begin, end = end, end + len(text)
        # a token of white space alone, behind the boundary, is one of the option
        if end > boundary or (begin == end == boundary):
            return OptionTokens([*listed[number:]], begin < boundary)
    return None


def _same(found: str, option: str) -> bool:
    """Whether listed tokens, without white space, are the option."""
    first, *others = _PARTIAL.split(found)
    if not others:
        return first == option
    at = len(first)
    for piece in others[:-1]:
        at = option.find(piece, at) + len(piece)
        if at < len(piece):  # find gave -1
            return False
    return option.startswith(first) and option.endswith(others[-1]) and at + len(others[-1]) <= len(option)
