"""Report of step 6: how many of the first round's bad cases of each cause are still answered wrongly."""

from collections.abc import Sequence

from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, table

_NONE = "no causes below the types: construct_queries.causes looks for them"


def followed_causes_table(figures: Figures) -> Html:
    """The causes of each type, those of which most is left first, and the share that is right at the end."""
    followed = figures.causes or []
    if not followed:
        return table([], [], _NONE)
    rows: Sequence[Sequence[object]] = [
        (
            plain_name(one.question_type),
            one.cause or "no cause named",
            *one.wrong,
            Figure(f"{100 * (1 - one.wrong[-1] / one.cases):.0f} %" if one.cases else "–"),
        )
        for one in sorted(followed, key=lambda one: (-one.wrong[-1], one.question_type, one.cause))
    ]
    head = ["question type", "cause", *(f"wrong {one.name}" for one in figures.rounds), "right at the end"]
    return table(
        rows, head, "diagnose questions that were wrong at first, some of which chance alone sets right"
    )
