"""Step 3: what a request costs, from a dated table of prices per million tokens."""

import datetime
import re
from functools import lru_cache
from pathlib import Path

import msgspec

from dataengine_lib import PROJECT_ROOT
from dataengine_lib.errors import ParameterError

PRICES = PROJECT_ROOT / "params" / "prices.yaml"
IMAGE_TOKENS = 3_800  # of a picture, for models that count 1,536 patches at most, each up to 2.46 times
FREE = ("annotations", "local", "playground", "replay")
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """US dollars per million tokens; without `cached_input`, cached tokens cost as much as the others.

    `image_tokens` is the most that one picture counts. Source: OpenAI's guide "Images and vision".
    """

    input: float
    output: float
    cached_input: float | None = None
    image_tokens: int = IMAGE_TOKENS

    def cost(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """US dollars; `cached_tokens` are a part of `prompt_tokens`."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = prompt_tokens - cached_tokens
        return (fresh * self.input + cached_tokens * cached + completion_tokens * self.output) / 1e6


class PriceTable(msgspec.Struct, forbid_unknown_fields=True):
    """`params/prices.yaml`: prices as of `date`."""

    date: datetime.date
    models: dict[str, Price]
    source: str = ""

    def of(self, teacher: str) -> Price | None:
        """The price of a teacher spec, zero for those without a model; None when the model has no line.

        A dated snapshot (`gpt-4o-2024-08-06`) that has no line of its own costs what its model does.
        """
        kind, _, model = teacher.partition(":")
        if kind in FREE:
            return Price(input=0.0, output=0.0)
        return self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))


def read_prices(path: Path | None = None) -> PriceTable:
    """Read a price table.

    Raises ParameterError naming the file and the key at fault.
    """
    path = path or PRICES
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=PriceTable)
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read ({error.strerror}); check prices") from error
    except msgspec.DecodeError as error:
        raise ParameterError(f"{path}: {error}; see params/prices.yaml for the form") from error


_PIECE = re.compile(r"[A-Za-z]{1,4}|\d{1,3}|\s(?=\d)|[^\sA-Za-z\d]")


def estimate_tokens(text: str) -> int:
    """An upper guess at the tokens of `text`, for reserving money and for a token budget.

    Tokenizers of GPT's kind take most words whole and no more than three digits; a letter outside ASCII takes up
    to one token a byte, two of three on average.
    """
    return sum(map(_tokens_of_line, text.split("\n"))) + 16


@lru_cache(maxsize=4096)  # the prompts of a run begin with the same rules
def _tokens_of_line(line: str) -> int:
    return len(_PIECE.findall(line)) + (len(line.encode()) - len(line)) // 2
