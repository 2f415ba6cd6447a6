"""What the annotations teacher asks about a Visual Genome image, whose regions do not show everything."""

from pathlib import Path

import pytest
from coco_folder import write
from PIL import Image

from dataengine_lib.annotations.teacher import WRITERS_BY_TYPE, AnnotationsTeacher
from dataengine_lib.core.records import Query
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply

Region = tuple[str, int, int, int, int]

STREET: list[Region] = [  # in an image of 800 by 600 pixels
    ("a red double decker bus", 60, 150, 300, 250),
    ("The bus is red", 62, 152, 298, 246),
    ("bus driving down the street", 60, 150, 300, 280),
    ("red bus", 65, 150, 295, 250),
    ("window of the bus", 100, 180, 60, 50),
    ("a white horse", 500, 250, 200, 220),
    ("horse pulling a carriage", 490, 240, 300, 240),
    ("the horse is white", 505, 250, 195, 220),
    ("two dogs on the sidewalk", 420, 480, 160, 80),
    ("a dog", 420, 490, 60, 60),
    ("brown dog standing", 520, 485, 60, 70),
    ("gray sidewalk", 0, 450, 800, 150),
    ("city street with traffic", 0, 0, 800, 600),
]
FILLING: list[Region] = [(f"crack number {n} in the wall", 10 * n, 2, 8, 8) for n in range(12)]


def genome(root: Path, regions: list[Region], objects: list[Region] = (), filling: bool = True) -> Path:  # type: ignore[assignment]
    rows = [
        {"region_id": n, "image_id": 1, "phrase": phrase, "x": x, "y": y, "width": w, "height": h}
        for n, (phrase, x, y, w, h) in enumerate([*regions, *(FILLING if filling else [])])
    ]
    write(root / "region_descriptions.json", [{"id": 1, "regions": rows}])
    image = {"image_id": 1, "url": "https://x/VG_100K/1.jpg", "width": 800, "height": 600, "coco_id": None}
    write(root / "image_data.json", [image])
    things = [{"names": [name], "x": x, "y": y, "w": w, "h": h} for name, x, y, w, h in objects]
    write(root / "objects.json", [{"image_id": 1, "objects": things}])
    (root / "VG_100K").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (80, 60)).save(root / "VG_100K/1.jpg")
    return root


def asked(root: Path, question_type: str, times: int = 30) -> dict[str, Qa]:
    """One QA per different question about image 1."""
    teacher = AnnotationsTeacher(root)
    found = {}
    for n in range(times):
        text = teacher.write(Query(image_id=1, prompt="", question_type=question_type, query_id=str(n)))
        parsed = parse_reply(text)
        if not isinstance(parsed, Reason):
            found[parsed[0].question] = parsed[0]
    return found


def answers(root: Path, question_type: str) -> dict[str, str]:
    return {q: qa.choices[qa.correct_choice_idx] for q, qa in asked(root, question_type).items()}


def test_regions_come_with_their_boxes(tmp_path: Path) -> None:
    twice = [
        ("a  bell", 80, 60, 80, 60),
        ("a bell", 0, 0, 400, 300),
        (" ", 1, 1, 2, 2),
        ("wall", -9, 0, 1000, 600),
    ]
    pool = read_pool(genome(tmp_path, twice, filling=False))
    assert pool.regions(1) == [
        NamedBox("wall", (0.0, 0.0, 1.0, 1.0)),
        NamedBox("a bell", (0.0, 0.0, 0.5, 0.5)),
        NamedBox("a bell", (0.1, 0.1, 0.2, 0.2)),
    ]
    assert pool.regions(2) == [] and pool[0].captions == ["wall", "a bell"]


def test_things_that_several_regions_show_in_one_spot_are_asked_about(tmp_path: Path) -> None:
    root = genome(tmp_path, STREET)
    assert answers(root, "object_localization").items() <= {
        ("Which part of the picture is the bus in?", "the middle third"),
        ("Which part of the picture is the horse in?", "the middle third"),
    }
    assert answers(root, "spatial_relationship") == {
        "Where in the picture is the bus, compared with the horse?": "to the left of it",
        "Where in the picture is the horse, compared with the bus?": "to the right of it",
    }
    assert answers(root, "attribute_recognition") == {
        "What colour is the bus?": "red",
        "What colour is the horse?": "white",
        "How many dogs are there in the picture?": "2",
    }
    assert set(answers(root, "image_scene").values()) <= {"a city street"}


def test_wrong_colours_are_not_near_the_thing(tmp_path: Path) -> None:
    stripe = [*STREET, ("blue stripe", 100, 300, 200, 20), ("green bin", 400, 0, 20, 20)]
    root = genome(tmp_path, stripe)
    bus = [qa for q, qa in asked(root, "attribute_recognition", 200).items() if "bus" in q]
    assert bus and all("blue" not in qa.choices for qa in bus)


@pytest.mark.parametrize(
    "more",
    [
        [("a green bus", 600, 0, 150, 90)],
        [("buses in a row", 60, 150, 300, 250)],
        [("another bus", 70, 160, 100, 100)],
        [("driver of the bus behind", 600, 20, 40, 40)],
        [("toy bus", 60, 150, 300, 250)],
    ],
)
def test_a_thing_that_may_not_be_the_only_one_is_not_asked_about(tmp_path: Path, more: list[Region]) -> None:
    root = genome(tmp_path, [*STREET, *more])
    for question_type in ("object_localization", "spatial_relationship", "attribute_recognition"):
        assert not any("bus" in question for question in asked(root, question_type))


@pytest.mark.parametrize(
    "more",
    [
        [("three dogs", 420, 480, 160, 80)],
        [("dog in the distance", 10, 10, 20, 20)],
        [("other dog", 520, 485, 60, 70)],
        [("a dog", 450, 490, 60, 60)],
    ],
)
def test_dogs_are_counted_only_where_phrases_and_boxes_agree(tmp_path: Path, more: list[Region]) -> None:
    assert not any(
        "dogs" in question for question in asked(genome(tmp_path, [*STREET, *more]), "attribute_recognition")
    )


def test_objects_count_as_regions(tmp_path: Path) -> None:
    root = genome(tmp_path, STREET, [("bus", 600, 100, 150, 90)])
    assert not any("bus" in question for question in asked(root, "spatial_relationship"))


def test_presence_needs_a_region_and_absence_no_related_word(tmp_path: Path) -> None:
    teacher = AnnotationsTeacher(
        genome(tmp_path / "many", [*STREET, ("sofa in a shop window", 700, 100, 50, 50)])
    )
    there, absent = set(), set()
    for n in range(300):
        query = Query(image_id=1, prompt="", question_type="identity_reasoning", query_id=str(n))
        (qa,) = parse_reply(teacher.write(query))
        there.add(qa.choices.pop(qa.correct_choice_idx))
        absent |= {*qa.choices}
    assert there == {"bus", "horse"}  # the dogs are too small
    assert len(absent) > 10
    assert absent.isdisjoint({"couch", "bed", "toilet", "cat", "bear", "train", "airplane", "person", "car"})


def test_few_regions_prove_nothing(tmp_path: Path) -> None:
    few = genome(tmp_path, STREET[:8], filling=False)
    assert all(asked(few, question_type) == {} for question_type in WRITERS_BY_TYPE)
