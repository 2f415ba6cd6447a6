"""The report pieces of step 4: reasons by type, and right letters before and after."""

from dataengine_lib.curation.counts import PostProcessCounts, TypeCount
from dataengine_lib.report.post_process import (
    reason_table,
    right_letter_chart,
    right_letter_sentence,
    right_letter_table,
)

EVIL = "<script>alert(1)</script>"
COUNTS = PostProcessCounts(
    kept=24,
    dropped=6,
    by_reason={"no answer": 5, EVIL: 1},
    by_type={
        "image_topic": TypeCount(20, 0, {}, [2, 14, 2, 2], [5, 5, 5, 5]),
        f"ocr{EVIL}$x$": TypeCount(4, 6, {"no answer": 5, EVIL: 1}, [0, 2, 2, 0], [1, 1, 1, 1]),
    },
)
NOTHING = PostProcessCounts(kept=0, dropped=0, by_reason={}, by_type={})


def test_reasons_by_type_with_the_worst_first() -> None:
    text = reason_table(COUNTS).text
    assert text.index("ocr") < text.index("image topic")
    assert "40.0 % [16.8, 68.7]" in text and "no answer (5); &lt;script&gt;" in text
    assert "<script" not in text


def test_letters_before_and_after() -> None:
    chart = right_letter_chart(COUNTS)
    assert "A 8 % before and 25 % after, B 67 % before and 25 % after" in chart.alt
    for words in (
        "Letter of the right choice in the kept questions",
        "share in %",
        "n = 24 questions",
        "even, 25 %",
    ):
        assert words in chart.svg
    assert (
        "2 · 14 · 2 · 2" in right_letter_table(COUNTS).text
        and "<script" not in right_letter_table(COUNTS).text
    )
    assert right_letter_sentence(COUNTS).startswith("The right letter was B in 67%")


def test_nothing_kept() -> None:
    assert right_letter_chart(NOTHING).alt.endswith("no questions.")
    assert right_letter_sentence(NOTHING) == "" and "nothing to list" in reason_table(NOTHING).text
    assert "nothing to list" in right_letter_table(NOTHING).text
