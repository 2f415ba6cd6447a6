"""Prompt studio, automatic mode: revises a prompt's rules round by round; held-out queries decide.

Reflective search as in GEPA (Agrawal and others 2025, arXiv 2507.19457), with the best version so far as the only parent: a
teacher reads what was wrong with a sample of QAs, and what it proposes is tried on that sample first, then on the others.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from pydantic import Field

from dataengine_lib.core.files import write_json
from dataengine_lib.core.significance.sign_flip import ALPHA, equals_p, holm
from dataengine_lib.core.statistics import Gain, in_points
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.prompt_versions.rule_template import rules_diff
from dataengine_lib.prompt_versions.settings import StudioSettings
from dataengine_lib.prompt_versions.studio_budget import BudgetSpent
from dataengine_lib.prompt_versions.trials import (
    Trial,
    TrialComparison,
    compare_trials,
    kept_rate,
    trial_figures,
)
from dataengine_lib.prompt_versions.version_folder import ACCEPTED_TEMPLATE, PromptVersion, VersionFolder
from dataengine_lib.steps.prompt_studio import HELD_OUT, PromptStudio

_SEARCH_FILE = "search.json"
_MOST_TRIED = 5  # changes that made it no better, which the next request shows


class OptimizePromptConfig(StepConfig, StudioSettings):
    """Parameters of `optimize_prompt`."""

    rounds: int = Field(6, ge=0)
    """Most proposals of the automatic mode; budget_usd may end it before."""


class SearchRound(msgspec.Struct, kw_only=True):
    """A round: the version whose QAs were marked, the one that was proposed, and what became of it.

    `sample` and `holdout` are the queries with a kept QA (before, after), of `sample_size` and all held-out ones, with the
    differences in `sample_gain` and `holdout_gain`; those of held-out ones are empty where the sample has decided already.
    """

    round: int
    parent: str
    version: str = ""
    outcome: str
    why: str = ""
    sample_size: int = 0
    sample: tuple[int, int] | None = None
    sample_gain: Gain | None = None
    holdout: tuple[int, int] | None = None
    holdout_gain: Gain | None = None

    @property
    def figures(self) -> str:
        """What was kept before and after, of the queries that decided, with the difference; empty where none were asked."""
        pair, gain = (self.holdout, self.holdout_gain) if self.holdout else (self.sample, self.sample_gain)
        if pair is None or gain is None:
            return ""
        points, low, high = (in_points(share) for share in (gain.gain, gain.low, gain.high))
        return (
            f"{pair[0]} → {pair[1]} of {gain.questions} kept, {points} points (95 % interval {low} to {high})"
        )


@dataclass
class OptimizePromptResult:
    """What the notebook shows: the rounds, the versions that were tried on the held-out queries, and the best of them.

    `start` is the version that the search began with, `accepted` the one that is accepted now; None where nothing was tried
    and nothing had been accepted. `comparison` is of `start` and `best` on the held-out queries, and `p_value` its
    p-value, corrected for the versions tried on them. `stopped` says why it ended before its rounds.
    """

    studio: PromptStudio
    rounds: list[SearchRound]
    trials: dict[str, Trial]
    start: PromptVersion
    best: PromptVersion
    accepted: PromptVersion | None
    template: Path | None
    comparison: TrialComparison | None = None
    p_value: float | None = None
    stopped: str = ""
    warnings: list[str] = field(default_factory=list)

    def conclusion(self) -> list[str]:
        """What was found, in sentences."""
        start, found = self.start, self.comparison
        if start.name not in self.trials:
            return ["Nothing was tried.", self.stopped]
        first = start.name == self.studio.folder.first.name
        sentences = [
            f"The search started from {start.name}, {'the first version' if first else 'which had been accepted'}."
        ]
        if found is None:
            sentences.append(
                f"No version is better than {start.name}, which gives a kept QA to {kept_rate(self.trials[start.name])}."
            )
        else:
            real = self.p_value is not None and self.p_value <= ALPHA
            before, after = (trial_figures(self.trials[one.name]) for one in (start, self.best))
            sentences += [
                f"{self.best.name} gives a kept QA to {after.kept} of {after.queries} held-out queries, {start.name} to "
                f"{before.kept}: {in_points(found.gain.gain)} points (95 % interval {in_points(found.gain.low)} to "
                f"{in_points(found.gain.high)}).",
                f"{found.fixed} queries are kept only by {self.best.name}, {found.broken} only by {start.name}; sign-flip "
                f"test by images{_corrected(len(self.trials) - 1)}: p {equals_p(self.p_value or 0.0)}"
                f"{'' if real else ', so the gain may be chance'}.",
            ]
        if self.accepted is not None and self.template is not None:
            if self.accepted.name != self.best.name:
                sentences.append(
                    f"{self.best.name} is not accepted: the paired test does not call it better than {self.accepted.name}."
                )
            sentences.append(
                f"{self.accepted.name} is accepted. Step 2 reads it with construct_queries.template: {self.template}"
            )
        return [*sentences, *([self.stopped] if self.stopped else [])]


def optimize_prompt(config: OptimizePromptConfig, studio: PromptStudio | None = None) -> OptimizePromptResult:
    """Revise the rules for at most `rounds` rounds within `budget_usd`; a version that proves better is accepted.

    The search starts from the version that a person accepted, else from the first one. A round marks the QAs of the best
    version to a sample of queries, has the teacher propose better rules, and tries them on the same sample. A version with
    more kept QAs there is tried on the held-out queries, and becomes the best one if more of them are kept than of the best
    before. At the end the best one is accepted if the paired test calls it better than the accepted one; without such
    a version, what was accepted stays, or the start is accepted.

    The same files, seed and replies give the same versions, so that a run that was killed goes on where it was, and one
    that has ended does with more rounds: it starts where the search that accepted a version did. Writes the versions,
    `search.json` and the accepted template below `output`. Raises ParameterError for wrong queries or rules,
    DataEngineError when the teacher is down.
    """
    studio = studio or PromptStudio(config)
    folder, earlier = studio.folder, studio.folder.accepted
    start = _start(folder)
    best, rounds, tried = start, list[SearchRound](), list[str]()
    trials: dict[str, Trial] = {}
    reference: Trial | None = None  # of the version than which another has to be better
    seen, stopped = {start.name}, ""
    try:
        trials[start.name] = studio.trial(start, studio.holdout, HELD_OUT)
        reference = studio.trial(earlier or start, studio.holdout, HELD_OUT)
        for number in range(1, config.rounds + 1):
            row, version = _round(studio, number, best, trials, seen, tried)
            rounds.append(row)
            if version is not None:
                best = version
            write_json(config.output / _SEARCH_FILE, rounds)
    except BudgetSpent as spent:
        stopped = str(spent)
    write_json(config.output / _SEARCH_FILE, rounds)
    if reference is not None:
        if best.name != reference.version and _p_value(reference, best, trials, config.seed) <= ALPHA:
            folder.accept_found(best, start)
        elif earlier is None:
            folder.accept_found(start, start)
    comparison = p_value = None
    if best.name != start.name:
        comparison = compare_trials(trials[start.name], trials[best.name], config.seed)
        p_value = _p_value(trials[start.name], best, trials, config.seed)
    return OptimizePromptResult(
        studio=studio,
        rounds=rounds,
        trials=trials,
        start=start,
        best=best,
        accepted=folder.accepted,
        template=config.output / ACCEPTED_TEMPLATE if reference is not None else None,
        comparison=comparison,
        p_value=p_value,
        stopped=stopped,
        warnings=studio.warnings,
    )


def _start(folder: VersionFolder) -> PromptVersion:
    """The version that a person accepted, or the start of the search that accepted one; else the first."""
    known = folder.acceptance
    if known is None:
        return folder.first
    return folder.versions[known.start or known.version]


def _p_value(reference: Trial, best: PromptVersion, trials: dict[str, Trial], seed: int) -> float:
    """The p-value of `best` against `reference`, corrected for all versions that were tried; 1 where it keeps fewer."""
    compared = {
        name: compare_trials(reference, trial, seed)
        for name, trial in trials.items()
        if name != reference.version
    }
    corrected = holm({name: one.p_value for name, one in compared.items()})
    return corrected[best.name] if compared[best.name].fixed > compared[best.name].broken else 1.0


def _round(
    studio: PromptStudio,
    number: int,
    best: PromptVersion,
    trials: dict[str, Trial],
    seen: set[str],
    tried: list[str],
) -> tuple[SearchRound, PromptVersion | None]:
    """(what happened, the version that is now the best or None); adds to `trials`, `seen` and `tried`."""
    sample, name = studio.sample(number - 1), f"sample{number}"
    before = studio.trial(best, sample, name)
    row = SearchRound(round=number, parent=best.name, outcome="", sample_size=len(sample))
    proposal = studio.propose(best, before, tried[-_MOST_TRIED:])
    if proposal is None:
        row.outcome = "nothing in the sample is marked"
        return row, None
    if proposal.problem:
        row.outcome = f"no proposal: {proposal.problem}"
        return row, None
    version = studio.folder.add(proposal.rules, best.name, "teacher", proposal.why)
    row.version, row.why = version.name, proposal.why
    if version.name in seen:
        row.outcome = "proposes rules that were tried before"
        return row, None
    seen.add(version.name)
    after = studio.trial(version, sample, name)
    seed = studio.settings.seed
    row.sample, row.sample_gain = (before.kept, after.kept), compare_trials(before, after, seed).gain
    if after.kept > before.kept:
        trials[version.name] = studio.trial(version, studio.holdout, HELD_OUT)
        earlier, later = trials[best.name], trials[version.name]
        row.holdout, row.holdout_gain = (earlier.kept, later.kept), compare_trials(earlier, later, seed).gain
        if row.holdout[1] > row.holdout[0]:
            row.outcome = "better on the held-out queries"
            return row, version
        row.outcome = "not better on the held-out queries"
    else:
        row.outcome = "not better on the sample"
    tried.append(_change(best, version))
    return row, None


def _change(before: PromptVersion, after: PromptVersion) -> str:
    """The rules that were removed and added, in one text."""
    return " ".join(f"{mark} {rule}" for mark, rule in rules_diff(before.rules, after.rules) if mark != " ")


def _corrected(versions: int) -> str:
    return f", corrected for {versions} versions" if versions > 1 else ""
