"""The report's table and sentence on types that do not respond."""

from dataengine_lib.evaluation.progress.learning_progress import TypeProgress
from dataengine_lib.report.learning_progress import progress_sentence, progress_table

EVIL = "<script>alert(1)</script>"
FOUND = {
    "image_scene": TypeProgress(60, 100, 0.2, 0.1, 0.3, 0.4, 1.3),
    EVIL: TypeProgress(60, 298, 0.0, -0.1, 0.1, 0.02, 0.2),
    "image_style": TypeProgress(60, 0, 0.0, -0.1, 0.1, None, 1.0),
}


def test_the_sentence_names_what_does_not_respond_and_what_that_does() -> None:
    text = progress_sentence(FOUND, "progress")
    assert "(298 QAs, × 0.20)" in text and text.endswith("their weights are multiplied as shown.")
    assert "weight_rule: progress would multiply" in progress_sentence(FOUND, "1-acc")
    assert progress_sentence({"image_scene": FOUND["image_scene"]}, "progress") == ""
    assert progress_sentence({}, "progress") == ""


def test_the_table_shows_the_least_responding_first() -> None:
    page = progress_table(FOUND, {"image_scene": 0.5, EVIL: 0.1}, "progress")._repr_html_()
    assert "<script" not in page and "+20.0 [+10.0, +30.0]" in page and "40.0%" in page.replace(" %", "%")
    assert page.index("298") < page.index("not known") < page.index("+20.0")
    assert "the factor is part of the weights" in page
    assert "no earlier round" in progress_table({}, {}, "progress")._repr_html_()
