"""The loop as a list: which notebook runs when, what it reads and writes, and what one hands to the next."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.evaluate import EvaluateConfig
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.steps.generate_qa import GenerateQaConfig
from dataengine_lib.steps.post_process import PostProcessConfig


@dataclass(frozen=True)
class Step:
    """One notebook. Values begin with a `{place}`; see `_places` for what the places are.

    `reads` and `writes` are set by the workflow; a read whose place does not exist yet (the checkpoint in
    round 1) is left to the YAML. `defaults` count where the YAML says nothing. `leaves` names further files
    beside those of `writes`, `keeps` the `defaults` that are a store to be completed, no input or output, and
    `optional` the inputs that need not be there.
    """

    number: int
    name: str
    config: type[StepConfig]
    when: Literal["before", "round", "round and after", "at the end"]
    reads: dict[str, str] = field(default_factory=dict)
    writes: dict[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()
    defaults: dict[str, str] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def notebook(self) -> str:
        """`1_evaluate`: file name of the notebook, its report and its manifest."""
        return f"{self.number}_{self.name}"


STEPS = (
    Step(
        0, "classify_questions", ClassifyQuestionsConfig, when="before",
        writes={"output": "{run}/aokvqa_classified.json"},
        defaults={"seed": "{seed}"},
    ),
    Step(
        1, "evaluate", EvaluateConfig, when="round and after",
        reads={"questions": "{classified}", "student": "{checkpoint}",
               "teacher_queries": "{rounds before}/gptvqa_prompt.json"},
        writes={"output_dir": "{here}"},
        leaves=("aokvqa_eval.json", "bad_case_aokvqa_classified.json", "weight.json", "weight.txt",
                "metrics.json", "predictions.json", "student_ledger.jsonl"),
        defaults={"seed": "{seed}"},
    ),
    Step(
        2, "construct_queries", ConstructQueriesConfig, when="round",
        reads={"input": "{here}/bad_case_aokvqa_classified.json", "weight": "{here}/weight.json",
               "exclude_queries": "{rounds before}/gptvqa_prompt.json"},
        writes={"output": "{here}/gptvqa_prompt.json"},
        leaves=("sampling.json",),
        defaults={"questions": "{evaluate.questions}", "bad_case_image_root": "{evaluate.image_root}",
                  "coco_embedding": "{run}/coco_embedding", "seed": "{round seed}", "round": "{round}"},
        keeps=("coco_embedding",),
    ),
    Step(
        3, "generate_qa", GenerateQaConfig, when="round",
        reads={"input": "{here}/gptvqa_prompt.json"},
        writes={"output": "{here}/gptvqa_result.jsonl"},
        leaves=("gptvqa_failed.jsonl", "usage.json"),
        defaults={"coco_dataset": "{construct_queries.coco_dataset}",
                  "image_root": "{construct_queries.coco_dataset}", "seed": "{round seed}"},
    ),
    Step(
        4, "post_process", PostProcessConfig, when="round",
        reads={"input": "{here}/gptvqa_result.jsonl", "earlier": "{rounds before}/gptvqa_train_data.json"},
        writes={"output": "{here}/gptvqa_train_data.json", "rejects": "{here}/rejects.jsonl"},
        leaves=("post_process.json", "readers_ledger.jsonl"),
        defaults={"image_root": "{construct_queries.coco_dataset}", "review": "{here}/review.json",
                  "coco_dataset": "{construct_queries.coco_dataset}",
                  "coco_embedding": "{construct_queries.coco_embedding}", "questions": "{evaluate.questions}",
                  "evaluation_image_root": "{evaluate.image_root}", "seed": "{round seed}"},
        keeps=("coco_embedding",),
        optional=("review",),
    ),
    Step(  # always the first student, with the data of all rounds so far: errors do not pile up on each other
        5, "fine_tune", FineTuneConfig, when="round",
        reads={"train_data": "{rounds so far}/gptvqa_train_data.json"},
        writes={"output_dir": "{here}/checkpoint"},
        defaults={"student": "{first student}", "image_root": "{construct_queries.coco_dataset}",
                  "seed": "{round seed}"},
    ),
    Step(
        6, "compare_rounds", CompareRoundsConfig, when="at the end",
        reads={"evaluations": "{evaluated}/aokvqa_eval.json"},
        writes={"output": "{run}/compare_rounds.json"},
        defaults={"image_root": "{evaluate.image_root}", "seed": "{seed}"},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A step at its place in the run: the notebook, its report and its manifest lie in `folder`."""

    step: Step
    label: str  # round1/1_evaluate
    round: int | None
    folder: Path
    config: StepConfig
    wired: frozenset[str]  # the parameters that the workflow has set

    @property
    def asks(self) -> dict[str, str]:
        """The models that are asked to write or answer, by the parameter that names them: teacher and readers."""
        named = {"teacher": getattr(self.config, "teacher", ""), **getattr(self.config, "readers", {})}
        return {name: str(spec) for name, spec in named.items() if spec}

    @property
    def executed(self) -> Path:
        return self.folder / f"{self.step.notebook}.ipynb"

    @property
    def html(self) -> Path:
        return self.executed.with_suffix(".html")

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.step.notebook}.manifest.json"

    def outputs(self) -> list[Path]:
        """Every file or folder that the step may leave."""
        wired = [getattr(self.config, name) for name in self.step.writes]
        return [path for path in wired if path != self.folder] + [self.folder / n for n in self.step.leaves]

    def inputs(self) -> dict[str, list[Path]]:
        """Files and folders that the step reads, by field; also what a text names (student, replay:FILE)."""
        found = {}
        for name, value in self.config:
            if name in self.step.writes or name in self.step.keeps:
                continue
            values = value if isinstance(value, list) else [value]
            paths = [path for item in values if (path := _as_path(name, item)) is not None]
            if paths:
                found[name] = paths
        return found


