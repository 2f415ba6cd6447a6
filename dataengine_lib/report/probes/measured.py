"""Report of step 1: rotations, the evaluation without the picture, contamination and the panel; nothing where off."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from dataengine_lib.core.significance.sign_flip import ALPHA, equals_p
from dataengine_lib.core.statistics import FEW_OF_TYPE, in_points
from dataengine_lib.evaluation.metrics import FIRST_TOKEN, Metrics
from dataengine_lib.evaluation.paired.circular import CircularScore
from dataengine_lib.evaluation.paired.scores import Mean, PairedScores
from dataengine_lib.evaluation.probes.blind import BlindScores
from dataengine_lib.evaluation.probes.contamination import ORDER, WORDING, Contamination, OrderPreference
from dataengine_lib.evaluation.probes.panel import PanelScore
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows, marked_intervals
from dataengine_lib.report.drawing.colors import BLUE, GREY
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import (
    Figure,
    Html,
    escaped,
    few_marked,
    p_value,
    percent,
    points,
    share_table,
    table,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CONCLUDE = (
    "A score that falls shows that answers depend on the wording or the order: the questions may have been learnt by "
    "heart, or the student is easily confused; this alone does not tell which. A score that stays does not show that "
    "the questions were not in training, since a student may have learnt what they are about."
)
_PREFERS = (
    "Without having seen the file, a student has no reason to prefer its order of options (exchangeability, after Oren "
    "et al. 2023, arXiv 2310.17623, who test the order of a file's rows). A preference is a sign that the file, or its "
    "source, was in training, unless the options stand in an order by some rule; those in the order of numbers or of the "
    "alphabet are left out. No preference does not show the contrary."
)


def measured_probes(metrics: Metrics) -> Html:
    """The tables of what was switched on, each with its heading."""
    text = "".join(f"<h3>{escaped(title)}</h3>{part.text}" for title, part in _parts(metrics))
    return Html(text) if text else table([], [], "no probe is switched on")


def _parts(metrics: Metrics) -> Iterator[tuple[str, Html]]:
    for split, scores in metrics.splits.items():
        if not isinstance(scores.circular, msgspec.UnsetType):
            others = scores.overall.total - scores.circular.questions
            yield f"Every rotation of the options, {split} split", _circular_table(scores.circular, others)
    if not isinstance(metrics.blind, msgspec.UnsetType):
        for split, blind in metrics.blind.items():
            chart = _blind_chart(split, blind)
            yield f"Without the picture, {split} split", Html(_blind_table(blind).text + chart._repr_html_())
    if not isinstance(metrics.contamination, msgspec.UnsetType):
        found = _contamination_table(metrics.contamination, metrics.rank)
        yield "Were the questions in training?", found
    if not isinstance(metrics.panel, msgspec.UnsetType):
        yield "Panel", _panel_table(metrics.panel)


def _circular_table(found: CircularScore, others: int) -> Html:
    """`others` are the questions of the split that have no options to rotate."""
    shares = {
        "right in the given order": found.as_asked,
        "right in every rotation (circular)": found.circular,
        "same option in every rotation": found.same,
    }
    change = found.change
    once = (
        f"; {others:,} yes/no or open-ended ones have no options to rotate and were asked once"
        if others
        else ""
    )
    caption = (
        f"{found.questions:,} questions, {found.passes:,} answers{once}; circular minus plain accuracy "
        f"{points(change.gain, change.low, change.high).text} points, by images. Accuracies, bad cases and weights of "
        "this page are circular; letters and the part on training are of the given order. Source: CircularEval of "
        "MMBench, arXiv 2307.06281"
    )
    return share_table(shares, caption)


def _blind_table(blind: BlindScores) -> Html:
    rows = [
        _pair(plain_name(kind), one) for kind, one in {"all types": blind.overall, **blind.per_type}.items()
    ]
    head = ["question type", "questions", "blind", "with the picture", "difference in points", "p", "p, Holm"]
    caption = (
        f"{blind.questions:,} questions asked with and without the picture, in pairs; 95 % intervals by images. What is "
        "right without the picture too is not answered by seeing"
    )
    return table(rows, head, caption)


def _blind_chart(split: str, blind: BlindScores) -> Chart:
    """Each type's score with and without the picture, the one that needs the picture least at the top."""
    title = f"Accuracy with and without the picture, {split} split"
    ordered = sorted(blind.per_type.items(), key=lambda row: (-row[1].change.gain, row[0]))
    rows, cut = top_rows(ordered)

    def draw(axes: "Axes") -> None:
        without, with_picture = [one.first for _, one in rows], [one.second for _, one in rows]
        for label, means, color, marker, offset in (
            ("without the picture", without, GREY, "o", -0.14),
            ("with the picture", with_picture, BLUE, "D", 0.14),
        ):
            ends = [(one.mean, one.low, one.high) for one in means]
            marked_intervals(axes, ends, [place + offset for place in range(len(rows))], color, marker, label)
        names = [f"{short_label(kind)}  (n={one.change.questions})" for kind, one in rows]
        label_rows(axes, names)
        axes.set(xlim=(0, 100), xlabel="accuracy in %, with 95 % intervals by images; n: number of questions")

    least = ", ".join(f"{plain_name(kind)} {in_points(one.change.gain, 0)}" for kind, one in rows[::-1][:4])
    alt = f"{title}. The picture adds least, in points: {least or 'no questions'}.{cut}"
    texts = [
        f"{plain_name(kind)}: {_percent(one.second).text} with the picture, {_percent(one.first).text} without, "
        f"n = {one.change.questions:,}"
        for kind, one in rows
    ]
    return drawn_chart(1.3 * len(rows), title, alt, draw, texts)


