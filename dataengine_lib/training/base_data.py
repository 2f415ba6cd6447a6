"""Step 5: the parameter `base_data`, one file or a list of files that are mixed in, each with its part of the draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.training.texts import TextFormat

FileFormat = Literal["questions", "conversations", "captions"]


class BaseData(StepConfig):
    """One file of `base_data` with its settings."""

    file: Path
    """Questions, conversations (LLaVA, LLaMA-Factory, ms-swift) or captions (MiniGPT-4, COCO)."""
    image_root: Path | None = None
    """Where its image paths start; default: base_image_root."""
    format: FileFormat | None = None
    """What the file has to hold; default: recognised by its content."""
    text_formats: list[TextFormat] | None = Field(None, min_length=1)
    """Text formats of its questions; default: those of the step."""
    share: float | None = Field(None, ge=0, lt=1)
    """Its share of all draws."""
    samples: float | None = Field(None, gt=0)
    """MiniGPT-4's sample_ratio: its weight in the draws; default: the square root of its rows."""

    @model_validator(mode="before")
    @classmethod
    def _of_path(cls, given: Any) -> Any:
        return {"file": given} if isinstance(given, str | Path) else given

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        if self.share is not None and self.samples is not None:
            raise ValueError("share and samples exclude each other; leave one out")
        return self


def base_files(given: Path | list[BaseData] | None) -> list[BaseData]:
    """The files of the parameter `base_data`."""
    if given is None:
        return []
    return given if isinstance(given, list) else [BaseData(file=given)]


def check_base_data(files: Sequence[BaseData], base_share: float | None, image_root: Path | None) -> None:
    """Raise ValueError for settings that contradict each other; `base_share` and `image_root` are those of all files."""
    if not files and (base_share or image_root):
        raise ValueError("base_share and base_image_root need base_data")
    shares = [one.share for one in files if one.share is not None]
    if shares and base_share is not None:
        raise ValueError("base_share is the share of all base data; leave it out, or share in base_data")
    if sum(shares) >= 1:
        raise ValueError(
            f"the shares in base_data add up to {sum(shares):g}, which leaves no draw for new data"
        )
    roots: dict[Path, Path | None] = {}
    for one in files:
        if roots.setdefault(one.file, one.image_root) != one.image_root:
            raise ValueError(
                f"base_data names {one.file} with two image roots; link the images into one folder"
            )
