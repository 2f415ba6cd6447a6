"""`types.html` (all steps): a section for each question type, the weakest first, with what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from dataengine_lib.evaluation.rounds.figures import Figures, GainVerdict
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.galleries.page import PageGalleries, PageScript
from dataengine_lib.report.names import MOST_ROWS, plain_name
from dataengine_lib.report.tables import Figure, Html, Link, percent, points, table
from dataengine_lib.report.type_pages.anchors import type_anchor
from dataengine_lib.report.type_pages.examples import TypeExamples
from dataengine_lib.report.type_pages.figures import TypeStory, interval_words, most_frequent
from dataengine_lib.report.type_pages.funnel import funnel_parts, story_table
from dataengine_lib.report.type_pages.next_steps import next_steps

_FIRST = 8  # examples that are shown at a time


def type_page_values(
    stories: Sequence[TypeStory], examples: TypeExamples, figures: Figures | None, run: str
) -> tuple[dict[str, Any], PageScript | None]:
    """What `types.html.j2` is filled with, and the script of its galleries; `run` is the folder in commands.

    `figures` are those of step 6, where it ran. Beyond MOST_ROWS types, the others are in the table only.
    """
    shown = stories[:MOST_ROWS]
    galleries = PageGalleries(run, _FIRST)
    gains = _gains(figures)
    data = [examples.of(story.question_type) for story in shown]
    images = examples.pictures.thumbnails()
    sections: list[dict[str, Any]] = []
    for story, of_type in zip(shown, data, strict=True):
        of_type.images = images
        gain = gains.get(story.question_type)
        sections.append(
            {
                "name": plain_name(story.question_type),
                "anchor": type_anchor(story.question_type),
                "sentence": _sentence(story, gain, figures),
                "funnel": funnel_parts(story),
                "table": story_table(story).text,
                "reasons": ", ".join(
                    f"{reason} ({number:,})" for reason, number in most_frequent(story.reasons)
                ),
                "next": next_steps(story, gain),
                "gallery": galleries.add_data(of_type),
            }
        )
    values = {
        "sections": [
            one | {"gallery": _markup(one["gallery"]), "table": _markup(one["table"])} for one in sections
        ],
        "table": _markup(_all_table(stories, gains).text),
        "more": len(stories) - len(shown),
    }
    return values, galleries.script()


def _gains(figures: Figures | None) -> Mapping[str, GainVerdict]:
    """Each type's gain, the last evaluation against the first."""
    return figures.comparisons[0].by_type if figures else {}


def _sentence(story: TypeStory, gain: GainVerdict | None, figures: Figures | None) -> str:
    asked = story.evaluated
    if not asked:
        return "It was not evaluated."
    number = f"{asked[0].questions:,} question{'' if asked[0].questions == 1 else 's'}"
    words = f"The student answers {interval_words(asked[0])} of {number} right at first"
    if len(asked) > 1:
        words += f", {interval_words(asked[-1])} in the last evaluation"
    if gain is None or figures is None:
        return f"{words}."
    change = points(gain.gain.gain, gain.gain.low, gain.gain.high).text
    says = verdict_words(gain.verdict, gain.gain.questions)
    return f"{words}: {change} points on {figures.split}, {says}."


def _all_table(stories: Sequence[TypeStory], gains: Mapping[str, GainVerdict]) -> Html:
    """A row for each type, which links to its section."""
    rows = []
    for place, story in enumerate(stories):
        asked, gain = story.evaluated, gains.get(story.question_type)
        name = plain_name(story.question_type)
        written = (story.total("kept") or 0) + (story.total("dropped") or 0)
        rows.append(
            (
                Link(name, f"#{type_anchor(story.question_type)}") if place < MOST_ROWS else name,
                Figure(interval_words(asked[0]) if asked else "–"),
                Figure(interval_words(asked[-1]) if len(asked) > 1 else "–"),
                verdict_words(gain.verdict, gain.gain.questions) if gain else "–",
                _whole(story.total("bad_cases")),
                _whole(story.total("queries")),
                _whole(story.total("kept")),
                percent((story.total("kept") or 0) / written if written else None),
            )
        )
    head = ["question type", "at first", "last", "shows", "bad cases", "queries", "QAs kept", "share kept"]
    return table(rows, head)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _markup(html: str) -> Any:
    from markupsafe import Markup

    return Markup(html)
