"""Prompt studio: what versions of a prompt are made from, asked and checked with."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from dataengine_lib.chat.settings import PaidChatSettings
from dataengine_lib.curation.readers.spec import ReaderSpecs
from dataengine_lib.resources import QUERY_PROMPTS
from dataengine_lib.teachers.spec import check_spec

_READ_PROMPTS = ("openai", "local", "playground")


class StudioSettings(PaidChatSettings):
    """Parameters of the versions; a step's Config that inherits it has them as its own."""

    input: Path
    """Queries: gptvqa_prompt.json of step 2."""
    output: Path
    """Folder of the versions, their replies and figures; the accepted template is accepted.j2 in it."""
    template: Annotated[str | Path, QUERY_PROMPTS] = "v1"
    """The template of these queries: v1, v2, vision or a file."""
    without_rules: list[int] = Field(default_factory=list)
    """Numbers of rules that the first version leaves out, to see what they do."""
    teacher: str = "playground"
    """Who writes QAs by the rules: openai:MODEL, local or playground."""
    proposer: str = ""
    """Who proposes better rules: openai:MODEL, local or playground; empty: the teacher."""
    sample: int = Field(20, ge=1)
    """Queries whose QAs are marked, of each round others."""
    holdout: int = Field(60, ge=1)
    """Queries that decide between versions, about other images."""
    image_root: Path | None = None
    """Where the queries' images lie; default: coco_dataset."""
    coco_dataset: Path | None = None
    """Captions and boxes of the images, with which QAs are checked."""
    second_reader: ReaderSpecs = Field(default_factory=list)
    """Model (openai:MODEL or playground), or several, that answers each QA once more, at a cost; empty: none."""
    seed: int = 0
    """Draws the held-out queries; sent with temperature to servers that sample."""
    rules_output_tokens: int = Field(2000, ge=1)
    """Of one reply with a list of rules; max_output_tokens is that of a QA."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the queries cannot be used."""

    @field_validator("teacher", "proposer")
    @classmethod
    def _reads_prompts(cls, spec: str) -> str:
        if spec and check_spec(spec).partition(":")[0] not in _READ_PROMPTS:
            raise ValueError("this teacher reads no prompt; choose openai:MODEL, local or playground")
        return spec
