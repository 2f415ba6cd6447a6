"""A study's YAML: the base experiment, and for every arm and seed the experiment that it becomes."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.secrets.given_values import refuse_secrets
from dataengine_lib.core.text import nearest_name, shown
from dataengine_lib.errors import ParameterError
from dataengine_lib.evaluation.studies.study_file import Arm
from dataengine_lib.runs import workflow
from dataengine_lib.runs.parameters import (
    Experiment,
    ExperimentHead,
    apply_set_option,
    experiment_of,
    read_mapping,
    set_key,
)
from dataengine_lib.runs.workflow import Planned, plan
from dataengine_lib.studies.report import report_config
from dataengine_lib.studies.settings import StudySettings

# Steps whose seed draws nothing that arms compare: all runs keep the base's, so that the first evaluation is shared.
_SAME_SEED = ("classify_questions", "evaluate")


@dataclass(frozen=True)
class StudyRun:
    """One arm with one seed."""

    arm: str
    seed: int
    experiment: Experiment

    @property
    def folder(self) -> str:
        """The run's folder, seen from the study's."""
        return f"{self.arm}/seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """A study that was read: `runs` are in the order in which they start, all arms of a seed before the next seed."""

    file: Path
    settings: StudySettings
    arms: list[Arm]
    base: Experiment
    runs: list[StudyRun]

    @property
    def first_runs(self) -> list[StudyRun]:
        """The first run of each arm, in the order of the arms."""
        return self.runs[: len(self.arms)]

    def planned(self, run: StudyRun, out: Path, playground: str = "{playground}") -> list[Planned]:
        """The steps of a run of the study in the folder `out`."""
        return plan(run.experiment, out / run.folder, playground)


def is_study(file: Path) -> bool:
    """Whether a YAML is that of a study, and not of one experiment. Raises ParameterError when it cannot be read."""
    return "study" in read_mapping(file)


def read_study(file: Path, sets: list[str] | None = None, parallel: str | None = None) -> Study:
    """Read the study in `file`, with `--set` options for its base experiment and `parallel` in place of the file's.

    Every arm's keys and values are checked here. Raises ParameterError with one line per fault.
    """
    given = read_mapping(file)
    refuse_secrets(given, str(file))
    own = list(StudySettings.model_fields)
    steps = [step.name for step in workflow.STEPS]
    known = [*own, *ExperimentHead.model_fields, *steps]
    for key in given:
        if key not in known:
            raise ParameterError(
                f"{file}: unknown key {key!r}; nearest valid key: {nearest_name(key, known)!r}"
            )
    head = {key: value for key, value in given.items() if key in own}
    if parallel is not None:
        head["parallel"] = int(parallel) if parallel.isdecimal() else parallel
    settings = StudySettings.read(head, str(file))
    report_config(settings, file, Path("reports") / settings.study)

    # 1. the base experiment: another file, then the study's own keys, then --set
    base_file = _base_file(file, settings.base)
    content = copy.deepcopy(read_mapping(base_file)) if settings.base else {}
    changed = [key for key in _flat(given) if key.split(".")[0] not in own]
    for key in changed:
        if (value := _at(given, key)) is None and key in steps:
            content.setdefault(key, None)  # `classify_questions:` with nothing below it takes nothing away
        else:
            set_key(content, key, value, f"{file}: {key}")
    for option in sets or []:
        apply_set_option(content, option)
    content["run"] = settings.study
    set_keys = (*changed, *(option.partition("=")[0].strip() for option in sets or []))
    names = [*([str(file)] if settings.base else []), *(["--set"] if sets else [])]
    base = experiment_of(base_file, content, steps, set_keys, " and ".join(names))
    if base.head.until is not None:
        raise ParameterError(
            f"{file}: until: all runs of a study have the same rounds, or they could not be compared; set `until: null`"
        )
    plan(base, Path("reports") / settings.study)  # a fault of the base is not reported once for each arm

    # 2. the arms, all of them before anything runs
    for name in _SAME_SEED:
        if name == "evaluate" or name in content:
            content[name] = {"seed": base.head.seed} | (content.get(name) or {})
    arms, wrong = [], []
    for name, changes in settings.arms.items():
        try:
            arm = Arm(name, _changes(changes, steps, f"{file}: arms.{name}"))
            plan(_experiment(base_file, content, steps, arm, None, f"arms.{name} of {file}"), Path("reports"))
            arms.append(arm)
        except ParameterError as error:
            wrong.append(str(error))
    if wrong:
        raise ParameterError("\n".join(wrong))
    runs = [
        StudyRun(
            arm.name,
            seed,
            _experiment(base_file, content, steps, arm, seed, f"arms.{arm.name} of {file}"),
        )
        for seed in settings.seeds
        for arm in arms
    ]
    return Study(file, settings, arms, base, runs)


def _base_file(file: Path, base: Path | None) -> Path:
    """The base experiment's file: beside the study's, or seen from the current folder."""
    if base is None:
        return file
    beside = file.parent / base.expanduser()
    return beside if beside.is_file() or not base.is_file() else base


def _experiment(
    file: Path, content: dict[str, Any], steps: list[str], arm: Arm, seed: int | None, set_by: str
) -> Experiment:
    """The base's `content` with an arm's changes; `seed` None keeps the base's."""
    changed = copy.deepcopy(content)
    keys = [f"{step}.{key}" for step, values in arm.changes.items() for key in values]
    for key in keys:
        step, _, rest = key.partition(".")
        set_key(changed, key, arm.changes[step][rest], f"{set_by}: {key}")
    if seed is not None:
        changed["seed"] = seed
        changed["run"] = f"{content['run']}-{arm.name}-seed{seed}"
    return experiment_of(file, changed, steps, tuple(keys), set_by)


def _changes(changes: Any, steps: list[str], where: str) -> dict[str, dict[str, Any]]:
    """What an arm changes, in one form: {step: {key: value}}."""
    if changes is None:
        return {}
    if not isinstance(changes, dict):
        raise ParameterError(f"{where}: must hold `step: {{key: value}}` lines (given: {shown(changes)})")
    found: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        step, dot, rest = key.partition(".")
        if step in ExperimentHead.model_fields:
            raise ParameterError(f"{where}: {step} is the same for all arms; give it for the whole study")
        if step not in steps:
            near = nearest_name(step, steps)
            raise ParameterError(f"{where}: unknown section {step!r}; nearest valid one: {near!r}")
        if dot:
            value = {rest: value}
        if not isinstance(value, dict):
            raise ParameterError(f"{where}: {key}: must hold `key: value` lines (given: {shown(value)})")
        for name, item in value.items():
            if name in found.get(step, {}):
                raise ParameterError(f"{where}: {step}.{name} is given twice; keep one of them")
            found.setdefault(step, {})[name] = item
    return found


def _flat(given: dict[str, Any]) -> Iterator[str]:
    """The keys of a YAML, those of a section as section.key."""
    for key, value in given.items():
        if isinstance(value, dict) and value:
            yield from (f"{key}.{inner}" for inner in value)
        else:
            yield key


def _at(given: dict[str, Any], key: str) -> Any:
    section, dot, rest = key.partition(".")
    return given[section][rest] if dot else given[section]
