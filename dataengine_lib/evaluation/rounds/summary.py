"""Step 6: the comparison of the first and the last round as a table and as a paragraph."""

from typing import NamedTuple

import numpy as np

from dataengine_lib.core.statistics import Gain, few_questions
from dataengine_lib.core.text import shown
from dataengine_lib.evaluation.rounds.figures import Figures


class SummaryRow(NamedTuple):
    """One line of the table at the end of a run; accuracies in [0, 1], gains in [-1, 1]."""

    question_type: str
    before: float
    after: float
    gain: float
    low: float
    high: float


def summary_rows(figures: Figures) -> list[SummaryRow]:
    """First round against last: types from weakest to strongest, then the weak types' average, then overall."""
    first, last, total = figures.rounds[0], figures.rounds[-1], figures.comparisons[0]
    rows = [
        _summary_row(kind, first.by_type[kind].accuracy, last.by_type[kind].accuracy, paired.gain)
        for kind, paired in total.by_type.items()
    ]
    rows.sort(key=lambda row: (row.before, row.question_type))
    if total.weak:
        weak = [row for row in rows if row.question_type in figures.weak_types]
        before, after = (float(np.mean([row[column] for row in weak])) for column in (1, 2))
        # each type weighs the same, as in the gain's average
        rows.append(_summary_row(f"weakest {len(weak)} types (average)", before, after, total.weak))
    rows.append(_summary_row("overall", first.overall.accuracy, last.overall.accuracy, total.overall.gain))
    return rows


def _summary_row(name: str, before: float, after: float, gain: Gain) -> SummaryRow:
    return SummaryRow(name, before, after, gain.gain, gain.low, gain.high)


def conclusion_text(figures: Figures) -> str:
    """One paragraph on the first round against the last; it claims a gain or loss only where the interval excludes 0."""
    total = figures.comparisons[0]
    asked = f"{figures.questions} {'' if figures.split == 'all' else figures.split + ' '}questions"
    sentences = [
        f"On {asked} accuracy went {_points(total.overall.gain)}, "
        f"{total.overall.fixed} fixed and {total.overall.broken} broken, "
        f"McNemar p = {total.overall.p_value:.2g}: {_verdict(total.overall.gain)}."
    ]
    if total.weak:
        names = ", ".join(figures.weak_types)
        sentences.append(
            f"The weak types ({names}) went {_points(total.weak)} on average: {_verdict(total.weak)}."
        )
    if figures.weak_note:
        sentences.append(f"Weak types: {figures.weak_note}.")
    return " ".join(sentences)


def comparison_warnings(figures: Figures) -> list[str]:
    """A sentence for each way in which this comparison says less than it seems."""
    split = "common" if figures.split == "all" else figures.split
    found = [few_questions(figures.questions, split)]
    for one in figures.left_out:
        lost = len(one.missing) + len(one.changed)
        if lost:
            found.append(
                f"{one.evaluation}: {lost:,} questions are not compared, {len(one.missing):,} missing there and "
                f"{len(one.changed):,} with other choices or another right answer; the first: "
                f"{shown([*one.missing, *one.changed][0])}"
            )
        if one.repeated:
            found.append(
                f"{one.evaluation}: {len(one.repeated):,} questions stand there twice; the first row counts"
            )
    total = figures.comparisons[0].overall
    if not total.fixed and not total.broken:
        found.append(
            "no answer changed from right to wrong or back: both evaluations may be of the same student"
        )
    return [line for line in found if line]


def _points(gain: Gain) -> str:
    direction, size = "up" if gain.gain >= 0 else "down", 100 * abs(gain.gain)
    return f"{direction} by {size:.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _verdict(gain: Gain) -> str:
    if gain.low > 0:
        return "a real gain"
    return "a real loss" if gain.high < 0 else "not distinguishable from chance"
