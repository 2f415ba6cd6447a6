"""Steps 0, 1, 3 and 4: how a model behind a server is asked, the settings that every request to it shares."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ChatSettings(BaseModel):
    """Sampling, limits and pace of requests to one model; a step's Config that inherits it has them as parameters.

    Defaults may differ from step to step: a Config declares such a field again.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)

    base_url: str | None = None
    """OpenAI-compatible server; default OPENAI_BASE_URL, then OpenAI itself."""
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    """The model's own default when not given; some models reject it."""
    max_output_tokens: int = Field(600, ge=1)
    """Of one reply; models that reason need more."""
    seed: int = 0
    """Sent with temperature to servers that sample."""
    concurrency: int = Field(64, ge=1)
    """Most requests at the same time; fewer while the server is busy."""
    rpm: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Most requests a minute; limits that the server names are kept anyway."""
    tpm: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Most tokens a minute, prompts and replies together."""
    service_tier: str | None = None
    """Passed to OpenAI: flex is slower, at half the price."""
    timeout_s: float = Field(60, gt=0, allow_inf_nan=False)
    """Seconds to wait for one reply."""
    max_attempts: int = Field(6, ge=1)
    """Tries of one request when the server is busy or away."""


class PaidChatSettings(ChatSettings):
    """ChatSettings with a limit of the money that one output may cost (steps 0 and 3)."""

    budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Stop before more than this is spent on this output."""
    prices: Path | None = None
    """Price table; default: the built-in one."""
