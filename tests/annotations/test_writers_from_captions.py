"""What the annotations teacher learns from captions: colours, materials, actions, poses, what holds what."""

from pathlib import Path

import pytest
from annotation_folder import ask, box, folder, right


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["A red truck.", "The truck is red."], "red"),
        (["A large red pickup truck.", "A big, red truck parked here.", "A truck."], "red"),
        (["A red truck.", "A truck."], None),
        (["A red truck.", "A red truck.", "A blue truck."], None),
        (["A red and white truck.", "A red truck.", "A red truck."], None),
        (["A colorful truck.", "A red truck.", "A red truck."], None),
        (["A red truck stop.", "A red truck."], None),
        (["A red truck.", "Red trucks."], None),
        (["A red sign near a truck.", "A red sign with a truck."], None),
        (["A black and white photo of a red truck.", "A red truck."], None),
        (["A grey truck.", "A gray truck."], "gray"),
    ],
)
def test_colours_need_two_captions_and_none_against(
    tmp_path: Path, captions: list[str], expected: str | None
) -> None:
    root = folder(tmp_path, [box("truck", 50, 50, 200, 200)], {1: captions})
    qas = [qa for n in range(6) if (qa := ask(root, "attribute_recognition", query_id=str(n)))]
    colours = {right(qa) for qa in qas if "colour" in qa.question}
    assert colours == ({expected} if expected else set())


def test_materials_and_actions_need_two_captions(tmp_path: Path) -> None:
    boxes = [box("person", 50, 50, 100, 200), box("surfboard", 60, 200, 100, 50)]
    said = [
        "A man riding a wave past a wooden fence.",
        "A surfer by a wooden fence.",
        "A man on a surfboard.",
    ]
    root = folder(tmp_path / "a", boxes, {1: said})
    made = ask(root, "physical_property_reasoning")
    assert made is not None and (made.question, right(made)) == ("What is the fence made of?", "wood")
    action = ask(root, "action_recognition")
    assert action is not None and (action.question, right(action)) == (
        "What is somebody in the picture doing?",
        "surfing",
    )
    assert right(ask(root, "identity_reasoning")) == "a surfer"
    root = folder(tmp_path / "b", boxes, {1: said[1:]})
    assert ask(root, "physical_property_reasoning") is None
    assert ask(root, "action_recognition") is None


def test_a_held_thing_has_a_box_that_touches(tmp_path: Path) -> None:
    said = ["A man holding a pizza.", "The man holds a large pizza.", "A man with food."]
    near = [box("person", 50, 50, 100, 200), box("pizza", 120, 100, 60, 60)]
    qa = ask(folder(tmp_path / "a", near, {1: said}), "physical_relation")
    assert qa is not None and (qa.question, right(qa)) == ("What is the person holding?", "a pizza")
    far = [near[0], box("pizza", 220, 100, 60, 60)]
    assert ask(folder(tmp_path / "b", far, {1: said}), "physical_relation") is None
    assert ask(folder(tmp_path / "c", near[:1], {1: said}), "physical_relation") is None
    other = [*said, "A man holding a laptop."]
    assert ask(folder(tmp_path / "d", near, {1: other}), "physical_relation") is None


def test_a_pose_that_another_caption_denies_is_skipped(tmp_path: Path) -> None:
    dog = [box("dog", 50, 50, 100, 200)]
    sits = ["A dog sits.", "A dog sitting on grass."]
    root = folder(tmp_path / "a", dog, {1: sits})
    assert right(ask(root, "action_recognition")) == "sitting"
    for name, more, boxes in (
        ("runs", ["A dog running."], dog),
        ("cat", ["A dog."], [*dog, box("cat", 0, 0, 40, 40)]),
        ("dogs", ["A dog."], [*dog, box("dog", 200, 50, 50, 50, crowd=1)]),
    ):
        assert ask(folder(tmp_path / name, boxes, {1: [*sits, *more]}), "action_recognition") is None
