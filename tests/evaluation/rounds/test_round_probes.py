"""Tests of step 6 with probes: gains that are also there blind, and what was forgotten on the panel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.report.probes.compared import compared_probes
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, CompareRoundsResult, compare_rounds

# Right answers of 60 questions a type, before and after, with and without the picture.
SIGHTED = {"sees": (20, 50), "guesses": (20, 50), "both": (10, 55), "same": (30, 30)}
BLIND = {"sees": (20, 20), "guesses": (20, 50), "both": (10, 30), "same": (30, 30)}


def answers(right: dict[str, tuple[int, int]], after: bool, **more: Any) -> list[Answer]:
    return [
        Answer(
            question_id=f"{kind}{n}",
            image_path=f"{kind}{n}.png",
            question="?",
            choices=["yes", "no"],
            correct_choice_idx=0,
            question_type=kind,
            split="holdout",
            correct=n < counts[after],
            predicted_choice_idx=int(n >= counts[after]),
            **more,
        )
        for kind, counts in right.items()
        for n in range(60)
    ]


Compare = Callable[..., CompareRoundsResult]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    def run(**more: Any) -> CompareRoundsResult:
        files = [write_json(tmp_path / f"{after}.json", answers(SIGHTED, after)) for after in (False, True)]
        return compare_rounds(
            CompareRoundsConfig(evaluations=files, output=tmp_path / "compare.json", **more)
        )

    return run


def test_a_gain_that_is_also_there_blind_is_named(tmp_path: Path, compare: Compare) -> None:
    files = [write_json(tmp_path / f"blind{after}.json", answers(BLIND, after)) for after in (False, True)]
    result = compare(blind_evaluations=files)
    blind = result.figures.blind
    assert not isinstance(blind, msgspec.UnsetType)
    assert {kind: one.seeing for kind, one in blind.by_type.items()} == {
        "sees": "by seeing",
        "guesses": "also there blind",
        "both": "in part there blind",
        "same": "",
    }
    sees = blind.by_type["sees"]
    assert sees.excess.gain.gain == pytest.approx(0.5) and sees.blind.gain.gain == 0
    assert blind.by_type["both"].excess.gain.gain == pytest.approx(25 / 60)
    assert sees.excess.gain.low < 0.5 < sees.excess.gain.high
    assert "Real gains: " in result.conclusion() and "guesses (also there blind)" in result.conclusion()
    assert "A gain that also appears without the picture does not come from seeing." in result.conclusion()
    text = compared_probes(result.figures).text
    assert "Gains without the picture" in text and "not distinguishable from chance" in text
    few = [write_json(tmp_path / f"few{n}.json", answers({"few": (1, 2)}, bool(n))[:3]) for n in range(2)]
    compared = compare_rounds(
        CompareRoundsConfig(evaluations=few, blind_evaluations=few, output=tmp_path / "few_compare.json")
    )
    assert compared_probes(compared.figures).text.count("3 questions cannot tell") == 2, (
        "all types, and the one"
    )
    written: Figures = read_json(tmp_path / "compare.json", Figures)
    assert written.blind == blind


def panel(folder: Path, right: dict[str, tuple[int, int]], after: bool) -> None:
    for name, counts in right.items():
        rows = answers({name: counts}, after)
        for row in rows[::2]:
            row.split = "diagnose"  # a panel's splits do not count
        write_json(folder / name / "aokvqa_eval.json", rows)


def test_what_was_forgotten_on_the_panel_is_named_after_correction(tmp_path: Path, compare: Compare) -> None:
    folders = [tmp_path / "round1/panel", tmp_path / "final/panel"]
    for after, folder in enumerate(folders):
        panel(folder, {"pope": (50, 30), "mme": (40, 39), "gqa": (20, 25)}, bool(after))
    panel(folders[0], {"old": (1, 1)}, False)
    result = compare(panels=folders)
    assert any(line.startswith("panel set old is in") for line in result.warnings)
    found = result.figures.panel
    assert isinstance(found, dict) and list(found) == ["gqa", "mme", "pope"]
    pope = found["pope"]
    assert (pope.questions, pope.images, pope.fixed, pope.broken) == (60, 60, 0, 20)
    assert pope.gain.verdict == "loss" and pope.gain.gain.gain == pytest.approx(-1 / 3)
    assert pope.gain.p_holm == pytest.approx(3 * pope.gain.p_value)
    assert found["mme"].gain.verdict == "unclear"
    assert "forgotten: pope -33.3" in result.conclusion()
    assert "not distinguishable from chance: gqa, mme." in result.conclusion()
    text = compared_probes(result.figures).text
    assert "Panel" in text and text.count("<tr>") == 4


def test_rows_and_questions_that_are_left_out_are_named(tmp_path: Path, compare: Compare) -> None:
    files = [write_json(tmp_path / f"blind{after}.json", answers(BLIND, after)) for after in (False, True)]
    folders = [tmp_path / "round1/panel", tmp_path / "final/panel"]
    for after, folder in enumerate(folders):
        panel(folder, {"pope": (50, 30)}, bool(after))
    quiet = compare(blind_evaluations=files, panels=folders)
    for file in (files[1], folders[1] / "pope/aokvqa_eval.json"):
        rows = read_json(file)
        write_json(file, [{**rows[0], "score": 7}, *rows[2:]])
    found = compare(blind_evaluations=files, panels=folders)
    more = [line for line in found.warnings if line not in quiet.warnings]
    assert len(more) == 4
    for file in (files[1], folders[1] / "pope/aokvqa_eval.json"):
        assert sum(line.startswith(f"{file}: 1 of ") for line in more) == 1, more
        assert sum(line.startswith(f"{file}: 2 questions are not compared") for line in more) == 1, more
    assert isinstance(found.figures.panel, dict) and found.figures.panel["pope"].questions == 58


def test_without_probes_the_file_names_none(tmp_path: Path, compare: Compare) -> None:
    nowhere = [tmp_path / "no1", tmp_path / "no2"]
    result = compare(blind_evaluations=nowhere, panels=nowhere)
    text = (tmp_path / "compare.json").read_text()
    assert '"blind"' not in text and '"panel"' not in text
    assert "measured neither" in compared_probes(result.figures).text


def test_a_folder_without_a_set_is_a_panel_that_was_off(tmp_path: Path, compare: Compare) -> None:
    folders = [tmp_path / "round1/panel", tmp_path / "final/panel"]
    (folders[0] / "pope").mkdir(parents=True)
    assert isinstance(compare(panels=folders).figures.panel, msgspec.UnsetType)
    panel(folders[1], {"pope": (50, 30)}, True)
    with pytest.raises(DataEngineError, match=r"round1/panel is missing, so panels of"):
        compare(panels=folders)


def test_one_evaluation_alone_cannot_be_compared(tmp_path: Path, compare: Compare) -> None:
    only = write_json(tmp_path / "blind.json", answers(BLIND, False))
    with pytest.raises(DataEngineError, match=r"gone\.json is missing, so blind_evaluations"):
        compare(blind_evaluations=[only, tmp_path / "gone.json"])
    with pytest.raises(
        (ParameterError, ValueError), match="blind_evaluations has 1 entries for 2 evaluations"
    ):
        compare(blind_evaluations=[only])


def test_circular_and_plain_evaluations_are_not_mixed_silently(tmp_path: Path) -> None:
    files = [
        write_json(tmp_path / "plain.json", answers(SIGHTED, False)),
        write_json(tmp_path / "circular.json", answers(SIGHTED, True, rotated_choice_idx=[0])),
    ]
    found = compare_rounds(CompareRoundsConfig(evaluations=files, output=tmp_path / "compare.json"))
    assert any("robust: circular" in line for line in found.warnings)
    found = compare_rounds(CompareRoundsConfig(evaluations=[files[1]] * 2, output=tmp_path / "compare.json"))
    assert not any("robust: circular" in line for line in found.warnings)


def test_a_question_broken_in_a_rotation_shows_the_wrong_option(tmp_path: Path) -> None:
    before, after = (
        answers({"kind": (10, 10)}, False, rotated_choice_idx=[0]),
        answers({"kind": (10, 10)}, True),
    )
    for row in after:
        row.rotated_choice_idx = [0]
    after[0].rotated_choice_idx, after[0].correct, after[0].score = [1], False, 0.0
    after[0].model_answer = before[0].model_answer = "yes"
    files = [write_json(tmp_path / f"{n}.json", rows) for n, rows in enumerate((before, after))]
    found = compare_rounds(CompareRoundsConfig(evaluations=files, output=tmp_path / "compare.json"))
    assert [(one.before, one.after) for one in found.total.broken] == [("yes", "no")]
