"""Prompt studio: versions with their figures on held-out queries, the rounds of the automatic mode, diffs of rules."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from dataengine_lib.core.statistics import Gain
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
    """Each version on the same held-out queries: kept, right, cost, and against the first one tried, by a paired test.

    Shares have Wilson intervals, the difference, in points, that of a bootstrap over images; p is of the sign-flip test,
    also by images.
    """
    if not trials:
        return Html('<p class="empty">No version was tried on the held-out queries yet.</p>')
    rows = []
    first: Trial | None = None
    for version in versions:
        head = (version.name, version.parent or "–", version.by)
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
                points(gain.gain, gain.low, gain.high) if gain else Figure("–"),
                p_value(compared.p_value if compared else None),
                _of(percent(right, *found.right_interval), found.judged),
                _usd(trial.cost_usd),
                _usd(found.usd_per_kept),
            )
        )
    return table(
        rows,
        [
            *(
                "version",
                "from",
                "by",
                "kept",
                f"kept, minus {first.version if first else ''}",
                "p",
            ),
            *("right, of those judged", "cost", "per kept QA"),
        ],
        f"{len(next(iter(trials.values())).outcomes)} held-out queries, with 95 % intervals; p is by images, not corrected",
    )


def round_table(rounds: Sequence[Any]) -> Html:
    """The rounds of the automatic mode: the queries with a kept QA before and after, and what became of each version.

    The difference is in points, with the interval of a bootstrap over images.
    """
    rows = [
        (
            row.round,
            row.parent,
            row.version or "–",
            _before_after(row.sample, row.sample_gain),
            _before_after(row.holdout, row.holdout_gain),
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
    return table(rows, head, "before → after, and the difference in points with its 95 % interval")


def diff_html(before: Sequence[str], after: Sequence[str], names: tuple[str, str] = ("", "")) -> Html:
    """The rules of two versions in one list: removed ones struck out, added ones underlined."""
    return _diff(rules_diff(before, after), names)


def _diff(rows: Sequence[tuple[str, str]], names: tuple[str, str]) -> Html:
    lines = "".join(_LINES[mark].format(escaped(rule)) for mark, rule in rows)
    title = f"<p>{escaped(names[0])} → {escaped(names[1])}</p>" if any(names) else ""
    return Html(f'{title}<ul class="rules">{lines}</ul>')


def rule_list(rules: Sequence[str]) -> Html:
    """The rules of a version, numbered."""
    return Html(f"<ol>{''.join(f'<li>{escaped(rule)}</li>' for rule in rules)}</ol>")


def lineage_html(versions: Sequence[PromptVersion], folder: Path) -> Html:
    """The way from the first version to one: the changes of each step with its reason, then all rules at the end."""
    first, last, steps = versions[0], versions[-1], []
    for old, new in pairwise(versions):
        changes = [row for row in rules_diff(old.rules, new.rules) if row[0] != " "]
        why = f"{new.by}: {new.why}" if new.why else new.by
        steps.append(f"{_diff(changes, (old.name, new.name)).text}<p>{escaped(why)}</p>")
    whole = diff_html(first.rules, last.rules, (first.name, last.name)).text if len(steps) > 1 else ""
    only = f"<p>{escaped(last.name)} is the first version.</p>" if not steps else ""
    return Html(f"{''.join(steps)}{whole}{only}<p>The versions lie in {escaped(folder)}.</p>")


def _before_after(pair: tuple[int, int] | None, gain: Gain | None) -> Figure:
    if pair is None or gain is None:
        return Figure("–")
    difference = points(gain.gain, gain.low, gain.high)
    return Figure(f"{pair[0]} → {pair[1]} of {gain.questions}: {difference.text}", difference.bar)


def _of(share: Figure, number: int) -> Figure:
    return Figure(f"{share.text} of {number}") if number else Figure("–")


def _usd(usd: float | None) -> Figure:
    return Figure("–" if usd is None else f"${usd:.4f}")
