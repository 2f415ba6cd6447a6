"""Step 5 on several machines: the options of its verb, and the command that starts the training on each machine."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dataengine_lib.core.files import write_json
from dataengine_lib.steps.fine_tune import PROCESS, FineTuneConfig
from dataengine_lib.training.launch.command import command_for_machines, slurm_script
from dataengine_lib.training.launch.machines import settings_file


class FineTuneVerbConfig(FineTuneConfig):
    """Options of `dataengine fine-tune`: the parameters of step 5, and whether a command is printed instead."""

    print_command: Literal["shell", "slurm"] | None = None
    """Train nothing; print what trains on several machines: shell for a line, slurm for a script."""
    machines: int = Field(1, ge=1)
    """How many machines the printed command is for; each runs `processes`."""

    @model_validator(mode="after")
    def _a_printed_command_is_of_torch(self) -> Self:
        if self.print_command and (self.trainer == "command" or self.accelerate_config):
            raise ValueError(
                "print_command starts torch's launcher; leave accelerate_config and trainer: command out"
            )
        if self.machines > 1 and not self.print_command:
            raise ValueError(
                "machines needs print_command; give that, and run what it prints on each machine"
            )
        return self


def training_command(config: FineTuneVerbConfig) -> str:
    """The line or script that trains as `config` says; its parameters are written beside output_dir.

    The machines have to see the same files. When the checkpoint is there, step 5 with the same parameters uses it.
    Raises DataEngineError when the parameters cannot be written.
    """
    values = config.model_dump(mode="json", exclude={"print_command", "machines"})
    file = write_json(
        settings_file(config.output_dir.absolute()), {k: _placed(k, v) for k, v in values.items()}
    )
    arguments = [PROCESS, str(file), str(config.processes * config.machines)]
    if config.print_command == "slurm":
        return slurm_script(
            arguments, config.processes, config.machines, f"fine-tune {config.output_dir.name}"
        )
    return command_for_machines(arguments, config.processes, config.machines)


def _placed(name: str, value: Any) -> Any:
    """A parameter with absolute paths, since a machine may start in another folder."""
    field = FineTuneConfig.model_fields.get(name)
    paths = field is not None and "Path" in str(field.annotation)
    if isinstance(value, list):
        return [_placed(name, one) for one in value]
    if isinstance(value, dict):
        return {
            key: _placed(name, one) if key in ("file", "image_root") else one for key, one in value.items()
        }
    if isinstance(value, str) and (paths or (name in ("student", "adapter") and Path(value).is_dir())):
        return str(Path(value).absolute())
    return value
