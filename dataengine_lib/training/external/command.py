"""Step 5, `trainer: command`: the command's arguments and its trainer's config, with the values of this training put in."""

import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.core.text import nearest_name
from dataengine_lib.errors import ParameterError

# {data} and the like; JSON in an argument, such as {"stage": 3}, is left as it is
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_SHELL_WORDS = re.compile(r"[|&;<>]+|[0-9]>.*|.*[$`].*")  # what only a shell understands: a | b, x > y, $HOME

# What commands and config templates may name, with what it is.
PLACEHOLDERS = {
    "data": "the exported file",
    "data_folder": "its folder",
    "data_name": "the data set's name",
    "image_list": "MiniGPT-4's list of images",
    "image_root": "where the new data's images are",
    "student": "the model to start from",
    "output": "the folder for the checkpoint",
    "config": "the filled config",
    "python": "this Python",
}
TEMPLATE_SETTINGS = (
    "method", "lora_rank", "train_vision", "learning_rate", "batch_size", "accumulate", "scheduler", "warmup",
    "weight_decay", "seed", "text_formats",
)  # fmt: skip
_NAMES = ", ".join([*PLACEHOLDERS, *TEMPLATE_SETTINGS, "shell(TEXT)"])


def split_command(command: str | list[str]) -> list[str]:
    """The arguments of a command that is given as one text or as a list; it is run without a shell.

    Raises ValueError, for a Config, for an empty one, an unknown `{placeholder}`, or a text that needs a shell.
    """
    if isinstance(command, str):
        arguments = shlex.split(command)  # raises ValueError for a quote that is not closed
        if word := next((one for one in arguments if _SHELL_WORDS.fullmatch(one)), None):
            raise ValueError(f"{word!r} is for a shell, which is not used; put the command into a script")
    else:
        arguments = list(command)
    if not arguments or not arguments[0].strip():
        raise ValueError("the command is empty")
    for argument in arguments:
        for name in _PLACEHOLDER.findall(argument):
            if name not in PLACEHOLDERS:
                near = nearest_name(name, PLACEHOLDERS)
                raise ValueError(f"unknown placeholder {{{name}}}; nearest valid one: {{{near}}}")
    return arguments


def check_program(command: str | list[str], folder: Path | None) -> None:
    """Raise ParameterError when the program of a command, or the folder in which it starts, is not there."""
    program = split_command(command)[0]
    if folder is not None and not folder.is_dir():
        raise ParameterError(f"{folder}: not found; check command_folder")
    # a program with a slash in its name is looked for where the command starts
    there = (folder or Path()) / program
    found = there.is_file() if "/" in program else shutil.which(program) or "{" in program
    if not found:
        raise ParameterError(f"{program}: not found; install it, or give its whole path in command")


def filled_command(arguments: list[str], values: Mapping[str, str]) -> list[str]:
    """The arguments with `{data}` and the like replaced; a value is never split or read again.

    Raises ParameterError for a placeholder that has no value in this training.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            what = "command_config" if found[1] == "config" else "command_format: minigpt4"
            raise ParameterError(f"command: {found[0]} needs {what}; give it, or leave the placeholder out")
        return values[found[1]]

    return [_PLACEHOLDER.sub(value, argument) for argument in arguments]


def filled_config(template: Path, values: Mapping[str, object]) -> str:
    """The trainer's config from its Jinja template.

    `shell(x)` in it quotes a value for a shell script, `x | tojson` one for YAML or JSON. Raises ParameterError naming
    the file for a template that cannot be read or filled.
    """
    return _template(template).render(shell=shlex.quote, **values)


def names_in_config(template: Path) -> frozenset[str]:
    """The values that the trainer's config names. Raises ParameterError for a template that cannot be read."""
    return _template(template).reads()


def _template(file: Path) -> PromptTemplate:
    return PromptTemplate(file, _NAMES, "check command_config")
