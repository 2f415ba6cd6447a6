"""usage."""

import msgspec


class StudentUsage(msgspec.Struct, frozen=True):
    """What a student behind a server took for these questions; `cost_usd` is None where its price is not known.

    Every reply counts once, whichever run paid for it; tries that failed are not in it.
    """

    replies: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: float | None = None
