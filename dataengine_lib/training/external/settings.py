"""Step 5: the parameters of `trainer: command`."""

from collections.abc import Container
from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from dataengine_lib.core.step_config import StepConfig, changed_parameters
from dataengine_lib.training.external.checkpoint import ANSWERS
from dataengine_lib.training.external.command import TEMPLATE_SETTINGS, names_in_config, split_command

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

    @property
    def returns_answers(self) -> bool:
        """Whether the checkpoint will be the answers of the trainer's own evaluation, in place of a model.

        MiniGPT-4 writes models that step 1 cannot load; another command returns answers where it names their file.
        """
        if self.trainer == "own":
            return False
        return self.command_format == "minigpt4" or any(ANSWERS in one for one in split_command(self.command))

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
        if self.trainer == "own" and (given := changed_parameters(self, CommandSettings.model_fields)):
            raise ValueError(f"{' and '.join(given)}: needs trainer: command; set that, or leave this out")
        return self


def unused_settings(config: CommandSettings, used: Container[str]) -> list[str]:
    """A sentence about the settings of the training that `command_config` does not name, as they have no effect.

    `used` are those that step 5 itself follows. Raises ParameterError for a template that cannot be read.
    """
    named = names_in_config(config.command_config) if config.command_config else frozenset()
    unused = [
        name
        for name in changed_parameters(config, TEMPLATE_SETTINGS)
        if name not in named and name not in used
    ]
    if not unused:
        return []
    return [
        f"not used by the other trainer: {', '.join(unused)}; name them in command_config, as {{{{ {unused[0]} }}}}, or "
        "set the like in the command"
    ]


def work_folder(output_dir: Path) -> Path:
    """The folder beside the checkpoint in which the command's files lie."""
    return output_dir.absolute().with_name(output_dir.name + ".trainer")
