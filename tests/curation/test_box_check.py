"""Records against boxes: true answers are never refuted, planted ones mostly are; about the rest nothing is said."""

import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import pytest
from coco_folder import annotation, coco
from made_records import photo_records
from project import COCO_MINI

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.teacher import AnnotationsTeacher
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.boxes.check import REFUTED, SILENT, SUPPORTED, check_boxes, judge
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.images.read_pool import read_pool

KINDS = {
    "dog": "animal", "cat": "animal", "elephant": "animal", "couch": "furniture", "person": "person", "car": "vehicle",
    "airplane": "vehicle", "frisbee": "sports", "pizza": "food", "toilet": "furniture", "kite": "sports",
}  # fmt: skip
IMAGE = PoolImage(
    id=1,
    path="train2017/1.jpg",
    width=300,
    height=300,
    captions=["A dog lies beside a couch.", "A dog and two people in a room."],
    boxes=[
        NamedBox("dog", (0.02, 0.7, 0.22, 0.95)),
        NamedBox("couch", (0.4, 0.4, 0.98, 0.95)),
        NamedBox("person", (0.5, 0.2, 0.6, 0.7)),
        NamedBox("person", (0.75, 0.2, 0.85, 0.7)),
        NamedBox("frisbee", (0.1, 0.05, 0.2, 0.1)),
    ],
)


def record(question: str, choices: str, correct: int, image_id: int = 1) -> TrainRecord:
    return TrainRecord(
        image_id=image_id,
        raw_instructions="",
        question_type="t",
        question=question,
        choices=choices.split("|"),
        correct_choice_idx=correct,
    )


def verdicts(question: str, choices: str) -> list[str]:
    """The verdict with each of the choices as the right one."""
    facts = ImageFacts.of(IMAGE, KINDS)
    return [judge(record(question, choices, place), facts).verdict for place in range(4)]


YES, NO, OPEN = SUPPORTED, REFUTED, SILENT


