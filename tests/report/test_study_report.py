"""The charts and tables of a study are whole, escaped, the same every time, and say in words what they show."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from made_study.files import ARMS, MadeArm, write_study

from dataengine_lib.evaluation.studies.figures import QuestionsLeftOut, RunLeftOut, StudyFigures
from dataengine_lib.report import study_charts, study_tables
from dataengine_lib.report.charts import Chart
from dataengine_lib.report.tables import Html
from dataengine_lib.steps.study import StudyConfig, study

EVIL = '"><script>alert(1)</script> $\\frac'
CHARTS = (study_charts.arms_chart, study_charts.study_types_chart, study_charts.learning_chart)
TABLES = (
    study_tables.arm_rounds_table,
    study_tables.pairs_table,
    study_tables.known_types_table,
    study_tables.study_cost_table,
    study_tables.study_losses_table,
)


def compared(folder: Path, *arms: MadeArm) -> StudyFigures:
    file = write_study(folder, arms, 3, 1, questions=20)
    return study(StudyConfig(study=file, output=folder / "out.json")).figures


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> StudyFigures:
    return compared(tmp_path_factory.mktemp("study"), *ARMS)


@pytest.fixture(scope="module")
def hostile(figures: StudyFigures) -> StudyFigures:
    """The same with tags in the names of an arm, of two types and of what is left out."""
    evil = json.dumps(EVIL)[1:-1].encode()
    text = re.sub(b"uniform|social_relation|image_scene", lambda _: evil, msgspec.json.encode(figures))
    found = msgspec.json.decode(text, type=StudyFigures)
    found.runs_left_out.append(RunLeftOut(EVIL, 1, EVIL))
    found.questions_left_out.append(QuestionsLeftOut(EVIL, 1, 2, 3, EVIL))
    return found


@pytest.mark.parametrize("draw", CHARTS, ids=lambda draw: draw.__name__)
def test_a_chart_is_whole_offline_escaped_and_the_same_every_time(
    hostile: StudyFigures, draw: Callable[[StudyFigures], Chart]
) -> None:
    chart = draw(hostile)
    assert chart.svg == draw(hostile).svg
    page = chart._repr_html_()
    figure = ElementTree.fromstring(page)
    assert figure.get("role") == "img" and figure.get("aria-label") == chart.alt
    assert "<script" not in page and "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", page)


@pytest.mark.parametrize("made", TABLES, ids=lambda made: made.__name__)
def test_a_table_is_whole_and_escaped(hostile: StudyFigures, made: Callable[[StudyFigures], Html]) -> None:
    text = made(hostile).text
    assert ElementTree.fromstring(text).tag == "div"
    assert "<script" not in text and "&lt;script" in text


def test_arms_have_values_units_intervals_and_the_accuracy_before(figures: StudyFigures) -> None:
    chart = study_charts.arms_chart(figures)
    value = 100 * figures.arms[0].last.measures["overall"].value
    for text in (
        f"{value:.1f}",
        "with 95 % intervals over seeds and images",
        "before",
        "weakest 4 types at the start",
    ):
        assert text in chart.svg, text
    assert chart.alt.startswith(
        f"Arms of tiny after one round. Accuracy in %, all questions: adaptive {value:.1f} ("
    )


def test_no_two_arms_of_a_chart_look_alike(figures: StudyFigures) -> None:
    def shapes(arms: int) -> int:
        copies = [msgspec.structs.replace(figures.arms[0], name=f"arm {number}") for number in range(arms)]
        chart = study_charts.arms_chart(msgspec.structs.replace(figures, arms=copies))
        return len(set(re.findall(r'<use xlink:href="#(\w+)"', chart.svg)))

    assert [shapes(arms) - shapes(1) for arms in (7, 8, 12, 13)] == [6, 7, 11, 11]


def test_differences_by_type_say_what_is_real(figures: StudyFigures) -> None:
    chart = study_charts.study_types_chart(figures)
    assert "filled: real after Holm's correction" in chart.svg and "* social relation  (n=20)" in chart.svg
    base = figures.by_type[1]
    below = sum(one.real and one.value < 0 for one in base.by_type.values())
    assert below > 0 and f"base only is above in 0 and below in {below} of 6 types" in chart.alt
    # the type that was weakest at the start is drawn at the top
    tops = [chart.svg.index(name) for name in ("* social relation", "image scene")]
    assert tops[0] > tops[1], "rows are written from the bottom"


def test_a_learning_curve_has_a_line_an_arm_and_one_through_numbers_of_queries(tmp_path: Path) -> None:
    changes = {"construct_queries": {"maxnum": 900}}
    found = compared(tmp_path, MadeArm("few", qas=50), MadeArm("many", {"image_emotion": 0.5}, 200, changes))
    chart = study_charts.learning_chart(found)
    assert "few → many" in chart.svg and "QAs trained on" in chart.svg
    assert re.search(
        r"few \S+ % with 0 QAs, \S+ % with 50 QAs; many \S+ % with 0 QAs, \S+ % with 200 QAs", chart.alt
    )


def test_a_study_of_one_arm_has_every_chart_and_table(tmp_path: Path) -> None:
    found = compared(tmp_path, MadeArm("only"))
    for draw in CHARTS:
        assert ElementTree.fromstring(draw(found)._repr_html_()).tag == "figure"
    for made in TABLES:
        assert made(found).text
    assert "there is no other arm" in study_charts.study_types_chart(found).alt


def test_the_cost_of_a_gain_that_may_be_chance_is_open(figures: StudyFigures) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", study_tables.study_cost_table(figures).text)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert [row[0] for row in cells] == ["adaptive", "uniform", "base only"]
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", cells[0][8]) and cells[2][8:11] == ["–", "–", "–"]


def test_a_chart_is_saved_as_it_is_shown(figures: StudyFigures, tmp_path: Path) -> None:
    chart = study_charts.arms_chart(figures)
    assert study_charts.saved_chart(chart, tmp_path / "chart.svg") is chart
    assert ElementTree.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")
