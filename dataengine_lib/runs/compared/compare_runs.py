"""Verb `compare`: the last evaluations of several runs, each in pairs with the first run's, and how the runs differ."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dataengine_lib.core.significance.sign_flip import holm
from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.rounds.comparison import compare_two, round_scores
from dataengine_lib.evaluation.rounds.evaluation_file import usable_answers
from dataengine_lib.evaluation.rounds.figures import Comparison, RoundScores
from dataengine_lib.evaluation.rounds.pairs import PairedAnswers, pair_answers
from dataengine_lib.evaluation.rounds.summary import left_out_warnings
from dataengine_lib.evaluation.rounds.verdicts import verdict_of
from dataengine_lib.runs.compared.differences import (
    RunDifference,
    data_differences,
    manifests_by_step,
    parameter_differences,
)
from dataengine_lib.runs.opened.round_folders import opened_rounds


class ComparedRun(msgspec.Struct, kw_only=True):
    """One run: its last evaluation, with the accuracy on all its questions of the split."""

    name: str
    folder: str
    evaluated: str
    scores: RoundScores


class RunPair(msgspec.Struct, kw_only=True):
    """A run against the first one on the questions that both have; `reason` says why there is no comparison."""

    name: str
    questions: int = 0
    comparison: Comparison | None = None
    scores: list[RoundScores] = []
    reason: str = ""


class ComparedRuns(msgspec.Struct, kw_only=True):
    """All of `compare`. The overall p-values of `pairs` are corrected by Holm's rule over the runs."""

    split: str
    runs: list[ComparedRun]
    pairs: list[RunPair]
    parameters: list[RunDifference]
    data: list[RunDifference]
    warnings: list[str]


def compare_runs(
    folders: Sequence[Path], *, split: str = "holdout", seed: int = 0, max_bad_share: float = 0.05
) -> ComparedRuns:
    """Compare the last evaluation of each run with that of the first, on the questions of `split` that both have.

    `seed` is of the bootstrap. Nothing is run. Raises ParameterError for fewer than two runs or one given twice, and
    DataEngineError for a folder that has no evaluation, or too many rows that cannot be used.
    """
    folders = [Path(folder) for folder in folders]
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ParameterError("compare: give the folders of two or more runs, each once")
    warnings: list[str] = []
    names = _names(folders)
    runs, answers, files = [], [], []
    for name, folder in zip(names, folders, strict=True):
        evaluated, file = _last_evaluation(folder)
        own = usable_answers(file, max_bad_share, warnings.append)
        alone = pair_answers([own], [file], split)
        scores = round_scores(name, file, alone.rounds[0], alone)
        runs.append(ComparedRun(name=name, folder=str(folder), evaluated=evaluated, scores=scores))
        answers.append(own)
        files.append(file)
    pairs = []
    for name, other, file in zip(names[1:], answers[1:], files[1:], strict=True):
        try:
            paired = pair_answers([answers[0], other], [files[0], file], split)
        except DataEngineError as error:  # they share no question, which says nothing about the other runs
            pairs.append(RunPair(name=name, reason=str(error)))
            continue
        warnings += left_out_warnings(paired.left_out)
        pairs.append(_pair([names[0], name], [files[0], file], paired, seed))
    _correct_over_runs(pairs)
    steps = [manifests_by_step(folder) for folder in folders]
    return ComparedRuns(
        split=split,
        runs=runs,
        pairs=pairs,
        parameters=parameter_differences(folders, steps),
        data=data_differences(steps),
        warnings=warnings,
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the folders' paths, as many as tell them apart: demo, other; a/seed0, b/seed0."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("folders that differ have names that differ")


def _last_evaluation(folder: Path) -> tuple[str, Path]:
    there = [one for one in opened_rounds(folder) if one.evaluation.is_file()]
    if not there:
        raise DataEngineError(
            f"{folder}: has no evaluation yet; let the run carry out step 1, or leave it out"
        )
    return there[-1].evaluated, there[-1].evaluation


def _pair(names: list[str], files: list[Path], paired: PairedAnswers, seed: int) -> RunPair:
    return RunPair(
        name=names[1],
        questions=len(paired.rounds[0]),
        comparison=compare_two(paired, names, 0, 1, [], seed),
        scores=[round_scores(*one, paired) for one in zip(names, files, paired.rounds, strict=True)],
    )


def _correct_over_runs(pairs: Sequence[RunPair]) -> None:
    overall = {pair.name: pair.comparison.overall for pair in pairs if pair.comparison}
    corrected = holm({name: tested.p_value for name, tested in overall.items()})
    for name, tested in overall.items():
        tested.p_holm = corrected[name]
        tested.verdict = verdict_of(tested.gain.gain, tested.p_holm, tested.gain.images, len(overall))


def compared_sentences(compared: ComparedRuns) -> list[str]:
    """What can be concluded: which runs are better or worse than the first, which cannot be told apart from it."""
    first = compared.runs[0]
    named: dict[str, list[str]] = {}
    for pair in compared.pairs:
        verdict = pair.comparison.overall.verdict if pair.comparison else "not compared"
        points = f" ({in_points(pair.comparison.overall.gain.gain)} points)" if pair.comparison else ""
        named.setdefault(verdict, []).append(f"{pair.name}{points}")
    words = {
        "gain": f"better than {first.name}",
        "loss": f"worse than {first.name}",
        "unclear": f"not distinguishable from {first.name} by these questions",
        "too few": "with too few questions in common to tell",
        "not compared": f"with no question in common with {first.name}",
    }
    return [f"{first_named(names)}: {words[verdict]}." for verdict, names in named.items()]