def _contamination_table(found: Contamination, rank: str) -> Html:
    rows = [_pair(change, one) for change, one in found.changes.items()]
    head = ["change", "questions", "as asked", "changed", "change in points", "p", "p, Holm"]
    without = found.questions.get(WORDING, 0) - found.questions.get(ORDER, 0)
    no_order = f"; {without:,} have no options to put in another order" if without > 0 else ""
    caption = (
        f"the same questions with the options in another order, and in other words: {found.reworded:,} with synonyms "
        f"inside, the others with a new opening alone{no_order}; 95 % intervals by images. {_CONCLUDE}"
    )
    return Html(table(rows, head, caption).text + f"<p>{escaped(preference_sentence(found, rank))}</p>")


def _panel_table(panel: dict[str, PanelScore]) -> Html:
    rows = [
        (
            name,
            one.questions,
            one.images,
            few_marked(_percent(one.overall), one.questions, one.questions < FEW_OF_TYPE),
            one.left_out,
        )
        for name, one in panel.items()
    ]
    head = ["set", "questions", "images", "score", "rows left out"]
    return table(rows, head, "further sets, never trained or diagnosed on; 95 % intervals by images")


def _pair(name: str, one: PairedScores) -> tuple[object, ...]:
    change, number = one.change, one.change.questions
    return (
        name,
        number,
        _percent(one.first),
        _percent(one.second),
        # the words once in a row, or the table gets too wide
        few_marked(points(change.gain, change.low, change.high), number, number < FEW_OF_TYPE),
        p_value(one.p_value),
        p_value(one.p_holm),
    )


def _percent(one: Mean) -> Figure:
    return percent(one.mean, one.low, one.high)


def preference_sentence(contamination: Contamination, rank: str) -> str:
    """Whether the student prefers the file's order of options, and what follows; `rank` is the rule of its answers."""
    found = contamination.preference
    if found is None:
        why = "every question's options stand in the order of numbers or of the alphabet"
        if rank in ("generate", FIRST_TOKEN):
            why = "a student with rank: generate, or with rank: letter on a server or in vLLM, gives no scores of texts"
        elif not contamination.questions.get(ORDER):
            why = "no question has options"
        return f"Whether the file's order of options is preferred was not tested: {why}."
    low, high = 0.5 + found.beyond.low, 0.5 + found.beyond.high
    verdict = "it is preferred beyond chance" if _is_preferred(found) else "no preference beyond chance"
    return (
        f"The file's order of options beats {percent(found.share, low, high).text} of other orders (50 % by chance, p "
        f"{equals_p(found.p_value)}) in {found.questions:,} questions, {found.left_out:,} left out: {verdict}. {_PREFERS}"
    )


def _is_preferred(found: OrderPreference) -> bool:
    return found.p_value <= ALPHA and found.beyond.gain > 0


def probe_sentences(metrics: Metrics) -> list[str]:
    """One sentence for each probe that was switched on, for the conclusion."""
    split, scores = metrics.shown()
    found = []
    if not isinstance(scores.circular, msgspec.UnsetType):
        plain = scores.circular.as_asked
        found.append(
            "Right is what is right in every rotation of the options; in the given order alone "
            f"{percent(plain.share, plain.low, plain.high).text} are right."
        )
    if not isinstance(metrics.blind, msgspec.UnsetType) and split in metrics.blind:
        blind = metrics.blind[split].overall.first
        found.append(f"Without the picture {_percent(blind).text} are right.")
    if not isinstance(metrics.contamination, msgspec.UnsetType):
        fell = [
            name
            for name, one in metrics.contamination.changes.items()
            if one.p_holm <= ALPHA and one.change.gain < 0
        ]
        text = (
            f"falls after: {', '.join(fell)}"
            if fell
            else "does not fall beyond chance in other words or orders"
        )
        found.append(f"The score {text}.")
        preference = metrics.contamination.preference
        if preference and _is_preferred(preference):
            found.append(
                "The file's order of options is preferred beyond chance, a sign that it was in training."
            )
    if not isinstance(metrics.panel, msgspec.UnsetType):
        sets = ", ".join(f"{name} {_percent(one.overall).text}" for name, one in metrics.panel.items())
        found.append(f"On the panel: {sets}.")
    return found
