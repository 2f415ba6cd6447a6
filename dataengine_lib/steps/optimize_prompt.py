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
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.prompt_versions.rule_template import rules_diff
from dataengine_lib.prompt_versions.settings import StudioSettings
from dataengine_lib.prompt_versions.trials import Trial, TrialComparison, compare_trials, trial_figures
from dataengine_lib.prompt_versions.version_folder import PromptVersion
from dataengine_lib.steps.prompt_studio import HELD_OUT, BudgetSpent, PromptStudio

_SEARCH_FILE = "search.json"
_MOST_TRIED = 5  # changes that made it no better, which the next request shows


class OptimizePromptConfig(StepConfig, StudioSettings):
    """Parameters of `optimize_prompt`."""

    rounds: int = Field(6, ge=0)
    """Most proposals of the automatic mode; budget_usd may end it before."""


class SearchRound(msgspec.Struct, kw_only=True):
    """A round: the version whose QAs were marked, the one that was proposed, and what became of it.

    `sample` and `holdout` are the queries with a kept QA (before, after), of `sample_size` and all held-out ones; the
    latter is empty where the sample has decided already.
    """

    round: int
    parent: str
    version: str = ""
    outcome: str
    why: str = ""
    sample_size: int = 0
    sample: tuple[int, int] | None = None
    holdout: tuple[int, int] | None = None


@dataclass
class OptimizePromptResult:
    """What the notebook shows: the rounds, the versions that were tried on the held-out queries, and the best of them.

    `comparison` is of the first version and the best one on the held-out queries, and `p_value` its p-value, corrected for
    the versions tried on them. `stopped` says why it ended before its rounds.
    """

    studio: PromptStudio
    rounds: list[SearchRound]
    trials: dict[str, Trial]
    best: PromptVersion
    template: Path | None
    comparison: TrialComparison | None = None
    p_value: float | None = None
    stopped: str = ""
    warnings: list[str] = field(default_factory=list)

    def conclusion(self) -> list[str]:
        """What was found, in sentences."""
        first, found = self.studio.folder.first, self.comparison
        if first.name not in self.trials:
            return ["Nothing was tried.", self.stopped]
        before, after = (trial_figures(self.trials[one.name]) for one in (first, self.best))
        rate = f"{before.kept} of {before.queries} held-out queries"
        if found is None or self.best.name == first.name:
            sentences = [f"No version is better than {first.name}, which gives a kept QA to {rate}."]
        else:
            real = self.p_value is not None and self.p_value <= ALPHA
            sentences = [
                f"{self.best.name} gives a kept QA to {after.kept} of {after.queries} held-out queries, {first.name} to "
                f"{before.kept}: {100 * found.gain.gain:+.1f} points (95 % interval {100 * found.gain.low:+.1f} to "
                f"{100 * found.gain.high:+.1f}).",
                f"{found.fixed} queries are kept only by {self.best.name}, {found.broken} only by {first.name}; exact "
                f"McNemar test{_corrected(len(self.trials) - 1)}: p {equals_p(self.p_value or 0.0)}"
                f"{'' if real else ', so the gain may be chance'}.",
            ]
        if self.template:
            sentences.append(f"Step 2 reads it with construct_queries.template: {self.template}")
        return [*sentences, *([self.stopped] if self.stopped else [])]


def optimize_prompt(config: OptimizePromptConfig, studio: PromptStudio | None = None) -> OptimizePromptResult:
    """Revise the rules for at most `rounds` rounds within `budget_usd`; the best version is the accepted one.

    A round marks the QAs of the best version to a sample of queries, has the teacher propose better rules, and tries them
    on the same sample. A version with more kept QAs there is tried on the held-out queries, and becomes the best one if
    more of them are kept than of the best before. The same files, seed and replies give the same versions, so that a
    run that was killed goes on where it was. Writes the versions, `search.json` and the accepted template below
    `output`. Raises ParameterError for wrong queries or rules, DataEngineError when the teacher is down.
    """
    studio = studio or PromptStudio(config)
    best, rounds, tried = studio.folder.first, list[SearchRound](), list[str]()
    trials: dict[str, Trial] = {}
    seen, stopped = {best.name}, ""
    try:
        trials[best.name] = studio.trial(best, studio.holdout, HELD_OUT)
        for number in range(1, config.rounds + 1):
            row, version = _round(studio, number, best, trials, seen, tried)
            rounds.append(row)
            if version is not None:
                best = version
            write_json(config.output / _SEARCH_FILE, rounds)
    except BudgetSpent as spent:
        stopped = str(spent)
    write_json(config.output / _SEARCH_FILE, rounds)
    template = studio.folder.accept(best) if trials else None
    comparison = p_value = None
    first = studio.folder.first
    if best.name != first.name:
        compared = {
            name: compare_trials(trials[first.name], trial, config.seed)
            for name, trial in trials.items()
            if name != first.name
        }
        comparison = compared[best.name]
        p_value = holm({name: one.p_value for name, one in compared.items()})[best.name]
    return OptimizePromptResult(
        studio, rounds, trials, best, template, comparison, p_value, stopped, studio.warnings
    )


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
    row.sample = (before.kept, after.kept)
    if after.kept > before.kept:
        trials[version.name] = studio.trial(version, studio.holdout, HELD_OUT)
        row.holdout = (trials[best.name].kept, trials[version.name].kept)
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
