"""Step 2: the parameters of causes below the types."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.teachers.spec import check_spec


class CauseParameters(StepConfig):
    """Whether causes are looked for, and how; only a teacher costs money."""

    causes: Literal["none", "cluster", "teacher"] = "none"
    """Group a type's bad cases by what they have in common, by clustering or a teacher, and ask about all groups alike."""
    max_causes: int = Field(6, ge=2, le=20)
    """Most causes of a type."""
    min_cause_cases: int = Field(8, ge=2)
    """Fewest bad cases of a cause, in the round that finds it."""
    earlier_causes: list[Path] = Field(default_factory=list)
    """causes.json of earlier rounds, whose causes are kept; the last counts."""
    cause_teacher: str = ""
    """Model (openai:MODEL) that names causes where causes is teacher, at a cost."""
    base_url: str | None = None
    """Server of cause_teacher; default OPENAI_BASE_URL, then OpenAI itself."""
    max_output_tokens: int = Field(2000, ge=1)
    """Of one reply of cause_teacher; models that reason need more."""
    budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Stop asking cause_teacher before more than this is spent."""
    prices: Path | None = None
    """Price table; default: the built-in one."""

    @field_validator("cause_teacher")
    @classmethod
    def _is_chat_model(cls, spec: str) -> str:
        if spec and check_spec(spec).partition(":")[0] != "openai":
            raise ValueError("this teacher cannot name causes; choose openai:MODEL")
        return spec

    @model_validator(mode="after")
    def _teacher_of_causes(self) -> Self:
        if (self.causes == "teacher") != bool(self.cause_teacher):
            raise ValueError("causes: teacher and cause_teacher go together; give both, or neither")
        return self