def plan(experiment: Experiment, out: Path, playground: str = "{playground}") -> list[Planned]:
    """The steps of the run in order, with their configs; `playground` is the written playground's folder.

    A step without a section runs with its defaults, except `classify_questions`: without it
    `evaluate.questions` has to be classified already. Raises ParameterError with one line per wrong key.
    """
    out = seen_from_here(out)
    roots = _yaml_roots(experiment.file)
    planned: list[Planned] = []
    wrong: list[str] = []
    configs: dict[str, StepConfig] = {}
    met: set[str] = set()
    for step, place, round_ in _sequence(experiment):
        written = experiment.sections.get(step.name, {})
        section = {key: _in_playground(value, playground) for key, value in written.items()}
        where = experiment.where(step.name)
        try:
            places = _places(experiment, out, place, round_, configs, playground)
            wired, usual = _fill(step.reads | step.writes, places), _fill(step.defaults, places)
            taken = [key for key in section if key in wired]
            if taken and step.name not in met:  # the student is the YAML's in round 1, a checkpoint later
                raise ParameterError(f"{where}: {taken[0]} is set by the workflow; remove it")
            config = _with_found_paths(step.config.read(usual | section | wired, where), out, roots)
        except ParameterError as error:
            # What should have come from a step that is wrong itself is not asked for as well.
            lines = [line for line in str(error).splitlines() if line not in wrong]
            follow = [f": {key} is needed" for key in step.defaults]
            wrong += [line for line in lines if not any(text in line for text in follow)]
            continue
        finally:
            met.add(step.name)
        configs[step.name] = config
        label = f"{place}/{step.notebook}" if place else step.notebook
        planned.append(Planned(step, label, round_, out / place, config, frozenset(wired)))
    if wrong:
        raise ParameterError("\n".join(wrong))
    return planned


def _sequence(experiment: Experiment) -> Iterator[tuple[Step, str, int | None]]:
    """(step, folder below the run, round) in the order of execution."""
    rounds = range(1, experiment.head.rounds + 1)
    parts = [("", None, "before"), *((f"round{n}", n, "round") for n in rounds)]
    for place, number, when in [*parts, ("final", None, "after"), ("", None, "at the end")]:
        for step in STEPS:
            if when in step.when and (when != "before" or step.name in experiment.sections):
                yield step, place, number


