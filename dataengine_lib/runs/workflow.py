"""The loop as a table (all steps): which notebook runs when, what it reads and writes, what it hands to the next."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.curation.readers.spec import Reader
from dataengine_lib.errors import ParameterError
from dataengine_lib.queries.spares import ASKED_SPARES_FILE, SPARE_FILE
from dataengine_lib.runs.parameter_paths import (
    named_paths,
    read_with,
    relative_to_here,
    settings_beside_paths,
    with_found_paths,
    yaml_roots,
)
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.planning.placeholders import (
    filled_in,
    in_playground,
    placeholder_values,
    trains_on_new_data,
)
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.evaluate import EvaluateConfig
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.steps.generate_qa import GenerateQaConfig
from dataengine_lib.steps.post_process import PostProcessConfig
from dataengine_lib.steps.study import StudyConfig

# Parts of a run, in order: before round 1; in every round the measurement of the student, with `until` the comparison of
# the rounds before, and the rest; the measurement after the last round, and the comparison of all rounds.
When = Literal["before", "measure", "compare", "round", "after", "end"]

NO_NEW_DATA = (
    "fine_tune.new_data is false: steps 2 to 4 are left out, no teacher writes QAs, and the student is trained on "
    "base data alone"
)


@dataclass(frozen=True)
class Step:
    """One notebook of the loop. Values of `reads`, `writes` and `defaults` begin with a `{placeholder}`.

    `placeholder_values` says what they stand for. Where a placeholder has no value yet (the student in round 1), the
    parameter is the YAML's.
    """

    number: int
    name: str  # of the step's module, YAML section and function
    config: type[StepConfig]
    when: tuple[When, ...]
    reads: dict[str, str] = field(default_factory=dict)  # input parameters that the workflow sets
    writes: dict[str, str] = field(default_factory=dict)  # output parameters that the workflow sets
    more_files: tuple[str, ...] = ()  # outputs that no parameter names
    defaults: dict[str, str] = field(default_factory=dict)  # parameters where the YAML does not set them
    stores: tuple[str, ...] = ()  # parameters that name a store, which steps extend: neither input nor output
    checkouts: tuple[
        str, ...
    ] = ()  # parameters that name a folder of other programs: neither input nor output
    optional: tuple[str, ...] = ()  # input parameters whose file may be missing
    makes_data: bool = False  # left out of a run whose step 5 trains on no new data

    @property
    def notebook(self) -> str:
        """`1_evaluate`: file name of the notebook, its report and its manifest."""
        return f"{self.number}_{self.name}"


# The loop. Every round runs steps 1 to 5; step 1 runs once more after the last round, to measure its checkpoint.
STEPS = (
    Step(
        0, "classify_questions", ClassifyQuestionsConfig, when=("before",),
        writes={"output": "{run}/aokvqa_classified.json"},
        defaults={"seed": "{seed}"},
    ),
    Step(
        1, "evaluate", EvaluateConfig, when=("measure", "after"),
        reads={"questions": "{classified}", "student": "{student}", "adapter": "{adapter}",
               "teacher_queries": "{rounds before}/gptvqa_prompt.json",
               "earlier_evaluations": "{rounds before}/aokvqa_eval.json",
               "earlier_training": "{rounds before}/gptvqa_train_data.json"},
        writes={"output_dir": "{here}"},
        more_files=("aokvqa_eval.json", "bad_case_aokvqa_classified.json", "weight.json", "weight.txt",
                "metrics.json", "predictions.json", "learning_progress.json", "student_ledger.jsonl",
                "judge.json", "judge_ledger.jsonl", "blind_eval.json", "contamination.json", "panel"),
        defaults={"seed": "{seed}"},
    ),
    Step(
        2, "construct_queries", ConstructQueriesConfig, when=("round",),
        reads={"input": "{here}/bad_case_aokvqa_classified.json",
               "exclude_queries": "{rounds before}/gptvqa_prompt.json",
               "earlier_causes": "{rounds with causes}/causes.json"},
        writes={"output": "{here}/gptvqa_prompt.json"},
        more_files=("sampling.json", "causes.json", "causes_ledger.jsonl", SPARE_FILE),
        defaults={"questions": "{evaluate.questions}", "bad_case_image_root": "{evaluate.image_root}",
                  "panel": "{evaluate.panel}", "coco_embedding": "{run}/coco_embedding", "weight": "{here}/weight.json",
                  "seed": "{round seed}", "round": "{round}", "served_by": "{covered teacher}"},
        stores=("coco_embedding",),
        makes_data=True,
    ),
    Step(
        3, "generate_qa", GenerateQaConfig, when=("round",),
        reads={"input": "{here}/gptvqa_prompt.json", "spares": "{here with spares}/gptvqa_spare.json"},
        writes={"output": "{here}/gptvqa_result.jsonl"},
        more_files=("gptvqa_failed.jsonl", "usage.json", ASKED_SPARES_FILE),
        defaults={"coco_dataset": "{construct_queries.coco_dataset}",
                  "image_root": "{construct_queries.coco_dataset}", "seed": "{round seed}"},
        makes_data=True,
    ),
    Step(
        4, "post_process", PostProcessConfig, when=("round",),
        reads={"input": "{here}/gptvqa_result.jsonl", "earlier": "{rounds before}/gptvqa_train_data.json",
               "student": "{asked student}", "adapter": "{asked adapter}"},
        writes={"output": "{here}/gptvqa_train_data.json", "rejects": "{here}/rejects.jsonl"},
        more_files=("post_process.json", "readers_ledger.jsonl", "student_answers.jsonl"),
        defaults={"image_root": "{construct_queries.coco_dataset}", "review": "{here}/review.json",
                  "coco_dataset": "{construct_queries.coco_dataset}",
                  "coco_embedding": "{construct_queries.coco_embedding}", "questions": "{evaluate.questions}",
                  "evaluation_image_root": "{evaluate.image_root}", "panel": "{evaluate.panel}",
                  "seed": "{round seed}", "rank": "{asked rank}", "batch_size": "{asked batch_size}",
                  "device": "{asked device}", "dtype": "{asked dtype}", "workers": "{asked workers}"},
        stores=("coco_embedding",),
        optional=("review",),
        makes_data=True,
    ),
    Step(  # trains the first student with the data of all rounds so far, so that errors do not accumulate, or with
        # `start_from: last` the student of this round
        5, "fine_tune", FineTuneConfig, when=("round",),
        reads={"train_data": "{rounds so far}/gptvqa_train_data.json", "student": "{last student}",
               "adapter": "{last adapter}", "evaluations": "{rounds so far}/aokvqa_eval.json",
               "panels": "{rounds so far}/panel"},
        writes={"output_dir": "{here}/checkpoint"},
        defaults={"student": "{first student}", "adapter": "{first adapter}",
                  "image_root": "{construct_queries.coco_dataset}",
                  "questions": "{evaluate.questions}", "evaluation_image_root": "{evaluate.image_root}",
                  "panel": "{evaluate.panel}", "seed": "{round seed}"},
        checkouts=("command_folder",), optional=("panels",),
    ),
    Step(
        6, "compare_rounds", CompareRoundsConfig, when=("compare", "end"),
        reads={"evaluations": "{evaluated}/aokvqa_eval.json", "usage": "{evaluated rounds}/usage.json",
               "post_process": "{evaluated rounds}/post_process.json",
               "found_causes": "{evaluated rounds with causes}/causes.json", "metrics": "{judged}/metrics.json",
               "blind_evaluations": "{evaluated}/blind_eval.json", "panels": "{evaluated}/panel"},
        writes={"output": "{here}/compare_rounds.json"},
        defaults={"image_root": "{evaluate.image_root}", "seed": "{seed}",
                  "no_type_gains": "{until.no_type_gains}", "max_usd_per_point": "{until.max_usd_per_point}"},
        optional=("usage", "post_process", "blind_evaluations", "panels"),
    ),
)  # fmt: skip
# Of a whole study, and no step of a run: it compares runs.
STUDY = Step(
    7, "study", StudyConfig, when=(), writes={"output": "{run}/study_results.json"},
    more_files=("study_table.md", "study_chart.svg"),
)  # fmt: skip


class AskedModel(NamedTuple):
    """A model that a step asks: the parameter that names it, its spec (`openai:MODEL`), and its server."""

    parameter: str
    spec: str
    base_url: str | None


@dataclass(frozen=True)
class Planned:
    """A step at one place of a run; its notebook, report and manifest are written to `folder`."""

    step: Step
    label: str  # round1/1_evaluate
    round: int | None
    folder: Path
    config: StepConfig
    wired: frozenset[str]  # the parameters that name files of the run

    @property
    def models_asked(self) -> list[AskedModel]:
        """The models that are asked to write, answer or grade: the teachers, step 1's judge and step 4's readers."""
        teacher = str(getattr(self.config, "teacher", ""))
        asked = [AskedModel("teacher", teacher, getattr(self.config, "base_url", None))] if teacher else []
        # step 2's, which names causes
        if named := str(getattr(self.config, "cause_teacher", "")):
            asked.append(AskedModel("cause_teacher", named, getattr(self.config, "base_url", None)))
        if judge := str(getattr(self.config, "judge", "")):
            asked.append(AskedModel("judge", judge, getattr(self.config, "judge_base_url", None)))
        readers: list[Reader] = getattr(self.config, "readers", [])
        return asked + [AskedModel(one.parameter, one.model, one.base_url) for one in readers]

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / f"{self.step.notebook}.ipynb"

    @property
    def html(self) -> Path:
        """The notebook's report."""
        return self.executed.with_suffix(".html")

    @property
    def manifest(self) -> Path:
        """What the step was made from; missing while it is not done."""
        return self.folder / f"{self.step.notebook}.manifest.json"

    def outputs(self) -> list[Path]:
        """Every file or folder that the step may write."""
        # step 1's output_dir is the round's folder, which is no output as a whole: more_files names the files
        named = [getattr(self.config, name) for name in self.step.writes]
        return [path for path in named if path != self.folder] + [
            self.folder / name for name in self.step.more_files
        ]

    def inputs(self) -> dict[str, list[Path]]:
        """Files and folders that the step reads, by parameter; with those that are read because they lie beside one."""
        others = {*self.step.writes, *self.step.stores, *self.step.checkouts}
        found = {name: named_paths(name, value) for name, value in self.config if name not in others}
        return {name: paths + read_with(name, paths) for name, paths in found.items() if paths}

    def settings(self) -> dict[str, Any]:
        """The parameters without inputs, which count by their contents, and without outputs and stores."""
        paths = {*self.inputs(), *self.step.writes, *self.step.stores}
        values = self.config.model_dump(mode="json", exclude=paths)
        beside = {name: settings_beside_paths(getattr(self.config, name)) for name in self.inputs()}
        return values | {name: value for name, value in beside.items() if value is not None}


