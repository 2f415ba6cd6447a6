"""Step 5: the parameters that say which parts of a student are trained, and how its weights are held."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.training.parts.student_parts import Part

TrainDtype = Literal["auto", "float32", "bfloat16"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # numpy takes no other


class TrainableSettings(StepConfig):
    """What is trained of a student, and how it is held."""

    adapter: str | None = None
    """Folder or hub name of a PEFT adapter for the student, to start on top of."""
    method: Literal["lora", "full"] = "lora"
    """Train LoRA adapters, or all weights."""
    lora_rank: int = Field(16, ge=1)
    """Rank of the adapters' matrices."""
    lora_alpha: int | None = Field(None, ge=1)
    """Scale of the adapters times their rank; default: 2 * lora_rank."""
    lora_dropout: float = Field(0, ge=0, lt=1)
    """Share of an adapter's inputs that is dropped in a pass."""
    target_modules: list[str] = Field(default_factory=list)
    """Layers that get adapters, as q_proj or *.self_attn.*; default: every linear one of the parts trained."""
    train_vision: bool = False
    """Train the vision tower as well."""
    train_parts: list[Part] = Field(default_factory=list)
    """Of vision, projector (or merger), q_former, language_model; default: all but vision."""
    projector_rate: float | None = Field(None, gt=0)
    """The highest for the projector (or merger); default: learning_rate."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, slower, the same weights."""
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    """How attention is computed; auto: transformers' choice. For short texts on a processor eager is the faster one."""
    quantize: Literal["4bit"] | None = None
    """Hold the base model in 4 bits under the adapters (QLoRA); needs bitsandbytes and an NVIDIA GPU."""
    dtype: TrainDtype = "auto"
    """Precision of matrix products; auto: bfloat16 where the hardware multiplies it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    seed: Seed = 0
    """Draws new adapters, and what dropout leaves out."""

    @model_validator(mode="after")
    def _parts_have_their_settings(self) -> Self:
        if self.method != "lora" and (self.target_modules or self.lora_alpha or self.lora_dropout):
            raise ValueError("target_modules, lora_alpha and lora_dropout are for method lora")
        if self.quantize and (self.method != "lora" or self.adapter):
            raise ValueError("quantize is for new adapters on a whole model: method lora, and no adapter")
        if self.projector_rate and self.train_parts and "projector" not in self.train_parts:
            raise ValueError("projector_rate needs projector in train_parts")
        return self
