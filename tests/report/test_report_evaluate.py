"""Report pieces of step 1: whole, escaped, and saying what they show."""

import re
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.bad_rows import BadRow, BadRowSummary
from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import wilson
from dataengine_lib.evaluation.letter_bias import Consistency, consistency, letter_bias
from dataengine_lib.evaluation.metrics import compute_metrics
from dataengine_lib.evaluation.type_confusion import type_confusion
from dataengine_lib.evaluation.weights import weight_table
from dataengine_lib.report import evaluate as measuring

EVIL = '"><script>alert(1)</script> $\\frac'


def answers(chosen: list[int], known: str = "image_scene", teacher: str = "image_scene") -> list[Answer]:
    return [
        Answer(
            question="?",
            choices=list("wxyz"),
            correct_choice_idx=place % 4,
            predicted_choice_idx=choice,
            correct=choice == place % 4,
            question_type=known,
            teacher_type=teacher,
            reversed_choice_idx=choice if place % 3 else 3,
            image_id=place,
        )
        for place, choice in enumerate(chosen)
    ]


COUNTS = {"image_scene": (30, 60), EVIL: (1, 3), "image_style": (0, 0)}
WEIGHTS = weight_table(COUNTS, {kind: wilson(*count) for kind, count in COUNTS.items()})


def figure(chart: measuring.Chart) -> ElementTree.Element:
    page = chart._repr_html_()
    assert "<script" not in page and "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|"http[^"]*"', "", page)
    return ElementTree.fromstring(page)


def test_the_weight_chart_shows_every_rule_of_every_type() -> None:
    chart = measuring.weight_chart(WEIGHTS, COUNTS)
    text = " ".join(figure(chart).itertext())
    for name in (
        "1-acc",
        "sqrt(1-acc)",
        "shrunk^2",
        "shrunk",
        "image scene  (n=60)",
        "image style  (n=0)",
        "95 % interval",
    ):
        assert name in text, name
    shrunk = WEIGHTS["image_scene"]["shrunk"].weight
    assert f"image scene {shrunk:.2f}" in chart.alt
    assert chart.svg == measuring.weight_chart(WEIGHTS, COUNTS).svg


def test_the_letter_chart_and_table_name_the_letter_that_is_preferred() -> None:
    bias = letter_bias(answers([0] * 80))
    chart = measuring.letter_bias_chart(bias)
    text = " ".join(figure(chart).itertext())
    for name in ("(A)  (n=80)", "(D)  (n=80)", "expected without a preference", "95 % range"):
        assert name in text, name
    for text in (chart.alt, measuring.letter_bias_table(bias).text):
        assert "Wrong answers favour (A): 60 of 60; 20.0 are expected" in text
        assert "p &lt; 0.0001" in text or "p < 0.0001" in text
    assert "100.0 % [83.9, 100.0]" in measuring.letter_bias_table(bias).text


def test_the_sentence_says_where_nothing_shows_or_can_show() -> None:
    even = letter_bias(answers([0, 1, 2, 3, 1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2, -1]))
    assert "The 12 wrong answers show no preference for a letter" in measuring.letter_bias_sentence(even)
    assert "by Monte Carlo" in measuring.letter_bias_sentence(even)
    assert "1 answers name no option" in measuring.letter_bias_table(even).text
    assert "too few wrong answers to tell" in measuring.letter_bias_sentence(letter_bias(answers([0])))
    assert measuring.letter_bias_sentence(letter_bias([])) == ""  # no question has letters
    assert figure(measuring.letter_bias_chart(letter_bias([]))) is not None


def test_the_order_table_has_shares_with_intervals() -> None:
    both = consistency(answers([0, 1, 2, 3] * 6))
    assert isinstance(both, Consistency)
    text = measuring.order_table(both).text
    assert "24 questions asked in both orders" in text and "by images p = 0.0313" in text
    assert "right in both orders (robust)" in text and "100.0 % [86.2, 100.0]" in text
    assert text.count("<tr>") == 5


@pytest.mark.parametrize("most", [40, 2])
def test_the_confusion_table_is_escaped_and_lists_the_largest(most: int) -> None:
    found = type_confusion(
        [
            *answers([0, 1, 2, 0]),
            *answers([0, 1], teacher=EVIL),
            *answers([1], known="image_style", teacher="image_scene"),
        ]
    )
    text = measuring.confusion_table(found, most).text
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "75.0 % [30.1, 95.4]" in text
    assert text.count("<tr>") - 1 == min(most, 3)
    assert ("1 smaller pairs are not listed" in text) == (most == 2)
    agreed = measuring.agreement_table(found).text
    assert agreed.index("image style") < agreed.index("image scene") and "66.7 %" in agreed


def test_without_the_teachers_types_the_table_says_so() -> None:
    assert "nothing to list" in measuring.confusion_table(type_confusion([])).text


def test_splits_and_the_weakest_types_have_their_intervals() -> None:
    asked = [  # three of four right, an image each
        msgspec.structs.replace(
            row, split="diagnose", question_type=kind, correct=number % 4 > 0, image_id=first + number
        )
        for kind, first, count in (("image_scene", 0, 8), ("image_style", 8, 4))
        for number, row in enumerate(answers([0] * count))
    ]
    types = ["image_scene", "image_style", "image_topic"]
    metrics = compute_metrics(asked, types, "text", "1-acc", BadRowSummary(0, 12, {}, []))
    shown = measuring.split_table(metrics).text
    assert "diagnose" in shown and "75.0 % [46.8, 91.1]" in shown and "25.0 %" in shown
    assert "rank rule: text</caption>" in shown
    metrics.source, metrics.usage = "a table", StudentUsage(12, 3000, 0, 50, None)
    asked = measuring.split_table(metrics).text
    assert (
        "text from a table; the server of the student sent 12 replies with 3,050 tokens, price not known"
        in asked
    )
    metrics.usage = StudentUsage(12, 3000, 0, 50, 0.125)
    assert "0.12 US dollars" in measuring.split_table(metrics).text
    text = measuring.weakest_sentence(metrics.splits["diagnose"].per_type)
    assert text == (
        "Weakest: image scene 75.0 % [40.9, 92.8], 8 questions cannot tell; "
        "image style 75.0 % [30.1, 95.4], 4 questions cannot tell."
    )


def test_rows_left_out_are_counted_by_reason_and_named() -> None:
    rows = [BadRow(f"row {n}", EVIL, "empty question" if n % 2 else "no image") for n in range(30)]
    skipped = BadRowSummary(30, 90, {"empty question": 15, "no image": 15}, rows)
    shown = measuring.skipped_table(skipped).text
    assert "30 of 90 rows left out: empty question (15), no image (15); the first 20 are listed" in shown
    assert "row 19" in shown and "row 20<" not in shown and "<script" not in shown
    assert (
        "0 of 90 rows left out; nothing to list" in measuring.skipped_table(BadRowSummary(0, 90, {}, [])).text
    )
