"""Step 5: the parameters of `trainer: command`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.training.external.command import split_command

TrainerFormat = Literal["llava", "llamafactory", "swift", "minigpt4"]


class CommandSettings(StepConfig):
    """How another trainer is run; its formats are those of `export`."""

    trainer: Literal["own", "command"] = "own"
    """Train here, or by the command of another trainer on the exported rows."""
    command: str | list[str] = ""
    """Its arguments, run without a shell; {data}, {student}, {output}, {config} and others are filled in."""
    command_config: Path | None = None
    """Jinja template of its config, which becomes {config}; see params/trainers."""
    command_format: TrainerFormat = "llava"
    """Format in which the rows are exported for it."""
    command_folder: Path | None = None
    """Folder in which it starts, such as a checkout; default: the current one."""

    @field_validator("command")
    @classmethod
    def _command_can_be_run(cls, command: str | list[str]) -> str | list[str]:
        if command:
            split_command(command)
        return command

    @model_validator(mode="after")
    def _trainer_is_whole(self) -> Self:
        if self.trainer == "command" and not self.command:
            raise ValueError("trainer: command needs command, the arguments of another trainer")
        if self.trainer == "own" and (self.command or self.command_config or self.command_folder):
            raise ValueError("command, command_config and command_folder need trainer: command")
        return self


def work_folder(output_dir: Path) -> Path:
    """The folder beside the checkpoint in which the command's files lie."""
    return output_dir.absolute().with_name(output_dir.name + ".trainer")
