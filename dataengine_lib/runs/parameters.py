"""The parameters of an experiment (all steps): one YAML file and the `--set` options, checked key by key."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from dataengine_lib.core.secrets.given_values import refuse_secrets
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.text import nearest_name, shown
from dataengine_lib.core.user_files.yaml_file import parse_yaml, read_yaml
from dataengine_lib.errors import ParameterError

_HOW_TO_SET = "write STEP.KEY=VALUE, for example evaluate.batch_size=32"


class PlaygroundSettings(StepConfig):
    """The `playground` section: the offline world is written before step 0; `{playground}` stands for its folder."""

    cache: Path = Path("reports/.playground")
    seed: int = Field(0, ge=0)
    sizes: dict[str, int] = Field(default_factory=dict)


class UntilSettings(StepConfig):
    """The `until` section: when the rounds end before `rounds` are done; each rule counts on its own."""

    no_type_gains: bool = False
    """After a round in which no question type gains, after Holm's correction."""
    max_usd_per_point: float | None = Field(None, gt=0)
    """After a round whose teacher and readers cost more US dollars for a point of all compared questions together."""


class ExperimentHead(StepConfig):
    """The keys of a YAML beside the sections of its steps."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The folder's name below reports."""
    rounds: int = Field(1, ge=1, le=100)
    """With `until`, the most rounds."""
    until: UntilSettings | None = None
    seed: int = Field(0, ge=0)
    playground: PlaygroundSettings | None = None


@dataclass(frozen=True)
class Experiment:
    """A YAML file after `--set`: the head, and for each step the keys that the user set."""

    file: Path
    head: ExperimentHead
    sections: dict[str, dict[str, Any]]
    set_keys: tuple[str, ...] = ()
    set_by: str = "--set"  # what changed these keys, for messages
    command: str = ""  # what a user typed to run it, without --out

    def where(self, section: str) -> str:
        """How a message names a section: the file, and `with --set` where an option changed it."""
        changed = any(key.split(".")[0] == section for key in self.set_keys)
        return f"{self.file}{f' with {self.set_by}' if changed else ''}: {section}"


def read_experiment(file: Path, steps: list[str], sets: list[str], rounds: int | None = None) -> Experiment:
    """Read `file`, apply `--set STEP.KEY=VALUE` options and `rounds`; `steps` are the sections it may have.

    Raises ParameterError for unreadable YAML, an unknown section or a value that looks like a secret.
    """
    content = read_mapping(file)
    for option in sets:
        apply_set_option(content, option)
    if rounds is not None:
        content["rounds"] = rounds
    read = experiment_of(file, content, steps, tuple(option.partition("=")[0] for option in sets))
    options = [part for option in sets for part in ("--set", option)]
    options += [] if rounds is None else ["--rounds", str(rounds)]
    return replace(read, command=shlex.join(["dataengine", "run", str(file), *options]))


def experiment_of(
    file: Path,
    content: dict[str, Any],
    steps: list[str],
    set_keys: tuple[str, ...] = (),
    set_by: str = "--set",
) -> Experiment:
    """As `read_experiment`, of a YAML's `content`, in which `set_by` has changed the keys `set_keys`."""
    refuse_secrets(content, str(file))
    heads = list(ExperimentHead.model_fields)
    for key in content:
        if key not in heads and key not in steps:
            near = nearest_name(str(key), [*heads, *steps])
            raise ParameterError(f"{file}: unknown section {key!r}; nearest valid one: {near!r}")
    sections: dict[str, dict[str, Any]] = {}
    for key in steps:
        section = content.get(key, {})
        if section is not None and not isinstance(section, dict):
            raise ParameterError(f"{file}: {key}: must hold `key: value` lines (given: {shown(section)})")
        # `classify_questions:` with nothing below it is None in YAML, and still makes step 0 part of the run
        if key in content:
            sections[key] = section or {}
    head = ExperimentHead.read({key: content[key] for key in heads if key in content}, str(file))
    return Experiment(file, head, sections, set_keys, set_by)


def read_mapping(file: Path) -> dict[str, Any]:
    """The content of a YAML file of parameters. Raises ParameterError when it holds no keys."""
    content = read_yaml(file, "check the path")
    if not isinstance(content, dict):
        raise ParameterError(f"{file}: must hold `key: value` lines; see params/demo.yaml")
    return content


def apply_set_option(content: dict[str, Any], option: str) -> None:
    """Apply one `--set a.b=value` to the YAML's content; the value is read as YAML."""
    key, equals, text = option.partition("=")
    name = f"--set {key.strip()}"
    if not equals:
        raise ParameterError(f"{name}: {_HOW_TO_SET}")
    try:
        set_key(content, key, parse_yaml(text), name)
    except ValueError as error:
        raise ParameterError(f"{name}: the value is not valid YAML ({error}); quote it") from error


def set_key(content: dict[str, Any], key: str, value: Any, name: str) -> None:
    """Set the `key` a.b to `value` in the YAML's content; `name` is what a message calls it."""
    parts = key.strip().split(".")
    if not all(parts):
        raise ParameterError(f"{name}: {_HOW_TO_SET}")
    # evaluate.batch_size becomes {"evaluate": {"batch_size": value}}
    place = content
    for part in parts[:-1]:
        # not only a missing section: `evaluate:` with nothing below it is None as well
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
        if not isinstance(place, dict):
            raise ParameterError(f"{name}: {shown(part)} holds no keys")
    place[parts[-1]] = value