def _places(
    experiment: Experiment,
    out: Path,
    place: str,
    round_: int | None,
    configs: dict[str, StepConfig],
    playground: str,
) -> dict[str, Any]:
    """What the `{…}` in STEPS stand for; None where there is no such thing (yet).

    `{evaluate.image_root}` is that parameter of the step, as it ran last before.
    """
    rounds = [out / f"round{n}" for n in range(1, experiment.head.rounds + 1)]
    done = len(rounds) if round_ is None else round_ - 1
    first = experiment.sections.get("evaluate", {}).get("student")
    shared = {f"{name}.{key}": value for name, config in configs.items() for key, value in config}
    return shared | {
        "run": out,
        "here": out / place,
        "classified": out / "aokvqa_classified.json" if "classify_questions" in experiment.sections else None,
        "checkpoint": rounds[done - 1] / "checkpoint" if done else None,
        "first student": _in_playground(first, playground),
        "rounds before": rounds[:done],
        "rounds so far": rounds[: done + 1],
        "evaluated": [*rounds, out / "final"],
        "seed": experiment.head.seed,
        "round": round_,
        "round seed": experiment.head.seed + (round_ or 0),
    }


def _fill(templates: dict[str, str], places: dict[str, Any]) -> dict[str, Any]:
    """`{place}/file` with the place put in; a list of places gives a list of files."""
    filled: dict[str, Any] = {}
    for name, template in templates.items():
        place, _, rest = template[1:].partition("}")
        value = places.get(place)
        if isinstance(value, list):
            filled[name] = [f"{item}{rest}" for item in value]
        elif value is not None:
            filled[name] = value if isinstance(value, int) else f"{value}{rest}"
    return filled


def _in_playground(value: Any, folder: str) -> Any:
    if isinstance(value, list):
        return [_in_playground(item, folder) for item in value]
    return value.replace("{playground}", folder) if isinstance(value, str) else value


def _yaml_roots(file: Path) -> list[Path]:
    """Where relative paths of an experiment may start beside the current folder: its YAML's, and the one above params/."""
    folder = file.absolute().parent
    return [folder, folder.parent] if folder.name == "params" else [folder]


def _with_found_paths(config: StepConfig, out: Path, roots: list[Path]) -> StepConfig:
    """The config with its paths as seen from the current folder; what is not there is looked for in `roots`."""
    return config.model_copy(update={name: _found(name, value, out, roots) for name, value in config})


def _found(name: str, value: Any, out: Path, roots: list[Path]) -> Any:
    if isinstance(value, list):
        return [_found(name, item, out, roots) for item in value]
    if not isinstance(value, Path) and name not in ("student", "encoder"):
        return value
    path = Path(value).expanduser()
    if path.is_relative_to(out):  # made by this run; a run of that name beside the YAML is another one
        return value
    if not path.is_absolute() and not path.exists():
        path = next((root / path for root in roots if (root / path).exists()), path)
    path = seen_from_here(path)
    if isinstance(value, Path):
        return path
    return str(path) if path.exists() and os.sep in value else value


def seen_from_here(path: Path) -> Path:
    """Relative when it is inside the current folder, so that reports do not speak of this machine."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _as_path(name: str, value: Any) -> Path | None:
    """The file or folder that a parameter's value names, if it names one."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        return None
    kind, colon, rest = value.partition(":")
    if name == "teacher":
        return Path(rest) if kind == "replay" else None
    if name not in ("student", "adapter", "encoder"):
        return None
    if colon and kind == "recorded":
        return Path(rest)
    # A Hugging Face name is `owner/name` at most; whatever else has a slash is meant as a folder.
    looks_like_path = value.count("/") > 1 or value.startswith((".", "/", "~", "{"))
    return Path(value) if not colon and (looks_like_path or Path(value).exists()) else None
