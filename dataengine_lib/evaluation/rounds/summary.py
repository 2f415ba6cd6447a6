"""Step 6: the comparison of the first and the last round as a table and as a paragraph."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import few_questions, in_points
from dataengine_lib.core.text import first_named, shown
from dataengine_lib.evaluation.rounds.figures import Comparison, Figures, GainVerdict, LeftOut
from dataengine_lib.evaluation.rounds.verdicts import verdict_words


class SummaryRow(NamedTuple):
    """One line of the table at the end of a run; accuracies in [0, 1], gains in [-1, 1].

    `p_holm` is the gain's p-value over images after Holm's correction, `verdict` what it shows, in words.
    """

    question_type: str
    before: float
    after: float
    gain: float
    low: float
    high: float
    p_holm: float
    verdict: str


def summary_rows(figures: Figures) -> list[SummaryRow]:
    """First round against last: types from weakest to strongest, then the weak types' average, then overall."""
    first, last, total = figures.rounds[0], figures.rounds[-1], figures.comparisons[0]
    rows = [
        _summary_row(kind, first.by_type[kind].accuracy, last.by_type[kind].accuracy, paired)
        for kind, paired in total.by_type.items()
    ]
    rows.sort(key=lambda row: (row.before, row.question_type))
    if total.weak:
        weak = [row for row in rows if row.question_type in figures.weak_types]
        before, after = (float(np.mean([row[column] for row in weak])) for column in (1, 2))
        # each type weighs the same, as in the gain's average
        rows.append(_summary_row(f"weakest {len(weak)} types (average)", before, after, total.weak))
    rows.append(_summary_row("overall", first.overall.accuracy, last.overall.accuracy, total.overall))
    return rows


def _summary_row(name: str, before: float, after: float, tested: GainVerdict) -> SummaryRow:
    gain = tested.gain
    words = verdict_words(tested.verdict, gain.questions)
    return SummaryRow(name, before, after, gain.gain, gain.low, gain.high, tested.p_holm, words)


def conclusion_text(figures: Figures) -> str:
    """One paragraph on the first round against the last; it calls real only what is left after Holm's correction."""
    total = figures.comparisons[0]
    asked = f"{figures.questions:,} {'' if figures.split == 'all' else figures.split + ' '}questions"
    sentences = [
        f"On {asked} accuracy went {_points(total.overall)}, "
        f"{total.overall.fixed} fixed and {total.overall.broken} broken, "
        f"p {equals_p(total.overall.p_value)}: {_words(total.overall)}."
    ]
    if total.weak:
        names = ", ".join(figures.weak_types)
        sentences.append(
            f"The weak types ({names}) went {_points(total.weak)} on average: {_words(total.weak)}."
        )
    if figures.weak_note:
        sentences.append(f"Weak types: {figures.weak_note}.")
    sentences.append(types_sentence(total))
    if figures.next_round:
        sentences.append(f"Next: {figures.next_round.reason}.")
    return " ".join(sentences)


def types_sentence(comparison: Comparison) -> str:
    """How many types gained and lost after Holm's correction, by name, and of how many nothing can be said."""
    by_verdict: dict[str, list[str]] = {}
    for kind, paired in comparison.by_type.items():
        by_verdict.setdefault(paired.verdict, []).append(kind)
    parts = [
        f"{len(kinds)} real {noun}{'' if len(kinds) == 1 else plural} ({first_named(kinds)})"
        for verdict, noun, plural in (("gain", "gain", "s"), ("loss", "loss", "es"))
        if (kinds := by_verdict.get(verdict, []))
    ]
    number = len(comparison.by_type)
    text = f"Of {number} question type{'' if number == 1 else 's'}, after Holm's correction: "
    text += " and ".join(parts) or "no real gain and no real loss"
    if unclear := len(by_verdict.get("unclear", [])):
        text += f"; {unclear} not distinguishable from chance"
    if few := by_verdict.get("too few", []):
        text += f"; {len(few)} with too few questions to tell"
    return text + "."


def comparison_warnings(figures: Figures) -> list[str]:
    """A sentence for each way in which this comparison says less than it seems."""
    split = "common" if figures.split == "all" else figures.split
    found = [few_questions(figures.questions, split)]
    found += left_out_warnings(figures.left_out)
    total = figures.comparisons[0].overall
    if not total.fixed and not total.broken:
        found.append(
            "no answer changed from right to wrong or back: both evaluations may be of the same student"
        )
    return [line for line in found if line]


def left_out_warnings(left_out: Sequence[LeftOut]) -> list[str]:
    """A sentence for each evaluation with questions that are not compared, or that stand there twice."""
    found = []
    for one in left_out:
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
    return found


def _points(tested: GainVerdict) -> str:
    gain = tested.gain
    shown, low, high = in_points(gain.gain), in_points(gain.low), in_points(gain.high)
    direction = "down" if shown.startswith("-") else "up"
    return f"{direction} by {shown[1:]} points (95 % interval {low} to {high})"


def _words(tested: GainVerdict) -> str:
    return verdict_words(tested.verdict, tested.gain.questions)
