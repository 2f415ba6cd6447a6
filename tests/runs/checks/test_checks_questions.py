"""Before a run: splits and types with too few questions are found in the file of questions."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.core.statistics import half_width
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.checks.questions import asked_or_finding, check_questions
from dataengine_lib.runs.checks.teacher_types import check_teacher_types
from dataengine_lib.runs.precheck import check_data
from dataengine_lib.runs.workflow import Planned, plan

SCENE, QUALITY = "image_scene", "image_quality"


def planned(
    folder: Path, questions: Iterable[tuple[str, str]], *settings: str, **row: object
) -> list[Planned]:
    """The demo's plan with questions of these splits and types, one image each."""
    rows = []
    (folder / "images").mkdir(exist_ok=True)
    for number, (split, kind) in enumerate(questions):
        (folder / "images" / f"{number}.jpg").touch()
        one = {"question": f"what {number}?", "choices": ["a", "b"], "correct_choice_idx": 0, "split": split}
        rows.append(one | {"question_type": kind, "image_path": f"{number}.jpg"} | row)
    (folder / "q.json").write_text(json.dumps(rows))
    paths = [f"evaluate.questions={folder / 'q.json'}", f"evaluate.image_root={folder / 'images'}"]
    experiment = demo_experiment(*paths, *settings)
    experiment.sections.pop("classify_questions")
    return plan(experiment, folder / "run")


def found(steps: list[Planned]) -> dict[str, tuple[str, str]]:
    return {one.subject: (one.mark, one.message) for one in check_questions(steps, asked_or_finding(steps))}


def test_a_small_holdout_is_a_warning_with_what_it_can_show(tmp_path: Path) -> None:
    asked = [("holdout", SCENE)] * 12 + [("diagnose", SCENE)] * 60
    assert found(planned(tmp_path, asked))["holdout split"] == (
        "warn", "has 12 questions: differences below about ±25 points cannot be seen",
    )  # fmt: skip
    assert found(planned(tmp_path, [("holdout", SCENE)] * 60 + [("diagnose", SCENE)]))["holdout split"] == (
        "ok", "has 60 questions: differences below about ±12 points cannot be seen",
    )  # fmt: skip
    one = found(planned(tmp_path, [("holdout", SCENE), ("diagnose", SCENE)]))["holdout split"]
    assert one[0] == "warn" and one[1].startswith("has 1 question: ")


def test_types_with_few_holdout_questions_are_counted(tmp_path: Path) -> None:
    asked = [("holdout", SCENE)] * 50 + [("holdout", QUALITY)] * 4 + [("diagnose", SCENE)]
    mark, message = found(planned(tmp_path, asked))["types of the holdout split"]
    assert mark == "warn"
    assert message.startswith("1 of 2 question types have fewer than 10 holdout questions")
    assert message.endswith(f"image_quality 4 (±{half_width(4):.0f} points)")
    assert "types of the holdout split" not in found(planned(tmp_path, [("holdout", SCENE)] * 50))


@pytest.mark.parametrize(
    ("asked", "settings", "subject", "words"),
    [
        (["diagnose"], [], "holdout split", "no question is in it, so compare_rounds would have nothing"),
        (["holdout"], [], "diagnose split", "no question is in it, so construct_queries would have nothing"),
        (["holdout", "diagnose"], ["evaluate.split=holdout"], "diagnose split",
         "is not asked, as evaluate.split is holdout, but construct_queries needs it; set evaluate.split to all"),
        (["holdout", "diagnose"], ["evaluate.split=diagnose"], "holdout split", "set evaluate.split to all"),
        (["holdout"], ["evaluate.split=diagnose"], "questions", "no usable question in split diagnose"),
    ],
)  # fmt: skip
def test_a_split_without_questions_that_a_later_step_needs_stops_the_run(
    asked: list[str], settings: list[str], subject: str, words: str, tmp_path: Path
) -> None:
    steps = planned(tmp_path, [(split, SCENE) for split in asked], *settings)
    mark, message = found(steps)[subject]
    assert mark == "bad" and words in message
    with pytest.raises(ParameterError, match=rf"^my\.yaml: {subject}: "):
        check_data(Path("my.yaml"), steps, 0, len(steps) - 1)
    last = next(place for place, item in enumerate(steps) if item.step.name == "evaluate")
    if subject != "questions":  # step 1 by itself needs neither split
        assert check_data(Path("my.yaml"), steps, 0, last) == []


