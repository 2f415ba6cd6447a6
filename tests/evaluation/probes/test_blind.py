"""Tests of the evaluation without the picture: in pairs, with the same loaded student."""

import json
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS, ColourStudent, root, run  # noqa: F401
from PIL import Image

from dataengine_lib.errors import ParameterError
from dataengine_lib.steps.evaluate import EvaluateConfig
from dataengine_lib.students import loading
from dataengine_lib.students.blind import BlindApiStudent, BlindStudent


class GuessesRed(ColourStudent):
    """Sees colours, and says red of a picture that is grey."""

    loaded = 0

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        self.asked += prompts
        names = {rgb: name for name, rgb in COLOURS.items()}
        seen = [names.get(image.getpixel((0, 0)), "red") for image in images]
        return [
            [-0.5 if text == name else -2.0 for text in row] for name, row in zip(seen, choices, strict=True)
        ]


def test_blind_scores_stand_beside_sighted_ones_in_pairs(root: Path) -> None:  # noqa: F811
    result = run(root, GuessesRed(), blind=True)
    scores = result.metrics.blind
    assert isinstance(scores, dict) and set(scores) == {"diagnose", "holdout"}
    diagnose = scores["diagnose"]
    assert (diagnose.questions, diagnose.overall.second.mean, diagnose.overall.first.mean) == (4, 0.75, 0.75)
    holdout = scores["holdout"].overall
    # blue twice, which it does not guess, and a white picture that is called red: right blind, wrong by sight
    assert (holdout.second.mean, holdout.first.mean) == (pytest.approx(0.6667), pytest.approx(0.3333))
    assert holdout.change.low <= holdout.change.gain <= holdout.change.high
    assert set(diagnose.per_type) == {"image_scene", "image_style"}
    rows = json.loads((root / "out/blind_eval.json").read_text())
    assert {row["model_answer"] for row in rows} == {"red"} and len(rows) == len(result.answers)
    assert result.paths["blind_eval.json"].exists()


def test_without_it_nothing_more_is_asked_or_written(root: Path) -> None:  # noqa: F811
    plain = GuessesRed()
    run(root, plain)
    first = {path.name: path.read_bytes() for path in (root / "out").iterdir()}
    assert len(plain.asked) == 14 and "blind_eval.json" not in first
    assert not {"blind", "contamination", "panel"} & set(json.loads(first["metrics.json"]))
    run(root, GuessesRed(), blind=True, contamination=True)
    for name in set(first) - {"metrics.json"}:
        assert (root / "out" / name).read_bytes() == first[name], name


def test_one_student_is_loaded_for_everything_and_a_killed_run_goes_on(
    root: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    students: list[GuessesRed] = []

    class Dies(GuessesRed):
        def rank(self, images: Any, *rest: Any) -> list[list[float]]:
            if images[0].getpixel((0, 0)) == (127, 127, 127) and len(students) == 1:
                raise RuntimeError("killed")
            return super().rank(images, *rest)

    def load(*given: Any) -> GuessesRed:
        students.append(Dies())
        return students[-1]

    monkeypatch.setattr(loading, "load_student", load)
    from dataengine_lib.steps.evaluate import evaluate

    settings = EvaluateConfig(
        questions=root / "questions.json", image_root=root, student="tiny", output_dir=root / "out",
        blind=True, contamination=True,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="killed"):
        evaluate(settings)
    asked = len(students[0].asked)
    done = evaluate(settings)
    assert len(students) == 2 and asked == 14  # the sighted answers, which are kept
    assert not any(prompt == students[0].asked[0] for prompt in students[1].asked[7:14])
    assert done.metrics.contamination and not (root / "out/evaluate.progress.jsonl").exists()


def test_the_image_is_grey_and_of_the_same_size_or_not_sent() -> None:
    seen: list[Any] = []

    class Looks:
        def generate(self, images: Any, prompts: Any, **more: Any) -> list[str]:
            seen.extend(images)
            return ["x"] * len(prompts)

    images = [Image.new("RGB", (5, 7), "red"), Image.new("RGB", (5, 7), "blue")]
    BlindStudent(Looks()).generate(images, ["a", "b"])  # type: ignore[arg-type]
    assert seen[0] is seen[1] and seen[0].size == (5, 7) and seen[0].getpixel((0, 0)) == (127, 127, 127)
    BlindApiStudent(Looks()).generate(images, ["a", "b"])  # type: ignore[arg-type]
    assert seen[2:] == [None, None]


@pytest.mark.parametrize("probe", ["blind", "contamination"])
def test_predictions_in_a_file_cannot_be_asked(root: Path, probe: str) -> None:  # noqa: F811
    with pytest.raises(ParameterError, match=rf"cannot be asked; leave out {probe}$"):
        EvaluateConfig.read(
            {
                "questions": root / "q",
                "image_root": root,
                "student": "recorded:x",
                "output_dir": root,
                probe: True,
            },
            "test",
        )
