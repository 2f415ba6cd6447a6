"""Step 1: how much the tokens that a student's server lists say about its ranking of options, as counts of requests."""

from collections.abc import Collection

import msgspec

from dataengine_lib.students.on_server.first_tokens import FirstToken
from dataengine_lib.students.on_server.prompt_tokens import OptionTokens

_MOSTLY = 0.5  # of the probability of a first token; with less on the options the student would write something else


class RankCounts(msgspec.Struct):
    """Of all requests by which options were ranked: their number, and how many of them the server's list says less about.

    By first tokens (`rank: letter`) a question is one request for each order of its options. `missing` counts those with
    an option that has no token in the list, `elsewhere` those where the options have less than half of the probability,
    `cannot_tell` those that are not decided. By whole texts (`rank: text`) a question is one for each option, `call` is
    that by which the server gives log-probabilities of a prompt, `joined` counts those whose first token holds the end of
    the prompt as well, and `cannot_tell` those whose listed tokens do not end with the option.
    """

    requests: int = 0
    missing: int = 0
    elsewhere: int = 0
    cannot_tell: int = 0
    joined: int = 0
    call: str = ""


def rank_counts(
    first_tokens: Collection[FirstToken], options: Collection[OptionTokens | None] = (), call: str = ""
) -> RankCounts:
    """The counts of requests that were ranked by first tokens, and of those by the tokens of an option."""
    return RankCounts(
        requests=len(first_tokens) + len(options),
        missing=sum(one.missing > 0 for one in first_tokens),
        elsewhere=sum(one.share < _MOSTLY for one in first_tokens),
        cannot_tell=sum(not one.decided for one in first_tokens) + sum(one is None for one in options),
        joined=sum(one is not None and one.joined for one in options),
        call=call,
    )
