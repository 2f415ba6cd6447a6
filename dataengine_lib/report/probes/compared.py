"""Report of step 6: gains with and without the picture, and the panel's sets; nothing where they were off."""

import msgspec

from dataengine_lib.evaluation.rounds.figures import BlindComparison, Figures, GainVerdict, PanelComparison
from dataengine_lib.evaluation.rounds.probes import blind_gain_sentence, panel_sentence
from dataengine_lib.evaluation.rounds.verdicts import verdict_words
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, escaped, p_value, percent, points, table


def compared_probes(figures: Figures) -> Html:
    """The tables of what was switched on, each with its heading."""
    parts = []
    if not isinstance(figures.blind, msgspec.UnsetType):
        parts += [_heading("Gains without the picture"), _blind_table(figures.blind).text]
    if not isinstance(figures.panel, msgspec.UnsetType):
        parts += [_heading("Panel: was anything forgotten elsewhere?"), _panel_table(figures.panel).text]
    return Html("".join(parts)) if parts else table([], [], "step 1 measured neither")


def _heading(text: str) -> str:
    return f"<h3>{escaped(text)}</h3>"


def _blind_table(compared: BlindComparison) -> Html:
    rows = [
        (
            plain_name(kind),
            _points(one.sighted),
            _points(one.blind),
            _points(one.excess),
            p_value(one.blind.p_holm),
            p_value(one.excess.p_holm),
            one.seeing or verdict_words(one.sighted.verdict, one.sighted.gain.questions),
        )
        for kind, one in {"all types": compared.overall, **compared.by_type}.items()
    ]
    head = [
        "question type",
        "gain",
        "gain blind",
        "difference",
        "p blind, Holm",
        "p difference, Holm",
        "shows",
    ]
    return table(rows, head, f"{compared.questions:,} questions asked with and without the picture, in points. "
                 f"{blind_gain_sentence(compared)}")  # fmt: skip


def _panel_table(compared: dict[str, PanelComparison]) -> Html:
    rows = [
        (
            name,
            one.questions,
            percent(*one.before),
            percent(*one.after),
            _points(one.gain),
            one.fixed,
            one.broken,
            p_value(one.gain.p_value),
            p_value(one.gain.p_holm),
            verdict_words(one.gain.verdict, one.questions),
        )
        for name, one in compared.items()
    ]
    head = [
        "set",
        "questions",
        "before",
        "after",
        "change in points",
        "fixed",
        "broken",
        "p",
        "p, Holm",
        "shows",
    ]
    return table(
        rows, head, f"never trained or diagnosed on; 95 % intervals by images. {panel_sentence(compared)}"
    )


def _points(tested: GainVerdict) -> Figure:
    return points(tested.gain.gain, tested.gain.low, tested.gain.high)