def first_configs(planned: Iterable[Planned]) -> dict[str, Any]:
    """The config of each step by the step's name, of its first place in the run."""
    configs: dict[str, Any] = {}
    for item in planned:
        configs.setdefault(item.step.name, item.config)
    return configs


def plan(
    experiment: Experiment, out: Path, playground: str = "{playground}", last_round: int | None = None
) -> list[Planned]:
    """The steps of a run in order, with their configs; `playground` is the folder of the playground once it is written.

    `last_round` is the one that `until` has ended the rounds after; it is measured by step 1 of the round that follows.
    A step without a section runs with its defaults, except `classify_questions`: without it
    `evaluate.questions` has to be classified already. Steps that make data are not among them where step 5 trains on
    no new data, but their sections are checked. Raises ParameterError with one line per wrong key.
    """
    new_data = trains_on_new_data(experiment)
    out, roots = relative_to_here(out), yaml_roots(experiment.file)
    planned: list[Planned] = []
    configs: dict[str, StepConfig] = {}  # the latest of each step
    wrong: list[str] = []
    seen: set[str] = set()
    for step, place, round_ in _sequence(experiment, last_round):
        left_out = step.makes_data and not new_data
        if left_out and step.name not in experiment.sections:
            continue
        section = experiment.sections.get(step.name, {})
        section = {key: in_playground(value, playground) for key, value in section.items()}
        where = experiment.where(step.name)
        try:
            values = placeholder_values(experiment, out, place, round_, configs, playground, last_round)
            wired, usual = filled_in(step.reads | step.writes, values), filled_in(step.defaults, values)
            # Only at a step's first place: the student is the YAML's in round 1 and a checkpoint later.
            taken = [key for key in section if key in wired and step.name not in seen]
            if taken:
                raise ParameterError(f"{where}: {taken[0]} is set by the workflow; remove it")
            # the right one wins: the YAML over defaults, what the workflow sets over both
            read = step.config.read(usual | section | wired, where)
            of_run = {*wired, *_of_run(step, section)}
            config = with_found_paths(read, out, roots, of_run)
        except ParameterError as error:
            # A parameter that a wrong step should have handed on is not reported as missing as well.
            follow = tuple(f": {key} is needed" for key in step.defaults)
            lines = [line for line in str(error).splitlines() if line not in wrong]
            wrong += [line for line in lines if not any(text in line for text in follow)]
            continue
        finally:
            seen.add(step.name)
        # what {evaluate.questions} and the like stand for in the steps that follow
        configs[step.name] = config
        label = f"{place}/{step.notebook}" if place else step.notebook
        if not left_out:
            planned.append(Planned(step, label, round_, out / place, config, frozenset(of_run)))
    if wrong:
        raise ParameterError("\n".join(wrong))
    return planned


def _of_run(step: Step, section: dict[str, Any]) -> set[str]:
    """The parameters that name files of the run because the YAML does not name others."""
    inside = ("{run}", "{here}")
    return {name for name, text in step.defaults.items() if name not in section and text.startswith(inside)}


def _sequence(experiment: Experiment, last_round: int | None) -> Iterator[tuple[Step, str, int | None]]:
    """(step, folder below the run's, round) in the order of execution."""
    # folders below the run's: none for steps 0 and 6, round1, round2, …, and final for the last step 1
    parts: list[tuple[str, int | None, When]] = [("", None, "before")]
    for n in range(1, experiment.head.rounds + 1):
        parts.append((f"round{n}", n, "measure"))
        if n > 1 and experiment.head.until is not None:
            parts.append((f"round{n - 1}", n - 1, "compare"))  # the round that has just been measured
        if last_round is not None and n > last_round:
            break
        parts.append((f"round{n}", n, "round"))
    else:
        parts.append(("final", None, "after"))
    parts.append(("", None, "end"))
    for place, number, when in parts:
        for step in STEPS:
            if when in step.when and (when != "before" or step.name in experiment.sections):
                yield step, place, number
