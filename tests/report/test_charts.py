"""Charts are whole, the same every time, and say in words what they show."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from dataengine_lib.report import charts
from dataengine_lib.report.drawing.colors import BLUE, ORANGE, SKY
from dataengine_lib.report.rounds.compared import round_chart
from dataengine_lib.report.rounds.small_chart import small_round_chart

EVIL = '"><script>alert(1)</script> $\\frac'


def score(accuracy, total=40, too_few=False):
    return SimpleNamespace(
        accuracy=accuracy, low=accuracy - 0.1, high=accuracy + 0.1, total=total, too_few=too_few
    )


SCORES = {
    "image_scene": score(0.9),
    "image_$tyle": score(0.4),
    "spatial_relationship": score(0.3),
    "social_relation": score(0.0, 0),
}


def rounds(*accuracies):
    return [
        SimpleNamespace(name=f"round {number}", by_type={"a_kind": score(accuracy), "b": score(0.5)})
        for number, accuracy in enumerate(accuracies)
    ]


def every_chart(kind):
    share = SimpleNamespace(weight_share=0.4, drawn_share=0.5, filled=5)
    part = SimpleNamespace(name=kind, rows=5, drawn=9, share=0.9)
    return {
        "score": charts.score_chart({kind: score(0.3), **SCORES}, "Accuracy"),
        "share": charts.share_chart({kind: share}),
        "count": charts.count_chart({kind: 3, "b": 5}, "Counts", "rows"),
        "kept": charts.kept_chart({kind: SimpleNamespace(kept=3, dropped=1)}),
        "mix": charts.mix_chart([part]),
        "loss": charts.loss_chart([SimpleNamespace(step=i, loss=3 - i / 10) for i in range(20)]),
        "round": round_chart(rounds(0.3, 0.5, 0.7), [kind]),
    }


@pytest.fixture(scope="module")
def drawn():
    return every_chart(EVIL), every_chart(EVIL)


@pytest.mark.parametrize("name", ["score", "share", "count", "kept", "mix", "loss", "round"])
def test_a_chart_is_whole_offline_escaped_and_the_same_every_time(drawn, name):
    chart, again = (charts_[name] for charts_ in drawn)
    assert chart.svg == again.svg
    page = chart._repr_html_()
    # The whole figure is well-formed: no name from a data file breaks out of it.
    figure = ElementTree.fromstring(page)
    assert figure.tag == "figure" and figure.get("role") == "img" and figure.get("aria-label") == chart.alt
    assert "<script" not in page and "<dc:date>" not in page
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)


def test_scores_have_intervals_numbers_chance_and_the_weakest_on_top():
    chart = charts.score_chart(SCORES, "Accuracy, holdout")
    assert (
        chart.alt == "Accuracy, holdout. Weakest: spatial relationship 30%, image $tyle 40%, image scene 90%."
    )
    for text in ("(n=40)", "95 % Wilson interval by images", "chance, 25%", "Accuracy, holdout"):
        assert text in chart.svg
    assert "social relation" not in chart.svg  # nothing was asked
    assert height_of(chart.svg, "spatial relationship") < height_of(chart.svg, "image scene")


def height_of(svg, label):
    """How far from the top the label is drawn."""
    return float(re.search(r'y="([\d.]+)"[^>]*>\s*' + label, svg).group(1))


def test_every_round_is_shown_with_gains_and_the_weak_types_marked():
    chart = round_chart(rounds(0.3, 0.5, 0.7), ["a_kind"])
    for text in ("round 0", "round 1", "round 2", "+40", "+0", "* a kind"):
        assert text in chart.svg
    assert "a kind +40." in chart.alt and "weakest at the start" in chart.alt
    assert "too few" not in chart.svg + chart.alt


def test_types_with_too_few_questions_say_so_in_the_charts():
    few = [
        SimpleNamespace(name=name, by_type={"rare": score(0.3, 3, too_few=True), "b": score(0.5)})
        for name in ("before", "after")
    ]
    chart = round_chart(few)
    assert "+0 ?" in chart.svg and "?: too few questions to tell" in chart.svg
    assert "1 of 2 types have too few questions to tell (?)." in chart.alt
    evaluated = charts.score_chart({"rare": score(0.3, 3), "b": score(0.5)}, "Accuracy").svg
    assert "(n=3 ?)" in evaluated and "(n=40)" in evaluated and "?: too few to tell" in evaluated
    small = small_round_chart(few[0].by_type, few[1].by_type).text
    assert ">+0 ?</text>" in small and ">+0</text>" in small and "?: too few questions to tell." in small


def test_every_row_has_its_figures_for_the_mouse_and_for_screen_readers():
    chart = charts.score_chart(SCORES, "Accuracy")
    rows = [
        f"{name}: {share} % [{low}, {high}], n = 40"
        for name, share, low, high in (
            ("spatial relationship", "30.0", "20.0", "40.0"),
            ("image $tyle", "40.0", "30.0", "50.0"),
            ("image scene", "90.0", "80.0", "100.0"),
        )
    ]
    figure = ElementTree.fromstring(chart._repr_html_())
    assert figure.get("aria-description") == "; ".join(rows)
    # the row at the bottom is drawn first, in the wide and in the narrow drawing
    assert [node.text for node in figure.iter("{http://www.w3.org/2000/svg}title")] == rows[::-1] * 2
    assert "row-" not in chart.svg + chart.narrow, "ids would be there twice in a page"


def test_hatches_and_markers_of_the_two_drawings_are_apart():
    # a browser draws nothing for what a visible drawing takes from a hidden one
    chart = charts.kept_chart({"scene": SimpleNamespace(kept=3, dropped=2)})
    wide, narrow = (
        set(re.findall(r'<(?:pattern|path|clipPath) id="([^"]+)"', text))
        for text in (chart.svg, chart.narrow)
    )
    assert wide and narrow and wide.isdisjoint(narrow)
    assert set(re.findall(r"url\(#([^)]+)\)", chart.narrow)) <= narrow


def test_a_chart_has_the_colours_of_the_page_and_a_saved_one_its_own():
    chart = charts.score_chart(SCORES, "Accuracy")
    assert "var(" not in chart.svg and BLUE in chart.svg
    page = chart._repr_html_()
    assert f"fill: var(--blue, {BLUE})" in page and f"fill: {BLUE}" not in page
    css = (Path(charts.__file__).parent / "templates" / "displays.css").read_text()
    for name in set(re.findall(r"var\(--(\w+), #", page)):
        assert re.search(rf"--{name}: light-dark\(#\w+, #\w+\)", css), name


def test_a_round_has_the_same_colour_in_every_chart():
    three = round_chart(rounds(0.3, 0.5, 0.7))
    two = round_chart(rounds(0.3, 0.5))
    assert BLUE in two.svg and ORANGE in three.svg and ORANGE not in two.svg
    before, after = rounds(0.3, 0.5)
    for number, color in ((1, "--blue"), (2, "--orange")):
        assert f"fill: var({color}" in small_round_chart(before.by_type, after.by_type, number).text


def test_one_point_of_a_curve_has_a_marker():
    points = [SimpleNamespace(step=step, loss=2.0) for step in (1, 2)]
    curve, point = charts.loss_chart(points), charts.loss_chart(points[:1])
    assert f"fill: {SKY}" in point.svg and f"fill: {SKY}" not in curve.svg
    assert "step 1: loss 2.000, smoothed 2.000" in curve._repr_html_()


def test_units_and_figures_are_in_the_charts(drawn):
    charts_ = drawn[0]
    assert "cross-entropy per answer token (nats)" in charts_["loss"].svg
    assert "The largest difference is 10.0 points." in charts_["share"].alt
    assert charts_["kept"].alt.endswith("3 kept, 1 dropped.")
    assert "9 drawn from 5 rows" in charts_["mix"].svg


def test_charts_of_nothing_say_so():
    assert charts.score_chart({}, "Accuracy").alt == "Accuracy. Weakest: no questions."
    assert charts.loss_chart([]).alt == "Training loss: no loss was logged."
    assert charts.count_chart({}, "Dropped", "replies").alt == "Dropped: none."
    assert charts.kept_chart({}).alt.endswith("0 kept, 0 dropped.")


def test_the_small_chart_needs_no_matplotlib_and_escapes():
    before, after = {"weak": score(0.2), EVIL: score(0.6)}, {"weak": score(0.5), EVIL: score(0.4)}
    text = small_round_chart(before, after).text
    figure = ElementTree.fromstring(text)
    texts = [node.text for node in figure.iter() if node.tag.endswith("text")]
    assert texts.index("weak") < texts.index(EVIL[:31] + "…")
    rows = ["weak: 20.0% before, 50.0% after", f"{EVIL}: 60.0% before, 40.0% after"]
    assert figure.get("aria-description") == "; ".join(rows)
    assert [node.text for node in figure.iter("title")] == rows * 2  # of the wide and the narrow drawing
    assert "+30" in texts and "-20" in texts


def test_importing_the_charts_does_not_import_matplotlib():
    code = "import sys; from dataengine_lib.report import charts, gallery, index;"
    code += "print([name for name in ('matplotlib', 'nbconvert', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