def test_a_test_split_and_missing_images_stop_the_run(tmp_path: Path) -> None:
    asked = [("test", SCENE)] * 4
    mark, message = found(planned(tmp_path, asked, correct_choice_idx=None))["questions"]
    assert mark == "bad"
    assert "no question has an answer, as in a test split, so construct_queries and compare_rounds" in message
    mark, message = found(planned(tmp_path, asked, image_path="gone.jpg"))["questions"]
    assert mark == "bad" and "4 of 4" in message and "check image_root" in message
    mark, message = found(planned(tmp_path, asked, choices=[]))["questions"]
    assert mark == "bad" and "none of its 4 rows is a question" in message


def test_queries_of_types_without_diagnose_questions_cannot_be_filled(tmp_path: Path) -> None:
    asked = [("diagnose", SCENE)] * 3 + [("holdout", QUALITY)]
    settings = ["construct_queries.maxnum=10", "construct_queries.targets={image_quality: 4}"]
    mark, message = found(planned(tmp_path, asked, *settings))["diagnose split"]
    assert mark == "warn" and "has 3 questions" in message and "image_scene 3" in message
    assert "17 of 18 types have none and get no queries" in message
    assert "about 6 of 10 queries can be filled" in message
    settings[1] = "construct_queries.targets={image_quality: 10}"
    mark, message = found(planned(tmp_path, asked, *settings))["diagnose split"]
    assert mark == "bad" and "about 0 of 10 queries can be filled" in message
    mark, message = found(planned(tmp_path, asked, "construct_queries.categories=mmbench"))["diagnose split"]
    assert mark == "warn" and "can be filled" not in message


def test_questions_of_step_0_are_counted_by_split_before_they_have_types(tmp_path: Path) -> None:
    asked = [("holdout", ""), ("diagnose", "")]
    planned(tmp_path, asked)
    names = [
        f"classify_questions.questions={tmp_path / 'q.json'}",
        f"evaluate.image_root={tmp_path / 'images'}",
    ]
    steps = plan(demo_experiment(*names), tmp_path / "run")
    assert found(steps)["diagnose split"] == ("ok", "has 1 question; bad cases come from these")
    assert found(steps)["holdout split"][0] == "warn"
    assert found(plan(demo_experiment(), tmp_path / "run")) == {}, "the playground is not written yet"


def test_skipped_queries_are_estimated_by_the_weights_of_an_earlier_run(tmp_path: Path) -> None:
    settings = ["generate_qa.teacher=annotations", "construct_queries.maxnum=100"]
    settings += ["construct_queries.served_by=null"]  # with the default, no query is skipped for its type
    steps = plan(demo_experiment(*settings), tmp_path)
    names = [name for name in _types() if name not in (SCENE, QUALITY)]
    file = tmp_path / "round1" / "weight.json"
    file.parent.mkdir()
    file.write_text(json.dumps(dict.fromkeys(names, 0) | {SCENE: 3, QUALITY: 1}))
    (one,) = check_teacher_types(steps, asked_or_finding(steps))
    assert one.mark == "warn"
    assert (
        "answers 1 of 2 types; about 25 of 100 queries a round would be skipped: image_quality" in one.message
    )
    file.write_text(json.dumps(dict.fromkeys(names, 0) | {SCENE: 0, QUALITY: 1}))
    assert [one.mark for one in check_teacher_types(steps, asked_or_finding(steps))] == ["bad"]
    file.write_text("{damaged")
    (one,) = check_teacher_types(steps, asked_or_finding(steps))
    assert "answers 10 of 18 types" in one.message


@pytest.mark.parametrize("teacher", ["annotations", "playground"])
def test_the_types_of_yes_no_and_open_ended_questions_count_as_answered(tmp_path: Path, teacher: str) -> None:
    names = ["existence", "color", "adversarial", "what color is the", "celebrity"]
    types = {"name": "mine", "types": dict.fromkeys(names, "What it means.")}
    (tmp_path / "types.yaml").write_text(json.dumps(types))
    settings = [
        f"construct_queries.categories={tmp_path / 'types.yaml'}", f"generate_qa.teacher={teacher}"
    ]  # fmt: skip
    asked = [("diagnose", name) for name in names]
    steps = planned(tmp_path, asked, *settings, choices=["yes", "no"], answer_kind="yes_no")
    (one,) = check_teacher_types(steps, asked_or_finding(steps))
    assert "answers 4 of 5 types" in one.message and "celebrity" in one.message
    # multiple-choice questions of these types are not written
    steps = planned(tmp_path, asked, *settings)
    (one,) = check_teacher_types(steps, asked_or_finding(steps))
    assert one.mark == "bad" and "answers 0 of 5 types" in one.message


def _types() -> list[str]:
    from dataengine_lib.questions.categories import read_categories

    return list(read_categories("v1").names)
