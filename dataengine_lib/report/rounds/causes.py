"""Report of step 6: how many of the first round's bad cases of each cause are still answered wrongly."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataengine_lib.core.statistics import FEW_OF_TYPE, wilson
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.evaluation.rounds.followed_causes import FollowedCause
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows, marked_intervals
from dataengine_lib.report.drawing.colors import GREY, round_style
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import Figure, Html, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NONE = "no causes below the types: construct_queries.causes looks for them"
_UNNAMED = "no cause named"


def followed_causes(figures: Figures) -> Html:
    """The share of each cause's bad cases that is still wrong after each round, as a chart and a table; most left first."""
    followed = figures.causes or []
    if not followed:
        return table([], [], _NONE)
    asked = [one for one in followed if one.cases]
    chart = _chart(asked, [one.name for one in figures.rounds])._repr_html_() if asked else ""
    rows: Sequence[Sequence[object]] = [
        (
            plain_name(one.question_type),
            one.cause or _UNNAMED,
            *one.wrong,
            Figure(f"{100 * (1 - one.wrong[-1] / one.cases):.0f} %" if one.cases else "–"),
        )
        for one in sorted(followed, key=_by_share, reverse=True)
    ]
    head = ["question type", "cause", *(f"wrong {one.name}" for one in figures.rounds), "right at the end"]
    note = "diagnose questions that were wrong at first, some of which chance alone sets right"
    return Html(chart + table(rows, head, note).text)


def _chart(followed: Sequence[FollowedCause], evaluations: Sequence[str]) -> Chart:
    """The share that is still wrong after each round, with its interval; causes with too few cases to tell are grey."""
    first, *names = evaluations  # before any round, all of them are wrong
    title = "Bad cases that are still wrong, by cause"
    rows, cut = top_rows(sorted(followed, key=_by_share))

    def draw(axes: "Axes") -> None:
        for number, name in enumerate(names, 1):
            color, marker = round_style(number)
            # spread over 0.4 of a row, the first round at the top
            offset = 0.2 - 0.4 * (number - 1) / max(1, len(names) - 1) if len(names) > 1 else 0.0
            labels = [short_label(name), None]  # one entry of the key, also where some causes are grey
            for few in (False, True):
                places = [place for place, one in enumerate(rows) if _few(one) is few]
                if not places:
                    continue
                ends = [
                    (_left(one, number), *wilson(one.wrong[number], one.cases))
                    for one in (rows[place] for place in places)
                ]
                spread = [place + offset for place in places]
                marked_intervals(axes, ends, spread, GREY if few else color, marker, labels.pop(0))
        label_rows(axes, [_label(one) for one in rows])
        unsure = "; ?: too few to tell" if any(map(_few, rows)) else ""
        text = f"still wrong in %, with 95 % Wilson interval; n: bad cases{unsure}"
        axes.set(xlim=(0, 100), xlabel=text)

    most = ", ".join(f"{_name(one)} {_left(one, -1):.0%} of {one.cases}" for one in rows[::-1][:3])
    few = sum(map(_few, rows))
    note = f" {few} of {len(rows)} causes have too few bad cases to tell (?)." if few else ""
    alt = (
        f"{title}. All were wrong {first}; most are left {names[-1]} of: {most}. Chance alone sets some "
        f"right, so causes are to be compared with each other.{note}{cut}"
    )
    texts = [
        f"{_name(one)}: {one.cases:,} bad cases, still wrong "
        + ", ".join(f"{name} {one.wrong[number]:,}" for number, name in enumerate(names, 1))
        for one in rows
    ]
    return drawn_chart((1.7 + 0.15 * len(names)) * len(rows), title, alt, draw, texts)


def _by_share(one: FollowedCause) -> tuple[float, str, str]:
    return _left(one, -1) if one.cases else -1.0, one.question_type, one.cause


def _left(one: FollowedCause, number: int) -> float:
    """The share of the cause's cases that is wrong in an evaluation."""
    return one.wrong[number] / one.cases


def _few(one: FollowedCause) -> bool:
    return one.cases < FEW_OF_TYPE


def _name(one: FollowedCause) -> str:
    return f"{plain_name(one.question_type)} ({plain_name(one.cause or _UNNAMED)})"


def _label(one: FollowedCause) -> str:
    """Two lines: the type with the number of cases, the cause."""
    unsure = " ?" if _few(one) else ""
    return f"{short_label(one.question_type)} (n={one.cases}{unsure})\n{short_label(one.cause or _UNNAMED)}"
