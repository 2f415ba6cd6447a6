"""Tests of the panel in steps 4 and 5: what is about one of its images is not trained on."""

import json
from pathlib import Path

import pytest
from made_records import candidate_of
from PIL import Image

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.curation.checks import RecordChecks
from dataengine_lib.curation.image_copies import ImageCopies
from dataengine_lib.curation.leaks import EvaluationSet
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.copies import COPY
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE
from dataengine_lib.questions.question_sets import QuestionSet
from dataengine_lib.training.held_out_images import HeldOutImages


def record(path: str, question: str = "How many birds sit here?") -> TrainRecord:
    return TrainRecord(
        image_id=-1, image_path=path, question=question, choices=["a lot", "few"], correct_choice_idx=0,
        raw_instructions="", question_type="t",
    )  # fmt: skip


@pytest.fixture
def panel(tmp_path: Path) -> QuestionSet:
    """One question about `panel/0.png`, of which `pool/copy.png` is a copy; `pool/other.png` is another picture."""
    for name, first in (("panel/0.png", 0), ("pool/copy.png", 0), ("pool/other.png", 90)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image = Image.effect_mandelbrot((96, 96), (-2 + first / 60, -1.5, 1, 1.5), 50)
        image.convert("RGB").save(tmp_path / name)
    row = {"image_path": "0.png", "question": "Which animal is asleep?", "choices": ["a cat", "a dog"],
           "correct_choice_idx": 0}  # fmt: skip
    (tmp_path / "panel.json").write_text(json.dumps([row]))
    return QuestionSet(questions=tmp_path / "panel.json", image_root=tmp_path / "panel")


def test_images_and_questions_of_a_panel_are_leaks(tmp_path: Path, panel: QuestionSet) -> None:
    evaluation = EvaluationSet([], None, 0.8, {"other": panel})
    copies = ImageCopies(evaluation.sets, tmp_path)
    assert evaluation.known == 1 and copies.compared == 1
    asked = record("pool/other.png", "Which animal is asleep?")
    asked.choices = ["a cat", "a dog"]
    rows = [record("panel/0.png"), record("pool/copy.png"), record("pool/other.png"), asked]
    found = list(evaluation.leaks(rows, tmp_path, is_copy=copies.has))
    assert found == [EVALUATION_IMAGE, COPY, "", "evaluation question"]


def test_copies_of_a_panel_leak_also_where_the_questions_images_are_not_given(
    tmp_path: Path, panel: QuestionSet
) -> None:
    own = {"image_path": "own.png", "question": "Who sits?", "choices": ["a", "b"], "correct_choice_idx": 0}
    (tmp_path / "own.json").write_text(json.dumps([own]))
    settings = CheckSettings(
        questions=tmp_path / "own.json", panel={"other": panel}, image_root=tmp_path,
        box_check="off", near_duplicates="off", blind_classifier="off", leaks="mark",
    )  # fmt: skip
    checks = RecordChecks(settings, tmp_path / "ledger.jsonl")
    rows = [record("pool/copy.png"), record("pool/other.png")]
    items = checks.run(candidate_of(row, 0, n) for n, row in enumerate(rows))
    assert [item.record.leak for item in items if isinstance(item, Candidate)] == [COPY, ""]
    (note,) = checks.notes
    assert "compared with 2 evaluation images by id and path, what 1 of them show" in note
    assert note.endswith("; to find changed copies of all of them, give evaluation_image_root")


@pytest.mark.parametrize("wrong", ["evaluation_image_root", "panel.other.image_root"])
def test_the_parameter_of_the_folder_without_images_is_named(
    tmp_path: Path, panel: QuestionSet, wrong: str
) -> None:
    (tmp_path / "empty").mkdir()
    right, empty = tmp_path / "panel", tmp_path / "empty"
    own, other = (empty, right) if wrong == "evaluation_image_root" else (right, empty)
    other_set = {"other": QuestionSet(questions=panel.questions, image_root=other)}
    evaluation = EvaluationSet([panel.questions], own, 0.8, other_set)
    with pytest.raises(
        ParameterError, match=f"^{empty}: none of 1 evaluation images is there; correct {wrong}$"
    ):
        ImageCopies(evaluation.sets, tmp_path)


def test_step_5_holds_out_a_panel_beside_the_questions_or_alone(tmp_path: Path, panel: QuestionSet) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps([{"image_path": "other.png", "question": "?", "choices": ["a", "b"]}]))
    alone = HeldOutImages(None, tmp_path, panel={"other": panel})
    both = HeldOutImages(own, tmp_path / "pool", panel={"other": panel})
    assert (alone.known, both.known) == (1, 2)
    copy, other = tmp_path / "pool/copy.png", tmp_path / "pool/other.png"
    assert alone.has(copy) and not alone.has(other)  # the same bytes
    assert both.among([copy, other]) == {copy, other}
    lost = QuestionSet(questions=panel.questions, image_root=tmp_path / "pool")
    with pytest.raises(ParameterError, match=r"correct panel\.other\.image_root"):
        HeldOutImages(None, tmp_path, panel={"other": lost})
