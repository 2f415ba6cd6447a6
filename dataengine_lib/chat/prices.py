"""Steps 0, 1, 3 and 4: what a request costs, from a dated table of prices per million tokens."""

import datetime
import difflib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from dataengine_lib.core.files import decode_fault
from dataengine_lib.core.text import nearest_name, shown, shown_key
from dataengine_lib.core.user_files.yaml_file import read_yaml
from dataengine_lib.errors import ParameterError
from dataengine_lib.resources import PRICES

IMAGE_TOKENS = 3_800  # of a picture: OpenAI counts at most 1,536 patches, each as up to 2.46 tokens
_PRIORITY = 2.5  # times the standard price, at most, of OpenAI's tier for which the table has no prices
_MOST_TOKENS = 10**12  # of one reply
FREE_TEACHERS = ("annotations", "local", "playground", "replay")
_EXAMPLE = "dataengine_lib/resources/prices.yaml"
# matches the end of "gpt-4o-2024-08-06" and of "claude-sonnet-4-5-20250929"
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class _TokenCounts(Protocol):
    """A reply with its tokens; `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...


# Finite: with .nan or .inf no budget would ever be used up.
_Usd = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """US dollars per million tokens; cached and cache-written tokens without a price of their own cost `input`.

    `image_tokens` is the most that one picture counts. Source: OpenAI's guide "Images and vision".
    `half` names the service tiers, and `batch`, at which everything costs half.
    """

    input: _Usd
    output: _Usd
    cached_input: _Usd | None = None
    cache_write: _Usd | None = None
    image_tokens: Annotated[int, msgspec.Meta(ge=0)] = IMAGE_TOKENS
    half: tuple[str, ...] = ("batch", "flex")

    def cost(
        self,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        cache_write_tokens: int = 0,
        tier: str = "",
    ) -> float:
        """US dollars; `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`."""
        # a count that a server or a file makes up must stay a number that floats can hold
        prompt_tokens, cached_tokens, completion_tokens, cache_write_tokens = (
            min(tokens, _MOST_TOKENS)
            for tokens in (prompt_tokens, cached_tokens, completion_tokens, cache_write_tokens)
        )
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        fresh = max(0, prompt_tokens - cached_tokens - cache_write_tokens)
        prompt = fresh * self.input + cached_tokens * cached + cache_write_tokens * write
        factor = _PRIORITY if tier == "priority" else 0.5 if tier in self.half else 1.0
        return (prompt + completion_tokens * self.output) / 1e6 * factor

    def most(self, prompt_tokens: int, completion_tokens: int, tier: str = "") -> float:
        """US dollars at most: nothing comes from the cache, and all is written into it where that costs more.

        Only `batch` is surely at half the price: a server may answer a request for another tier at the standard one.
        """
        written = prompt_tokens if (self.cache_write or 0) > self.input else 0
        return self.cost(prompt_tokens, 0, completion_tokens, written, tier if tier == "batch" else "")

    def of(self, reply: _TokenCounts, tier: str = "") -> float:
        """US dollars that one reply cost."""
        return self.cost(
            reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens, reply.cache_write_tokens, tier
        )


def image_tokens(price: Price | None) -> int:
    """The most tokens that a picture counts, also for a model without a price."""
    return price.image_tokens if price else IMAGE_TOKENS


class PriceTable(msgspec.Struct, forbid_unknown_fields=True):
    """`resources/prices.yaml`, or a user's own: prices as of `date`."""

    date: datetime.date
    models: dict[str, Price]
    source: str = ""

    def of(self, teacher: str) -> Price | None:
        """The price of a teacher spec, zero for those without a model; None when the model has no line.

        A dated snapshot (`gpt-4o-2024-08-06`) that has no line of its own costs what its model does.
        """
        kind, _, model = teacher.partition(":")
        if kind in FREE_TEACHERS:
            return Price(input=0.0, output=0.0)
        return self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))

    def near(self, teacher: str) -> str:
        """For a message about a model without a price: the line with the most similar name, where there is one."""
        near = difflib.get_close_matches(teacher.partition(":")[2], self.models, n=1)
        return f" (the nearest line is {near[0]})" if near else ""

    def note(self, teacher: str) -> tuple[str, str]:
        """A note where the cost of a run is unknown, and the date of the prices where they matter."""
        if self.of(teacher) is None:
            near = self.near(teacher)
            note = f"no price is known for {teacher}, so cost_usd is null; add it to {_EXAMPLE}{near}"
            return note, ""
        return "", self.date.isoformat() if teacher.startswith("openai:") else ""


def read_prices(path: Path | None = None) -> PriceTable:
    """Read a price table; without `path` the built-in one.

    Raises ParameterError naming the file, the model and the key at fault.
    """
    path = path or PRICES
    content = read_yaml(path, "give a file, or leave `prices` out for the built-in table")
    try:
        return msgspec.convert(content, PriceTable)
    except msgspec.ValidationError as error:
        fault = _model_fault(content) or decode_fault(error)
        raise ParameterError(f"{path}: {fault}; see {_EXAMPLE} for the form") from error


def _model_fault(content: Any) -> str:
    """The first model whose prices cannot be read, and why: msgspec's own message leaves out its name."""
    models = content.get("models") if isinstance(content, dict) else None
    for model, prices in models.items() if isinstance(models, dict) else ():
        for key in prices if isinstance(prices, dict) else ():
            if key not in Price.__struct_fields__:
                near = nearest_name(str(key), Price.__struct_fields__)
                return f"{shown_key(model)}: unknown key {shown(key)}; nearest valid key: {near!r}"
        try:
            msgspec.convert(prices, Price)
        except msgspec.ValidationError as error:
            return f"{shown_key(model)}: {decode_fault(error)}"
    return ""


# Up to four letters, up to three digits, a space before a digit, or any other single character:
# finds "Tell", " ", "2024" as "202" and "4", and "?" in "Tell 2024?"
_PIECE = re.compile(r"[A-Za-z]{1,4}|\d{1,3}|\s(?=\d)|[^\sA-Za-z\d]")
_MESSAGE_TOKENS = 16  # of the markers around a chat message
# Of markers and of the system prompt that a model's chat template adds; about 80 for gpt-oss, the longest of those known.
_TEMPLATE_TOKENS = 128


def most_tokens(text: str) -> int:
    """An upper bound of the prompt's tokens when `text` is the message: what a budget reserves.

    A token of a byte-level tokenizer holds at least one byte, so there are no more of them than bytes in UTF-8. For
    English that is about four times the real number; the difference is released once the reply states its tokens.
    """
    return len(text.encode("utf-8", "replace")) + _TEMPLATE_TOKENS


def estimate_tokens(text: str) -> int:
    """About the tokens of `text`, rather more than fewer; for expected costs and the length of prompts.

    GPT's tokenizers take most words whole and no more than three digits at once; a letter outside ASCII takes up
    to one token a byte, two of three on average.
    """
    return sum(map(_tokens_of_line, text.split("\n"))) + _MESSAGE_TOKENS


@lru_cache(maxsize=4096)  # the prompts of a run share most of their lines
def _tokens_of_line(line: str) -> int:
    # Outside ASCII every letter is a piece of its own, and two more bytes of UTF-8 are one more token.
    return len(_PIECE.findall(line)) + (len(line.encode()) - len(line)) // 2