@pytest.mark.parametrize(
    ("question", "choices", "expected"),
    [
        ("How many people are there in the picture?", "1|2|3|4", [NO, YES, NO, NO]),
        ("How many people can be seen in this photo?", "one|two|three people|none", [NO, YES, NO, NO]),
        ("How many people are in the image?", "a few|2|many|5", [NO, YES, NO, NO]),
        ("How many pizzas are there?", "0|1|2|3", [YES, NO, NO, NO]),
        ("How many people are asleep?", "1|2|3|4", [OPEN] * 4),
        ("How many cushions are there?", "1|2|3|4", [OPEN] * 4),
        ("Which of these is in the picture?", "a dog|an airplane|a pizza|a lamp", [YES, NO, NO, NO]),
        ("Which of these is in the picture?", "a dog|a couch|a pizza|a lamp", [NO] * 4),  # two are right
        ("Which of these is in the picture?", "a cat|a lamp|a shoe|a rug", [OPEN] * 4),  # a cat may pass for a dog
        ("Which of these is not in the picture?", "dog|couch|pizza|person", [NO, NO, YES, NO]),
        ("Is there an airplane in the picture?", "yes|no|maybe|two", [NO, YES, NO, NO]),
        ("What is the number of people in the picture?", "1|2|3|4", [NO, YES, NO, NO]),
        ("What is the total number of pizzas shown in this image?", "none|1|2|3", [YES, NO, NO, NO]),
        ("What is the number of people that can be seen?", "1|two|3|many", [NO, YES, NO, NO]),
        ("What is the number of the couch?", "1|2|3|4", [OPEN] * 4),  # the number written on it
        ("What is the number of couch in the image?", "1|2|3|4", [OPEN] * 4),
        ("What is the number of people on the couch?", "1|2|3|4", [OPEN] * 4),
        ("What is the number of dogs in the group?", "1|2|3|4", [OPEN] * 4),
        ("Which object is present in the image?", "an airplane|a couch|a pizza|a toilet", [NO, YES, NO, NO]),
        ("What object can you see in the picture?", "a pizza|a couch|a kite|a lamp", [NO, YES, NO, NO]),
        ("Which of these objects can be seen in the image?", "a pizza|a couch|a rug|a lamp", [NO, YES, NO, NO]),
        ("Which object is visible?", "a pizza|a dog|a rug|a person", [NO, OPEN, OPEN, OPEN]),  # no objects
        ("Which object is in the image?", "a pizza|a frisbee|a couch|a rug", [NO, OPEN, OPEN, OPEN]),  # one is small
        ("Which animal is in the image?", "a dog|a cat|a couch|a pizza", [YES, NO, NO, NO]),
        ("Which animal is in the image?", "a cat|an elephant|a couch|a pizza", [OPEN, OPEN, OPEN, NO]),
        ("Which of these animals is in the image?", "a dog|a couch|a cat|a cow", [YES, NO, NO, NO]),
        ("What animals are shown in the photo?", "a dog|a cat|a dog and a cat|none", [OPEN] * 4),
        ("Which of these is in the picture?", "a dog|a puppy|a pizza|a lamp", [OPEN, OPEN, NO, OPEN]),
        ("Which of these is in the picture?", "a dog|a dog and a couch|a pizza|both", [OPEN, OPEN, NO, OPEN]),
        ("Which object is not visible in the image?", "a couch|a pizza|a rug|a lamp", [NO, YES, NO, NO]),
        ("What is shown in the image?", "a dog|a pizza|a couch|a room", [OPEN] * 4),
        ("Which object is the largest?", "a dog|a pizza|a couch|a room", [OPEN] * 4),
        ("Which object is on the couch?", "a dog|a pizza|a kite|a room", [OPEN] * 4),
        ("Is an airplane visible in the image?", "Yes|No|Maybe|Unclear", [NO, YES, NO, NO]),
        ("Is a dog present in the image?", "Yes|No|Maybe|Unclear", [YES, NO, NO, NO]),
        ("Are any pizzas visible?", "Yes|No|Maybe|Unclear", [NO, YES, NO, NO]),
        ("Are there any pizzas in the picture?", "yes, one|yes, two|no|unclear", [NO, NO, YES, NO]),
        ("Are there any people visible in the photo?", "yes, two|yes, three|no|unclear", [OPEN, OPEN, NO, OPEN]),
        ("Are there dogs in the picture?", "yes|no|maybe|unclear", [OPEN] * 4),  # there is one
        ("Do you see a pizza in this picture?", "yes|no|maybe|unclear", [NO, YES, NO, NO]),
        ("Is a cat visible in the image?", "yes|no|maybe|unclear", [OPEN] * 4),
        ("Is a dog visible on the couch?", "yes|no|maybe|unclear", [OPEN] * 4),
        ("Is a frisbee visible in the image?", "yes|no|maybe|unclear", [OPEN] * 4),  # a small one
        ("Is the pizza in the picture?", "yes|no|maybe|unclear", [OPEN] * 4),
        ("Which of these is the picture about?", "dog|pizza|room|airplane", [OPEN, NO, OPEN, NO]),
        ("Where in the picture is the dog?", "on the left|on the right|in the middle|at the top", [YES, NO, NO, NO]),
        ("Which part of the picture is the dog in?", "top left|bottom left|bottom right|top right", [NO, YES, NO, NO]),
        ("Which corner of the image is the dog in?", "the top|the sky|the street|the roof", [NO, OPEN, OPEN, OPEN]),
        ("Where in the picture is the person?", "left|right|top|bottom", [OPEN] * 4),  # there are two
        ("Where is the dog compared with the couch?", "left of it|right of it|above it|behind it", [YES, NO, NO, NO]),
        ("Seen from the couch, where is the dog?", "to the right|below|above|to the left", [NO, NO, NO, YES]),
        ("Where is the couch compared with the frisbee?", "on it|under it|inside it|far away", [OPEN] * 4),
        ("What is to the left of the couch?", "the dog|a lamp|the rug|a door", [YES, NO, NO, NO]),
        ("Which of these is the largest in the picture?", "dog|couch|frisbee|pizza", [NO, YES, NO, NO]),
        ("Which of these is the largest in the picture?", "dog|wall|frisbee|floor", [OPEN, OPEN, NO, OPEN]),
        ("Which takes up more room in the picture, the dog or the couch?", "the dog|the couch|both the same|neither",
         [NO, YES, NO, NO]),
        ("Where is the frisbee, compared with the couch?", "above it and to the left|above it and to the right|"
         "below it and to the left|below it and to the right", [YES, NO, NO, NO]),
        ("Where are the people compared with the dog?", "to the left|to the right|above them|below them",
         [NO, OPEN, OPEN, NO]),
        ("Which of these is furthest to the left in the picture?", "dog|couch|people|lamp", [OPEN, NO, NO, OPEN]),
        ("Which of these is nearest to the top of the picture?", "the dog|the couch|the people|the frisbee",
         [NO, NO, NO, YES]),
        ("Are there more people or more dogs in the picture?", "more people|more dogs|as many|none", [OPEN] * 4),
        ("Which of these is larger?", "dog|couch|frisbee|pizza", [OPEN] * 4),  # in reality, which boxes do not show
        ("What is the airplane doing?", "landing|turning|waiting|taking off", [NO] * 4),
        ("What is the airplane next to?", "a hangar|a bus|a truck|a tower", [NO] * 4),
        ("What is next to the airplane?", "a hangar|a bus|a truck|a tower", [NO] * 4),
        ("What is next to the airplane in the image?", "a hangar|a bus|a truck|a tower", [NO] * 4),
        ("What is the dog next to?", "a wall|a rug|a lamp|a door", [OPEN] * 4),
        ("What is next to the cat?", "a wall|a rug|a lamp|a door", [OPEN] * 4),
        ("What is the airplane ticket next to?", "a wall|a rug|a lamp|a door", [OPEN] * 4),
        ("What is the airplane on the poster made of?", "a wall|a rug|a lamp|a door", [OPEN] * 4),
        ("What is the dog doing?", "resting|barking|eating|running", [OPEN] * 4),
        ("What is the pizza cutter made of?", "steel|wood|glass|clay", [OPEN] * 4),
        ("What color is the couch?", "red|blue|green|grey", [OPEN] * 4),
    ],
)  # fmt: skip
def test_what_boxes_say(question: str, choices: str, expected: list[str]) -> None:
    assert verdicts(question, choices) == expected


