"""The annotations teacher's answers, checked independently, see `annotation_checks`."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from annotation_checks import Raw, check
from annotation_folder import IDS, ask, box, folder, right
from project import COCO_MINI

from dataengine_lib.annotations.teacher import UNPROVEN_REPLY, WRITERS_BY_TYPE, AnnotationsTeacher
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply


def answers(folder: Path, per_type: int = 1) -> list[tuple[int, str, str]]:
    teacher = AnnotationsTeacher(folder)
    return [
        (i, kind, teacher.write(Query(image_id=i, prompt="", question_type=kind, query_id=f"{n}-{i}")))
        for i in teacher.pool.ids.tolist()
        for kind in WRITERS_BY_TYPE
        for n in range(per_type)
    ]


def check_all(folder: Path, per_type: int) -> Counter[str]:
    raws: dict[int, Raw] = {}
    written: Counter[str] = Counter()
    for image_id, question_type, text in answers(folder, per_type):
        parsed = parse_reply(text)
        if isinstance(parsed, Reason):
            assert (parsed, text) == (Reason.SKIPPED, UNPROVEN_REPLY)
            continue
        raw = raws.setdefault(image_id, Raw(folder, image_id))
        assert len(parsed) == 1
        assert parsed[0].rationales
        check(question_type, parsed[0], raw)
        written[question_type] += 1
    return written


@pytest.mark.skipif(not COCO_MINI.exists(), reason="../shared/coco_mini, 80 photos of COCO, is not here")
def test_answers_on_photos_are_true() -> None:
    written = check_all(COCO_MINI, per_type=4)
    assert set(written) == set(WRITERS_BY_TYPE)
    assert sum(written.values()) > 4 * 170


@pytest.mark.skipif(not COCO_MINI.exists(), reason="../shared/coco_mini, 80 photos of COCO, is not here")
def test_the_checks_notice_every_wrong_answer() -> None:
    for image_id, question_type, text in answers(COCO_MINI):
        parsed = parse_reply(text)
        if not isinstance(parsed, Reason):
            (qa,) = parsed
            qa.correct_choice_idx = (qa.correct_choice_idx + 1) % 4
            with pytest.raises((AssertionError, KeyError)):
                check(question_type, qa, Raw(COCO_MINI, image_id))


def test_random_boxes_get_true_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    boxes, captions = [], {}
    for image_id in range(1, 121):
        captions[image_id] = ["A picture.", "Something is shown."]
        for name in rng.choice(list(IDS), size=rng.integers(0, 7)):
            x, y = rng.integers(0, 280, size=2)
            w, h = (int(rng.integers(10, 301 - start)) if rng.random() < 0.5 else 15 for start in (x, y))
            boxes.append(box(str(name), int(x), int(y), w, h, image_id, int(rng.random() < 0.1)))
    written = check_all(folder(tmp_path, boxes, captions), per_type=2)
    assert set(written) == {
        "object_localization",
        "spatial_relationship",
        "attribute_comparison",
        "attribute_recognition",
        "identity_reasoning",
    }
    assert min(written.values()) >= 10, written


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("top left", (5, 5, 60, 60)),
        ("bottom right", (240, 240, 50, 50)),
        ("the very middle", (110, 110, 70, 70)),
        ("the right third", (220, 10, 60, 280)),
        ("the middle third", (10, 120, 280, 50)),
    ],
)
def test_places(tmp_path: Path, place: str, where: tuple[int, int, int, int]) -> None:
    assert (
        right(ask(folder(tmp_path, [box("dog", *where)], {1: ["A picture."]}), "object_localization"))
        == place
    )


@pytest.mark.parametrize(
    "boxes",
    [
        [box("dog", 60, 60, 100, 100)],
        [box("dog", 5, 5, 60, 60), box("dog", 200, 200, 50, 50)],
        [box("dog", 5, 5, 3, 3)],
        [box("dog", 5, 5, 60, 60), box("dog", 200, 200, 50, 50, crowd=1)],
        [box("dog", 5, 5, 98, 60), box("dog", 9, 9, 9, 0)],
        [],
    ],
)
def test_unclear_places_are_skipped(tmp_path: Path, boxes: list[dict]) -> None:
    qa = ask(folder(tmp_path, boxes, {1: ["A picture."]}), "object_localization")
    assert qa is None or right(qa) == "the top third"


def test_sides_need_clear_space_and_one_true_word(tmp_path: Path) -> None:
    apart = [box("dog", 0, 100, 60, 60), box("truck", 200, 90, 80, 80)]
    qa = ask(folder(tmp_path / "a", apart, {1: ["A picture."]}), "spatial_relationship")
    assert qa is not None
    assert (qa.question.split("the ")[-1], right(qa)) in {
        ("truck?", "to the left of it"),
        ("dog?", "to the right of it"),
    }
    corner = [box("dog", 0, 100, 60, 60), box("truck", 200, 220, 60, 60)]
    assert right(ask(folder(tmp_path / "b", corner, {1: ["A picture."]}), "spatial_relationship")) in {
        "above it and to the left",
        "below it and to the right",
    }
    for name, second in {
        "barely below": (200, 163, 60, 60),
        "touching": (62, 100, 60, 60),
        "over": (30, 100, 60, 60),
    }.items():
        boxes = [box("dog", 0, 100, 60, 60), box("truck", *second)]
        assert ask(folder(tmp_path / name, boxes, {1: ["A picture."]}), "spatial_relationship") is None


def test_sizes_that_are_close_are_skipped(tmp_path: Path) -> None:
    boxes = [box("dog", 0, 0, 100, 100), box("truck", 150, 150, 120, 120)]
    assert ask(folder(tmp_path / "a", boxes, {1: ["A picture."]}), "attribute_comparison") is None
    assert (
        right(
            ask(
                folder(tmp_path / "b", [*boxes[:1], box("truck", 100, 100, 190, 190)], {1: ["x"]}),
                "attribute_comparison",
            )
        )
        == "the truck"
    )


def test_counts_are_skipped_where_captions_or_crowds_contradict(tmp_path: Path) -> None:
    three = [box("dog", 100 * n, 10, 50, 50) for n in range(3)]
    cases = {
        "plain": (three, "A picture."),
        "agrees": (three, "Three dogs sit."),
        "crowd": ([*three, box("dog", 0, 200, 99, 99, crowd=1)], "x"),
        "number": (three, "Five dogs sit."),
        "vague": (three, "A group of dogs."),
        "twice": (three, "A group of dogs.", "Three dogs.", "The three dogs sit."),
        "many": ([box("dog", 40 * n, 9, 30, 30) for n in range(7)], "x"),
        "plural": (three[:1], "Dogs sit."),
        "mirror": (three, "Dogs in a mirror."),
    }
    found = {
        name: ask(folder(tmp_path / name, boxes, {1: captions}), "attribute_recognition") is not None
        for name, (boxes, *captions) in cases.items()
    }
    assert found == {
        "plain": True,
        "agrees": True,
        "crowd": False,
        "number": False,
        "vague": False,
        "twice": True,
        "many": False,
        "plural": False,
        "mirror": False,
    }


def test_things_that_may_be_there_are_never_said_to_be_absent(tmp_path: Path) -> None:
    """A car may pass for a truck, a puppy is a dog; without supercategories, nothing is absent for certain."""
    captions = {1: ["A puppy beside a fridge.", "There is a slice of something for lunch."]}
    root = folder(tmp_path / "a", [box("car", 0, 0, 99, 99)], captions)
    offered = set()
    for n in range(40):
        qa = ask(root, "identity_reasoning", query_id=str(n))
        assert right(qa) == "car"
        offered |= {*qa.choices} - {"car"} if qa else set()
    assert offered == {"laptop", "toilet", "surfboard"}
    unknown = folder(tmp_path / "b", [box("car", 0, 0, 99, 99)], captions, kinds={})
    assert ask(unknown, "identity_reasoning") is None


def test_topic_and_scene_need_captions_that_agree(tmp_path: Path) -> None:
    plane = [box("airplane", 0, 0, 200, 200)]
    agree = ["A plane at an airport.", "The airport has a jet.", "An aircraft stands there."]
    root = folder(tmp_path / "a", plane, {1: agree})
    assert right(ask(root, "image_topic")) == "airplane"
    assert right(ask(root, "image_scene")) == "an airport"
    differ = ["A plane at an airport.", "The airport is near a beach.", "People wait."]
    root = folder(tmp_path / "b", plane, {1: differ})
    assert ask(root, "image_topic") is None
    assert ask(root, "image_scene") is None


def test_other_types_and_full_images_are_skipped(tmp_path: Path) -> None:
    root = folder(tmp_path, [box("dog", 25 * n, 0, 20, 20) for n in range(11)], {1: ["Dogs."]})
    for question_type in (*WRITERS_BY_TYPE, "future_prediction", "image_emotion", "", "ocr"):
        assert ask(root, question_type) is None


def test_same_query_same_reply_and_letters_are_even(tmp_path: Path) -> None:
    root = folder(tmp_path, [box("dog", 5, 5, 60, 60)], {1: ["A picture."]})
    teacher = AnnotationsTeacher(root)
    queries = [
        Query(image_id=1, prompt="", question_type="object_localization", query_id=f"r-{n}")
        for n in range(400)
    ]
    texts = [teacher.write(query) for query in queries]
    assert texts == [AnnotationsTeacher(root).write(queries[0]), *map(teacher.write, queries[1:])]
    letters = Counter(re.search(r"The answer is \((.)\)", text)[1] for text in texts)
    assert set(letters) == set("ABCD")
    assert (
        sum((count - 100) ** 2 / 100 for count in letters.values()) < 16.3
    )  # chi-square, 3 degrees of freedom, p = 0.001


def test_queries_of_another_folder_are_refused(tmp_path: Path) -> None:
    teacher = AnnotationsTeacher(folder(tmp_path, [], {1: ["A picture."]}))
    with pytest.raises(DataEngineError, match="no annotations of image 2"):
        teacher.write(Query(image_id=2, prompt="", question_type="image_scene"))
    with pytest.raises(DataEngineError, match=r"other\.jpg"):
        teacher.write(Query(image_id=1, prompt="", question_type="image_scene", image_path="x/other.jpg"))


@pytest.mark.parametrize(
    ("question_type", "query_id", "question", "choices"),
    [
        ("object_localization", "0", "Which of these is nearest to the bottom of the picture?",
         ["truck", "person", "dogs", "surfboard"]),
        ("spatial_relationship", "1", "Where in the picture are the dogs, compared with the person?",
         ["to the left of it", "above it", "below it", "to the right of it"]),
        ("attribute_comparison", "0", "Which takes up more room in the picture, the truck or the surfboard?",
         ["the surfboard", "neither of them is there", "both the same", "the truck"]),
        ("attribute_recognition", "1", "How many dogs are there in the picture?", ["4", "1", "2", "5"]),
        ("identity_reasoning", "1", "Who can be seen in the picture?",
         ["a cyclist", "a baseball player", "a surfer", "a tennis player"]),
    ],
)  # fmt: skip
def test_questions_of_a_query_stay_the_same(
    tmp_path: Path, question_type: str, query_id: str, question: str, choices: list[str]
) -> None:
    """Writers draw with their key of the table as seed: renaming it would change data sets that were made before."""
    boxes = [
        box("dog", 5, 150, 60, 60),
        box("dog", 80, 150, 60, 60),
        box("truck", 160, 10, 130, 130),
        box("person", 10, 10, 30, 90),
        box("surfboard", 160, 230, 130, 50),
    ]
    captions = {1: ["A surfer and a red truck.", "Two dogs near a red truck, a man surfing."]}
    qa = ask(folder(tmp_path, boxes, captions), question_type, query_id=query_id)
    assert qa is not None and (qa.question, qa.choices) == (question, choices)
