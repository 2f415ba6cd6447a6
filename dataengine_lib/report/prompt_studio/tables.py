"""Prompt studio: versions with their figures on held-out queries, the rounds of the automatic mode, diffs of rules."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from dataengine_lib.prompt_versions.rule_template import rules_diff
from dataengine_lib.prompt_versions.trials import PersonMark, Trial, compare_trials, trial_figures
from dataengine_lib.prompt_versions.version_folder import PromptVersion
from dataengine_lib.report.tables import Figure, Html, escaped, p_value, percent, points, table

# Signs and elements, so that changes show without colours and without style sheets.
_LINES = {"-": "<li>− <del>{}</del></li>", "+": "<li>+ <ins>{}</ins></li>", " ": "<li>{}</li>"}


def version_table(
    versions: Iterable[PromptVersion],
    trials: Mapping[str, Trial],
    marks: Mapping[str, Mapping[str, PersonMark]],
    seed: int = 0,
) -> Html:
    """Each version on the same held-out queries: kept, right, cost, and against the first one by a paired test."""
    rows, first = [], None
    for version in versions:
        head = (version.name, version.parent or "–", version.by, len(version.rules))
        trial = trials.get(version.name)
        if trial is None:
            rows.append((*head, *[Figure("–")] * 6))
            continue
        first = first or trial
        found = trial_figures(trial, marks.get(version.name))
        right = found.right / found.judged if found.judged else None
        compared = None if trial is first else compare_trials(first, trial, seed)
        gain = compared.gain if compared else None
        rows.append(
            (
                *head,
                percent(found.kept / max(1, found.queries), *found.kept_interval),
                percent(right, *found.right_interval) if found.judged else Figure("–"),
                _usd(trial.cost_usd),
                _usd(found.usd_per_kept),
                points(gain.gain, gain.low, gain.high) if gain else Figure("–"),
                p_value(compared.p_value if compared else None),
            )
        )
    queries = len(first.outcomes) if first else 0
    return table(
        rows,
        [
            *("version", "from", "by", "rules", "kept", "right, of those judged"),
            *("cost", "cost per kept QA", "kept, minus the first", "p"),
        ],
        f"{queries} held-out queries; 95 % Wilson intervals; the difference in points by a bootstrap over images, p by "
        "the exact McNemar test, not corrected",
    )


def round_table(rounds: Sequence[Any]) -> Html:
    """The rounds of the automatic mode: the queries with a kept QA before and after, and what became of each version."""
    rows = [
        (
            row.round,
            row.parent,
            row.version or "–",
            _before_after(row.sample, row.sample_size),
            _before_after(row.holdout),
            row.outcome,
            row.why,
        )
        for row in rounds
    ]
    head = [
        "round",
        "from",
        "version",
        "kept of the sample",
        "kept of the held-out",
        "what came of it",
        "why",
    ]
    return table(rows, head, "before → after")


def diff_html(before: Sequence[str], after: Sequence[str], names: tuple[str, str] = ("", "")) -> Html:
    """The rules of two versions in one list: removed ones struck out, added ones underlined."""
    lines = "".join(_LINES[mark].format(escaped(rule)) for mark, rule in rules_diff(before, after))
    title = f"<p>{escaped(names[0])} → {escaped(names[1])}</p>" if any(names) else ""
    return Html(f'{title}<ul class="rules">{lines}</ul>')


def rule_list(rules: Sequence[str]) -> Html:
    """The rules of a version, numbered."""
    return Html(f"<ol>{''.join(f'<li>{escaped(rule)}</li>' for rule in rules)}</ol>")


def lineage_html(versions: Sequence[PromptVersion], folder: Path) -> Html:
    """The way from the first version to one, with the diff and the reason of each step."""
    steps = []
    for old, new in pairwise(versions):
        why = escaped(f"{new.by}: {new.why}" if new.why else new.by)
        steps.append(f"{diff_html(old.rules, new.rules, (old.name, new.name)).text}<p>{why}</p>")
    rest = f"<p>{escaped(versions[-1].name)} is the first version.</p>" if not steps else ""
    return Html(f"{''.join(steps)}{rest}<p>The versions lie in {escaped(folder)}.</p>")


def _before_after(pair: tuple[int, int] | None, total: int = 0) -> Figure:
    return Figure("–" if pair is None else f"{pair[0]} → {pair[1]}{f' of {total}' if total else ''}")


def _usd(usd: float | None) -> Figure:
    return Figure("–" if usd is None else f"${usd:.4f}")