def test_time_grows_no_faster_than_the_question() -> None:
    facts = ImageFacts.of(IMAGE, KINDS)
    for begin in ("", "What is the number of ", "Is there a ", "Are ", "What "):
        for piece in ("a", "what ", "the ", "the dog in the picture ", "there ", "visible "):
            begun = time.process_time()
            judge(record(begin + piece * (20_000 // len(piece)), "1|2|3|4", 0), facts)
            assert time.process_time() - begun < 1, (begin, piece)


def test_refuted_records_have_a_reason() -> None:
    facts = ImageFacts.of(IMAGE, KINDS)
    assert judge(record("How many people are there?", "1|2|3|4", 0), facts).why == "count: the boxes say '2'"
    assert "no airplane" in judge(record("Who flies the airplane?", "a|b|c|d", 0), facts).why


def test_images_that_are_not_known_or_not_fit_are_left_alone(tmp_path: Path) -> None:
    boxes = [annotation(1, [0, 0, 40, 40]), *(annotation(2, [i, 0, 10, 40]) for i in range(11))]
    pool = read_pool(coco(tmp_path, {1: "1.jpg", 2: "2.jpg"}, boxes))
    asked = [record("How many dogs are there?", "1|2|3|4", 1, image_id) for image_id in (1, 2, 3)]
    assert [one.verdict for one in check_boxes(asked, pool)] == [REFUTED, SILENT, SILENT]
    elsewhere = msgspec.structs.replace(asked[0], image_path="other/9.jpg")  # the same id in another data set
    assert [one.verdict for one in check_boxes([elsewhere], pool)] == [SILENT]


@pytest.mark.skipif(not COCO_MINI.exists(), reason="../shared/coco_mini, 80 photos of COCO, is not here")
def test_on_photos_no_true_answer_is_refuted_and_planted_ones_are() -> None:
    teacher = AnnotationsTeacher(COCO_MINI)
    records = photo_records(teacher)
    right = [one.verdict for one in check_boxes(records, teacher.pool)]
    rng = Random(0)
    planted = [
        msgspec.structs.replace(one, correct_choice_idx=(one.correct_choice_idx + rng.randint(1, 3)) % 4)
        for one in records
    ]
    wrong = [one.verdict for one in check_boxes(planted, teacher.pool)]
    print(f"{len(records)} QAs on photos: {Counter(right)}; with planted answers: {Counter(wrong)}")
    assert REFUTED not in right and SUPPORTED not in wrong
    assert wrong.count(REFUTED) >= 0.7 * len(planted)  # about the others, such as colours, boxes tell nothing
    known = [after for before, after in zip(right, wrong, strict=True) if before == SUPPORTED]
    assert known.count(REFUTED) >= 0.95 * len(known) and len(known) > 100
