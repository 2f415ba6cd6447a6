"""Tests of the probes' tables in the report of step 1."""

from pathlib import Path

import msgspec
import pytest
from colour_student import ColourStudent, root, run  # noqa: F401

from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.probes.contamination import ORDER, Contamination, OrderPreference
from dataengine_lib.report.probes.measured import measured_probes, preference_sentence, probe_sentences


class Grey(ColourStudent):
    """A colour student that says red of a grey picture, and has no preference among texts."""

    def rank(
        self, images: object, prompts: object, choices: object, scored: str = "text"
    ) -> list[list[float]]:
        if scored == "words":
            return [[-1.0] * len(row) for row in choices]  # type: ignore[attr-defined]
        pairs = zip(images, choices, strict=True)  # type: ignore[call-overload]
        return [
            [-0.5 if text == "red" else -2.0 for text in row]
            if image.getpixel((0, 0)) == (127, 127, 127)
            else super(Grey, self).rank([image], [""], [row])[0]
            for image, row in pairs
        ]


def test_what_was_switched_on_is_shown(root: Path) -> None:  # noqa: F811
    result = run(root, Grey(), robust="circular", blind=True, contamination=True, direct_answers=False)
    text = measured_probes(result.metrics).text
    for title in ("Every rotation of the options", "Without the picture", "Were the questions in training?"):
        assert title in text
    assert "Accuracy with and without the picture, holdout split" in text and text.count("<figure") == 2
    assert "this alone does not tell which" in text and "arXiv 2310.17623" in text and "2307.06281" in text
    assert "Panel" not in text
    sentences = " ".join(probe_sentences(result.metrics))
    assert "in the given order alone" in sentences and "Without the picture" in sentences
    assert "does not fall beyond chance" in sentences


def test_nothing_is_shown_where_nothing_was_asked(root: Path) -> None:  # noqa: F811
    metrics = run(root, Grey()).metrics
    assert (
        "no probe is switched on" in measured_probes(metrics).text
        and "<h3>" not in measured_probes(metrics).text
    )
    assert probe_sentences(metrics) == []


@pytest.mark.parametrize(
    ("beyond", "p_value", "words"),
    [(0.2, 0.001, "preferred beyond chance"), (0.2, 0.2, "no preference"), (-0.2, 0.001, "no preference")],
)
def test_only_a_preference_beyond_chance_is_called_one(beyond: float, p_value: float, words: str) -> None:
    found = OrderPreference(90, 10, 0.5 + beyond, Gain(beyond, beyond - 0.1, beyond + 0.1, 90, 90), p_value)
    measured = Contamination({}, {ORDER: 90}, 0, found)
    assert words in preference_sentence(measured, "text")
    untested = msgspec.structs.replace(measured, preference=None)
    assert "was not tested: every question's options stand in" in preference_sentence(untested, "text")
    words = (
        "was not tested: a student with rank: generate, or with rank: letter on a server or in vLLM, gives"
    )
    assert words in preference_sentence(untested, "generate")


def test_metrics_are_read_back(root: Path) -> None:  # noqa: F811
    metrics = run(root, Grey(), robust="circular", blind=True, contamination=True).metrics
    assert msgspec.json.decode(msgspec.json.encode(metrics), type=type(metrics)) == metrics
