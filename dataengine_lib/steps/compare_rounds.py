"""Step 6: did the weak types improve? Every round's answers to the same questions, in pairs, with intervals."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import msgspec
from pydantic import Field, model_validator

from dataengine_lib.core.files import write_json
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.evaluation.rounds.comparison import compare_two, round_scores, weak_types
from dataengine_lib.evaluation.rounds.evaluation_file import usable_answers
from dataengine_lib.evaluation.rounds.figures import Comparison, Figures
from dataengine_lib.evaluation.rounds.followed_causes import follow_causes, read_followed
from dataengine_lib.evaluation.rounds.next_round import StopRule, judge_last_round, round_cost
from dataengine_lib.evaluation.rounds.pairs import pair_answers
from dataengine_lib.evaluation.rounds.probes import (
    all_there,
    blind_gain_sentence,
    compare_blind,
    compare_panel,
    panel_sentence,
)
from dataengine_lib.evaluation.rounds.summary import (
    SummaryRow,
    comparison_warnings,
    conclusion_text,
    summary_rows,
)

if TYPE_CHECKING:
    import pandas as pd


class CompareRoundsConfig(StepConfig):
    """Parameters of `6_compare_rounds`."""

    evaluations: list[Path] = Field(min_length=2)
    """aokvqa_eval.json in order: before, after round 1, after round 2, …"""
    output: Path
    """The JSON file to write."""
    split: Literal["all", "diagnose", "holdout"] = "holdout"
    """Questions to compare on."""
    weak_types: int = Field(4, ge=0)
    """How many of the first round's weakest diagnose types to average over."""
    usage: list[Path] = Field(default_factory=list)
    """usage.json of each round's step 3, for the price of a point."""
    post_process: list[Path] = Field(default_factory=list)
    """post_process.json of each round's step 4, whose readers cost as well."""
    found_causes: list[Path] = Field(default_factory=list)
    """causes.json of each round's step 2, to follow the first's causes and for the teacher's price."""
    metrics: list[Path] = Field(default_factory=list)
    """metrics.json beside each evaluation, for the price of its judge."""
    blind_evaluations: list[Path] = Field(default_factory=list)
    """blind_eval.json beside each evaluation, where the student was asked without the picture too."""
    panels: list[Path] = Field(default_factory=list)
    """The folder panel/ beside each evaluation, with further sets that were measured."""
    no_type_gains: bool = False
    """Advise to stop when no question type gained in the last round."""
    max_usd_per_point: float | None = Field(None, gt=0)
    """Advise to stop when a point of the last round cost more US dollars."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of an evaluation's rows cannot be used."""
    image_root: Path | None = None
    """Where image_path starts; used only to show the images."""
    seed: int = 0
    """Of the bootstrap."""

    @model_validator(mode="after")
    def _one_file_a_round(self) -> Self:
        rounds = len(self.evaluations) - 1
        for name in ("usage", "post_process", "found_causes"):
            files = getattr(self, name)
            if files and len(files) != rounds:
                raise ValueError(
                    f"{name} has {len(files)} files for {rounds} rounds; give one a round, or none"
                )
        for name in ("metrics", "blind_evaluations", "panels"):
            files = getattr(self, name)
            if files and len(files) != rounds + 1:
                raise ValueError(
                    f"{name} has {len(files)} entries for {rounds + 1} evaluations; give one each, or none"
                )
        return self


@dataclass
class CompareRoundsResult:
    """What notebook 6 shows: the content of `output`, the file written; images are under `image_root`."""

    figures: Figures
    output: Path
    image_root: Path | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> Comparison:
        """The first evaluation against the last."""
        return self.figures.comparisons[0]

    @property
    def comparison_frame(self) -> "pd.DataFrame":
        """The questions of `split` as a frame, as in `load_run(…).comparison`; read from the evaluations."""
        from dataengine_lib.frames.comparison import step_comparison_frame

        return step_comparison_frame(self.figures)

    def summary_table(self) -> list[SummaryRow]:
        """First against last: types from weakest to strongest, then the weak types' average, then overall."""
        return summary_rows(self.figures)

    def conclusion(self) -> str:
        """One paragraph that claims no more than the intervals show."""
        figures, sentences = self.figures, [conclusion_text(self.figures)]
        if not isinstance(figures.blind, msgspec.UnsetType):
            sentences.append(blind_gain_sentence(figures.blind))
        if not isinstance(figures.panel, msgspec.UnsetType):
            sentences.append(panel_sentence(figures.panel))
        return " ".join(sentences)


def compare_rounds(config: CompareRoundsConfig) -> CompareRoundsResult:
    """Compare the rounds on the questions that all of them answered, and write every figure to `output`.

    Raises DataEngineError when a file cannot be read, too many of its rows cannot be used (`max_bad_share`), or no
    question is common to all.
    """
    warnings: list[str] = []
    answers = [usable_answers(path, config.max_bad_share, warnings.append) for path in config.evaluations]
    pairs = pair_answers(answers, config.evaluations, config.split)
    names = ["before"] + [f"after round {number}" for number in range(1, len(answers))]
    last = len(names) - 1
    # first with last, then each with the next; with two evaluations these are the same
    compared = [(0, last)] + ([(n, n + 1) for n in range(last)] if last > 1 else [])
    # from the first evaluation: before any round was trained on its weak types
    weak, note = weak_types(answers[0], config.weak_types, set(pairs.types))
    comparisons = [compare_two(pairs, names, before, after, weak, config.seed) for before, after in compared]
    figures = Figures(
        split=config.split,
        questions=len(pairs.rounds[0]),
        images=len(set(pairs.images)),
        seed=config.seed,
        rounds=[
            round_scores(name, file, of_round, pairs)
            for name, file, of_round in zip(names, config.evaluations, pairs.rounds, strict=True)
        ],
        comparisons=comparisons,
        weak_types=weak,
        weak_note=note,
        left_out=pairs.left_out,
        next_round=judge_last_round(
            comparisons[-1],
            _last_cost(config),
            StopRule(config.no_type_gains, config.max_usd_per_point),
            weak_types(answers[-1], config.weak_types, set(pairs.types))[0],
        ),
    )
    if config.found_causes:
        causes = read_followed(config.found_causes[0], config.evaluations[0], answers[0])
        figures.causes = follow_causes(causes, answers)
    if all_there(config.blind_evaluations, "blind_evaluations"):
        figures.blind = compare_blind(
            answers,
            config.evaluations,
            config.blind_evaluations,
            config.split,
            config.max_bad_share,
            config.seed,
            warnings.append,
        )
    if all_there(config.panels, "panels"):
        panel = compare_panel(config.panels, config.max_bad_share, config.seed, warnings.append)
        figures.panel = panel or msgspec.UNSET
    write_json(config.output, figures)
    if len({any(row.rotated_choice_idx for row in rows) for rows in answers}) > 1:
        warnings.append(
            "only some evaluations asked every rotation of the options (robust: circular), which is harder: "
            "their accuracies cannot be compared with the others'"
        )
    # what the evaluations lack is also missing beside their answers without the picture: one sentence of it
    warnings = list(dict.fromkeys([*warnings, *comparison_warnings(figures)]))
    return CompareRoundsResult(figures, config.output, config.image_root, warnings)


def _last_cost(config: CompareRoundsConfig) -> float | None:
    """What the last round cost; None where that is not known."""
    if not config.usage:
        return None
    return round_cost(
        config.usage[-1],
        config.post_process[-1] if config.post_process else None,
        config.found_causes[-1] if config.found_causes else None,
        config.metrics[-1] if config.metrics else None,
    )
