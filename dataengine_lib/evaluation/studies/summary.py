"""A study in sentences: what can be concluded, what cannot, and what was left out."""

from collections.abc import Iterator, Sequence

from dataengine_lib.core.statistics import FEW_QUESTIONS, few_questions, half_width, in_points
from dataengine_lib.core.text import shown
from dataengine_lib.evaluation.studies.figures import (
    KNOWN_AT_START,
    OVERALL,
    TYPE_MEAN,
    WEAK,
    WORST,
    PairFigures,
    StudyFigures,
)

FEW_SEEDS = 3  # below it, the spread over seeds is hardly known


def measure_name(measure: str, figures: StudyFigures) -> str:
    """What is compared, as a report calls it."""
    weak = len(figures.weak_types)
    return {
        OVERALL: "all questions",
        TYPE_MEAN: "mean of types",
        WEAK: f"weakest {weak} types at the start" if weak != 1 else "weakest type at the start",
        WORST: "weakest type after the round",
    }[measure]


def conclusion_sentences(figures: StudyFigures) -> list[str]:
    """What the study shows and what it cannot, with no claim beyond its corrected p-values."""
    seeds = _counted(len(figures.seeds), "seed")
    split = "" if figures.split == "all" else f"{figures.split} "
    found = [
        f"Compared: {_counted(len(figures.arms), 'arm')} with {seeds}, on {figures.questions:,} {split}questions about "
        f"{figures.images:,} images."
    ]
    if len(figures.seeds) == 1:
        found.append(
            "One seed says nothing about other seeds: intervals and p-values are of its questions alone."
        )
    elif len(figures.seeds) < FEW_SEEDS:
        found.append(f"Little can be concluded from {seeds}: the spread over seeds is hardly known.")
    for measure in (OVERALL, WEAK):
        found += _compared(figures, measure, seeds)
    return [*found, *_fallen(figures)]


def _compared(figures: StudyFigures, measure: str, seeds: str) -> Iterator[str]:
    """A sentence on the arms that differ from the reference, and one on those that cannot be told apart from it."""
    own = [pair for pair in figures.pairs if pair.second == figures.reference and measure in pair.differences]
    where = "On all questions" if measure == OVERALL else f"On the {measure_name(measure, figures)}"
    differ = [_above(pair, measure) for pair in own if pair.differences[measure].real]
    if differ:
        yield f"{where}, {'; '.join(differ)}."
    alike = [pair for pair in own if not pair.differences[measure].real]
    if alike:
        most = max(pair.differences[measure].visible for pair in alike)
        yield (
            f"{where}, {_listed([_alike(pair, measure) for pair in alike])} cannot be told apart: a difference below "
            f"{100 * most:.1f} points would often not have been seen with {seeds}."
        )


def _above(pair: PairFigures, measure: str) -> str:
    upper, lower, value, low, high = _upwards(pair, measure)
    p_value = p_text(pair.differences[measure].corrected_p)
    value, low, high = (end.removeprefix("+") for end in (value, low, high))
    return f"{upper} is above {lower} by {value} points ({low} to {high}, corrected p {p_value})"


def _alike(pair: PairFigures, measure: str) -> str:
    upper, lower, value, low, high = _upwards(pair, measure)
    return f"{upper} and {lower} ({value} points, {low} to {high})"


def _upwards(pair: PairFigures, measure: str) -> tuple[str, str, str, str, str]:
    """The arm that is above, the other, and the difference in points with its interval, with signs."""
    one = pair.differences[measure]
    if one.value >= 0:
        return pair.first, pair.second, in_points(one.value), in_points(one.low), in_points(one.high)
    return pair.second, pair.first, in_points(-one.value), in_points(-one.high), in_points(-one.low)


def _fallen(figures: StudyFigures) -> Iterator[str]:
    if not figures.known_types:
        return
    parts = [
        f"{len(arm.fallen)} with {arm.name}" + (f" ({', '.join(arm.fallen)})" if arm.fallen else "")
        for arm in figures.arms
    ]
    known = _counted(len(figures.known_types), "type")
    yield f"Of {known} known at the start ({100 * KNOWN_AT_START:.0f} % right or more), there fell {'; '.join(parts)}."


def p_text(p_value: float) -> str:
    """A p-value for a sentence: `= 0.02`, `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def study_warnings(figures: StudyFigures) -> list[str]:
    """A sentence for each way in which the study says less than it seems."""
    found = [few_questions(figures.questions, "common" if figures.split == "all" else figures.split)]
    few = {kind: number for kind, number in figures.questions_by_type.items() if number < FEW_QUESTIONS}
    if few and not found[0]:
        fewest = min(few, key=lambda kind: (few[kind], kind))
        found.append(
            f"{_counted(len(few), 'type')} with fewer than {FEW_QUESTIONS} questions, the fewest {fewest} with "
            f"{few[fewest]}: an accuracy on so few is known to about ±{half_width(few[fewest]):.0f} points"
        )
    if 0 < len(figures.seeds) < FEW_SEEDS:
        found.append(
            f"only {_counted(len(figures.seeds), 'seed')}: the spread over seeds is hardly "
            "known; give at least 8"
        )
    if figures.runs_left_out:
        first = figures.runs_left_out[0]
        found.append(
            f"runs that are not compared: {len(figures.runs_left_out)}; the first: {first.arm}, seed {first.seed}: "
            f"{first.reason}"
        )
    losing = [one for one in figures.questions_left_out if one.missing or one.changed]
    if losing:
        worst = max(losing, key=lambda one: (one.missing + one.changed, one.evaluation))
        found.append(
            f"{len(losing)} evaluations lack questions that others have, and none of these is compared; most in "
            f"{worst.evaluation}: {worst.missing:,} missing and {worst.changed:,} with other choices or another right "
            f"answer, the first {shown(worst.first)}"
        )
    return [line for line in found if line]
