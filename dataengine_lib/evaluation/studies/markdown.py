"""A study as a Markdown table, which can stand in a README or a paper's appendix."""

import re

from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import one_line
from dataengine_lib.evaluation.studies.figures import OVERALL, Difference, MeanScore, StudyFigures
from dataengine_lib.evaluation.studies.summary import conclusion_sentences, measure_name, p_text

# Matches what Markdown would not show as it is: `*a*`, `a|b`, `<b>`; not the `_` of `base_only` or the `<` of `p < 0.05`.
_SPECIAL = re.compile(r"([\\`*\[\]|#$~]|<(?=\S)|(?<!\w)_|_(?!\w))")


def markdown_table(figures: StudyFigures) -> str:
    """Every arm after the last round, its difference to the reference, and the conclusion below."""
    measures = list(figures.arms[0].last.measures)
    head = ["arm", "requests", "QAs", *(measure_name(measure, figures) for measure in measures)]
    head += [f"minus {_escaped(figures.reference)}, all questions", "corrected p"]
    pairs = {pair.first: pair.differences for pair in figures.pairs if pair.second == figures.reference}
    rows = [
        [
            "before",
            "0",
            "0",
            *(_share(score) for score in figures.arms[0].rounds[0].measures.values()),
            "–",
            "–",
        ]
    ]
    for arm in figures.arms:
        row = [_escaped(arm.name), _number(arm.last.cost.requests), _number(arm.last.cost.qas)]
        row += [_share(arm.last.measures[measure]) for measure in measures]
        difference = pairs.get(arm.name, {}).get(OVERALL)
        rows.append(
            [*row, _points(difference), p_text(difference.corrected_p).lstrip("= ") if difference else "–"]
        )
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1)), *map(_line, rows)]
    below = " ".join(conclusion_sentences(figures))
    return "\n".join([*lines, "", _escaped(f"{below} Intervals are of 95 %, over seeds and images."), ""])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _share(score: MeanScore) -> str:
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _points(one: Difference | None) -> str:
    return "–" if one is None else f"{in_points(one.value)} ({in_points(one.low)} to {in_points(one.high)})"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", one_line(text))
