"""Names are bounded in width and height, and a chart in rows; displays are no mathematics."""

import re
from types import SimpleNamespace

import pytest

from dataengine_lib.report import charts, tables
from dataengine_lib.report.gallery import cards
from dataengine_lib.report.names import MOST_ROWS, cut_to_width, plain_name, short_label
from dataengine_lib.report.rounds.compared import round_chart
from dataengine_lib.report.rounds.small_chart import small_round_chart


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("image_scene", "image scene"),
        (" two \n lines ", "two lines"),
        ("x" * 44, "x" * 44),
        ("x" * 5000, "x" * 43 + "…"),
        ("語" * 22, "語" * 22),
        ("語" * 23, "語" * 21 + "…"),
        ("a\u0301" * 44, "a\u0301" * 44),
        ("a" + "\u0301" * 900 + "b", "a\u0301\u0301\u0301b"),
        ("\u202eevil\u202c \u2067x\u2069", "evil x"),
        ("مرحبا\u200f", "مرحبا\u200f\u200e"),
        ("𝔘" * 23, "𝔘" * 21 + "…"),
    ],
)
def test_names_are_bounded(name: str, shown: str) -> None:
    assert plain_name(name) == shown


def test_the_sign_of_omission_fits_into_the_width() -> None:
    assert cut_to_width("ab語d", 4) == "ab…" and cut_to_width("abcd", 4) == "abcd"
    assert short_label("$5_to_$10") == r"\$5 to \$10"


def score(share: float = 0.5) -> SimpleNamespace:
    return SimpleNamespace(accuracy=share, low=share, high=share, total=9, weight_share=share, drawn_share=share,
                           too_few=False, filled=2, kept=3, dropped=1)  # fmt: skip


def test_a_chart_of_ten_thousand_types_draws_the_first_and_says_so() -> None:
    many = {f"t{number:05}": score(number / 10_000) for number in range(10_000)}
    before, after = (SimpleNamespace(name=name, by_type=many) for name in ("before", "after"))
    parts = [SimpleNamespace(name=name, rows=1, drawn=1, share=0.0) for name in many]
    drawn = {
        "score": charts.score_chart(many, "Accuracy"),
        "share": charts.share_chart(many),
        "count": charts.count_chart(dict.fromkeys(many, 1), "Counts", "rows"),
        "kept": charts.kept_chart(many),
        "mix": charts.mix_chart(parts),
        "round": round_chart([before, after]),
    }
    for name, chart in drawn.items():
        assert f" Of 10,000 rows the first {MOST_ROWS} are drawn." in chart.alt, name
        assert len(re.findall(r">t\d{5}\b(?!:)", chart.svg)) == MOST_ROWS, name
        assert len(re.findall(r"<title>t\d{5}: ", chart.svg)) == MOST_ROWS, name
    assert ">t00000" in drawn["score"].svg and ">t09999" in drawn["share"].svg
    assert "30,000 kept, 10,000 dropped" in drawn["kept"].alt
    small = small_round_chart(many, many).text
    assert small.count("<circle") == 2 * 2 * MOST_ROWS and "the 60 weakest of 10,000 question types" in small


@pytest.mark.parametrize(
    "shown",
    [
        tables.table([["costs $5 … $10"]], ["type"]),
        tables.conclusion(r"It is $\frac{\frac{1}{2}}{3}$."),
        cards(["$x$"]),
        charts.count_chart({"$5 to $10": 1}, "Counts", "rows"),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_jupyterlab_typesets_no_display_as_mathematics(shown: tables.Html | charts.Chart) -> None:
    text = shown._repr_html_()
    assert re.match(r"<(?:div|figure) class=\"(?:chart )?dataengine mathjax_ignore tex2jax_ignore\"", text)
