"""Step 7: which arm of a study is better? Every arm and seed on the same questions, with intervals over both."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from dataengine_lib.core.files import write_json
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.text import shown
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.studies.answers import StudyAnswers, read_study_answers, run_folder
from dataengine_lib.evaluation.studies.comparison import (
    ArmMeans,
    arm_figures,
    chosen_types,
    pair_figures,
    type_differences,
)
from dataengine_lib.evaluation.studies.figures import OVERALL, RunCost, StudyFigures
from dataengine_lib.evaluation.studies.markdown import markdown_table
from dataengine_lib.evaluation.studies.study_file import StudyFile, read_study_file
from dataengine_lib.evaluation.studies.summary import conclusion_sentences, study_warnings
from dataengine_lib.steps.study_costs import divided, mean_cost, run_costs


class StudyConfig(StepConfig):
    """Parameters of `7_study`."""

    study: Path
    """study.json, with the folders of the runs beside it."""
    output: Path
    """The JSON file to write; study_table.md and study_chart.svg are written beside it."""
    split: Literal["all", "diagnose", "holdout"] = "holdout"
    """Questions to compare on."""
    reference: str = ""
    """The arm that the others are compared with; empty: the first."""
    weak_types: int = Field(4, ge=0)
    """How many of the types that were weakest at the start to average over."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of an evaluation's rows cannot be used."""


@dataclass
class StudyResult:
    """What notebook 7 shows: the content of `output` and the files written."""

    figures: StudyFigures
    output: Path
    warnings: list[str] = field(default_factory=list)

    @property
    def table(self) -> Path:
        """The table in Markdown."""
        return self.output.with_name("study_table.md")

    @property
    def chart(self) -> Path:
        """Where the notebook writes the chart of the arms."""
        return self.output.with_name("study_chart.svg")

    def conclusion(self) -> str:
        """What can and what cannot be concluded."""
        return " ".join(conclusion_sentences(self.figures))


def study(config: StudyConfig) -> StudyResult:
    """Compare the arms on the questions and seeds that all of them have; write every figure to `output`, and a table.

    Runs that failed or are missing are named and left out. Raises DataEngineError when the study's file cannot be read,
    `reference` is none of its arms, or no run, seed or question is left.
    """
    file = read_study_file(config.study)
    answers = read_study_answers(file, config.study, config.split, config.max_bad_share)
    reference, warnings = _reference(config, file, answers)
    chosen = chosen_types(answers, config.weak_types)
    means = {name: ArmMeans(answers, place, chosen) for place, name in enumerate(answers.arms)}
    changes = {arm.name: arm.changes for arm in file.arms}
    figures = StudyFigures(
        study=file.study,
        split=config.split,
        rounds=file.rounds,
        seeds=answers.seeds,
        questions=len(answers.types),
        images=len(set(answers.images.tolist())),
        reference=reference,
        arms=[arm_figures(name, changes[name], one, chosen.known) for name, one in means.items()],
        pairs=pair_figures(means, reference),
        by_type=type_differences(means, reference),
        questions_by_type={kind: int((answers.types == kind).sum()) for kind in sorted(set(answers.types))},
        weak_types=chosen.weak,
        known_types=chosen.known,
        types_note=chosen.note,
        runs_left_out=answers.runs_left_out,
        questions_left_out=answers.questions_left_out,
    )
    for arm in figures.arms:
        for number, cost in enumerate(_costs(file, config.study, arm.name, answers.seeds)):
            arm.rounds[number].cost = cost
        gain = arm.gains[OVERALL]
        arm.per_point = divided(arm.last.cost, 100 * gain.value if gain.low > 0 else 0.0)
        arm.per_fixed = divided(arm.last.cost, arm.fixed)
    result = StudyResult(figures, config.output, [*warnings, *answers.warnings, *study_warnings(figures)])
    write_json(config.output, figures)
    with replacing(result.table, "w") as stream:
        stream.write(markdown_table(figures))
    return result


def _reference(config: StudyConfig, file: StudyFile, answers: StudyAnswers) -> tuple[str, list[str]]:
    """The arm to compare with, and a warning when the one wished has no run that is done."""
    wished = config.reference or file.arms[0].name
    names = [arm.name for arm in file.arms]
    if wished not in names:
        raise DataEngineError(
            f"{config.study}: no arm is called {shown(wished)}; set reference to one of {', '.join(names)}"
        )
    if wished in answers.arms:
        return wished, []
    return answers.arms[0], [
        f"no run of the reference {wished} is done: the others are compared with {answers.arms[0]}"
    ]


def _costs(file: StudyFile, study_file: Path, arm: str, seeds: list[int]) -> list[RunCost]:
    """The mean over `seeds` of what the arm's runs had used, evaluation by evaluation."""
    runs = {(run.arm, run.seed): run for run in file.runs}
    by_seed = [run_costs(run_folder(study_file, runs[arm, seed]), file.rounds) for seed in seeds]
    return [mean_cost(costs) for costs in zip(*by_seed, strict=True)]
