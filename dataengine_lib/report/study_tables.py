"""Tables of a study (step 7): arms by round, pairs of arms, known types that fell, costs, and what was left out."""

from dataengine_lib.evaluation.studies.figures import (
    KNOWN_AT_START,
    OVERALL,
    TYPE_MEAN,
    ArmFigures,
    Difference,
    MeanScore,
    RoundMeans,
    StudyFigures,
)
from dataengine_lib.evaluation.studies.summary import measure_name, p_text
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, percent, points, table


def arm_rounds_table(figures: StudyFigures) -> Html:
    """Every arm after every round: QAs, and the accuracy by measure."""
    measures = list(figures.arms[0].rounds[0].measures)
    rows = [
        (
            plain_name(arm.name),
            one.name.removeprefix("after "),
            _number(one.cost.qas),
            *(_share(one.measures.get(measure)) for measure in measures),
            plain_name(one.worst_type) or "–",
            *([_gain(one)] if figures.rounds > 1 else []),
        )
        for arm in figures.arms
        for one in arm.rounds
    ]
    names = [measure_name(measure, figures) for measure in measures]
    gain = ["mean of types, gain of the round"] if figures.rounds > 1 else []
    caption = f"{figures.split} split, {len(figures.seeds)} seeds: {', '.join(map(str, figures.seeds))}"
    return table(rows, ["arm", "round", "QAs", *names, "weakest type", *gain], caption)


def pairs_table(figures: StudyFigures) -> Html:
    """Every pair of arms after the last round, by measure, with p-values and the smallest difference to be seen."""
    rows = [
        (
            measure_name(measure, figures),
            f"{plain_name(pair.first)} minus {plain_name(pair.second)}",
            _points(one),
            _p(one.p_value),
            _p(one.corrected_p),
            "real" if one.real else "unclear",
            Figure(f"{100 * one.visible:.1f}"),
        )
        for measure in figures.arms[0].last.measures
        for pair in figures.pairs
        if (one := pair.differences.get(measure)) is not None
    ]
    head = ["measure", "arms", "difference in points", "p", "corrected p", "verdict", "visible from"]
    caption = (
        f"{figures.method}; corrected for the pairs of a measure; visible from: the smallest difference, in points, that "
        "four of five such studies would call real"
    )
    return table(rows, head, caption)


def known_types_table(figures: StudyFigures) -> Html:
    """By arm, how many types known at the start fell, which, and the largest fall."""
    rows = []
    for arm in figures.arms:
        falls = sorted((arm.gains_by_type[kind].value, kind) for kind in figures.known_types)
        low = arm.gains_by_type[falls[0][1]] if falls else None
        largest = "–" if low is None or low.value >= 0 else f"{plain_name(falls[0][1])} {_points(low).text}"
        fallen = ", ".join(plain_name(kind) for kind in arm.fallen) or "none"
        rows.append((plain_name(arm.name), len(figures.known_types), len(arm.fallen), fallen, largest))
    caption = (
        f"known: {100 * KNOWN_AT_START:.0f} % or more of the diagnose questions right before; fell: below the start after "
        "Holm's correction"
    )
    head = ["arm", "known types", "fell", "which", "largest fall in points"]
    return table(rows if figures.known_types else [], head, f"{caption}. {figures.types_note}".rstrip(". "))


def study_cost_table(figures: StudyFigures) -> Html:
    """What a run of each arm used, for each point gained and each question fixed, as a mean over seeds."""
    rows = []
    for arm in figures.arms:
        cost, gain = arm.last.cost, arm.gains[OVERALL]
        rows.append(
            (
                plain_name(arm.name),
                _points(gain),
                Figure(f"{arm.fixed:,.1f} / {arm.broken:,.1f}"),
                _number(cost.requests),
                _number(cost.qas),
                _number(cost.steps),
                _number(cost.tokens),
                _usd(cost.usd),
                *(Figure(_per_point(used, arm)) for used in (cost.qas, cost.steps)),
                _usd(arm.per_point.usd),
                _number(arm.per_fixed.qas),
                _usd(arm.per_fixed.usd),
            )
        )
    head = [
        "arm", "gain in points", "fixed / broken", "requests", "QAs", "steps", "tokens", "USD", "QAs a point",
        "steps a point", "USD a point", "QAs a fixed question", "USD a fixed question",
    ]  # fmt: skip
    caption = "mean of a run; a point is one percentage point of all questions; no figure where the gain may be chance"
    return table(rows, head, caption)


def study_losses_table(figures: StudyFigures) -> Html:
    """Runs and questions that are not compared, and why."""
    rows: list[tuple[object, ...]] = [
        (plain_name(one.arm), f"seed {one.seed}", one.reason) for one in figures.runs_left_out
    ]
    rows += [
        (
            one.evaluation,
            "questions",
            f"{one.missing:,} missing, {one.changed:,} changed, {one.repeated:,} repeated; the first: {one.first}",
        )
        for one in figures.questions_left_out
    ]
    return table(rows, ["run", "what", "why it is not compared"])


def _gain(one: RoundMeans) -> Figure:
    """The gain of a round with its interval and corrected p; a dash before the first."""
    gain = one.gains.get(TYPE_MEAN)
    return Figure("–" if gain is None else f"{_points(gain).text}, p {p_text(gain.corrected_p)}")


def _share(score: MeanScore | None) -> Figure:
    return Figure("–") if score is None else percent(score.value, score.low, score.high)


def _p(value: float) -> Figure:
    return Figure(p_text(value).removeprefix("= "))


def _points(one: Difference) -> Figure:
    return points(one.value, one.low, one.high)


def _number(value: float | None) -> Figure:
    return Figure("–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.3g}")


def _usd(value: float | None) -> Figure:
    return Figure("–" if value is None else f"{value:.4f}" if value < 1 else f"{value:,.2f}")


def _per_point(used: float | None, arm: ArmFigures) -> str:
    """`51 [44 to 60]`: what a point took, from the gain's interval."""
    gain = arm.gains[OVERALL]
    if used is None or gain.low <= 0:
        return "–"
    each, low, high = (used / (100 * one) for one in (gain.value, gain.high, gain.low))
    return f"{each:,.1f} [{low:,.1f}, {high:,.1f}]"
