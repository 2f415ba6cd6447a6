"""The annotations teacher writes the yes/no and open-ended QAs that boxes and captions prove, and skips the others."""

import asyncio
from pathlib import Path

import pytest
from annotation_folder import box, folder

from dataengine_lib.annotations.teacher import AnnotationsTeacher
from dataengine_lib.core.records import OPEN, YES_NO, QaForm, Query
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply

CAPTIONS = ["two dogs lie beside a red car", "a red car and two dogs", "dogs at a car"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boxes = [box("dog", 10, 100, 80, 80), box("dog", 110, 100, 80, 80), box("car", 10, 10, 280, 80)]
    return folder(tmp_path, boxes, {1: CAPTIONS, 2: ["nothing to be seen"]})


def ask(
    root: Path, question_type: str, kind: str, wanted: str = "", key: str = "q", image: int = 1
) -> Qa | Reason:
    query = Query(
        image_id=image,
        prompt=f"Write one, to which the answer is {wanted}." if wanted else "p",
        question_type=question_type,
        query_id=key,
        answer_kind=kind,
    )
    found = parse_reply(asyncio.run(AnnotationsTeacher(root).ask(query)).text, form=QaForm(kind))
    return found if isinstance(found, Reason) else found[0]


def test_presence_with_the_wanted_answer(root: Path) -> None:
    absent, there = set(), set()
    for key in map(str, range(12)):
        yes, no = (ask(root, "popular", YES_NO, wanted, key) for wanted in ("Yes", "No"))
        assert isinstance(yes, Qa) and isinstance(no, Qa)
        assert (yes.correct_choice_idx, no.correct_choice_idx) == (0, 1)
        there.add(yes.question)
        absent.add(no.question)
    assert there == {"Is there a dog in the picture?", "Is there a car in the picture?"}
    # nothing of a supercategory that is there: a truck may be taken for the car
    assert not {one for one in absent if "truck" in one or "cat" in one} and len(absent) > 1


def test_numbers_and_colours(root: Path) -> None:
    yes, no = (ask(root, "count", YES_NO, wanted) for wanted in ("Yes", "No"))
    assert isinstance(yes, Qa) and yes.question == "Are there 2 dogs in the picture?"
    assert isinstance(no, Qa) and no.question == "Are there 3 dogs in the picture?"
    count = ask(root, "how_many", OPEN)
    assert isinstance(count, Qa)
    assert (count.question, count.short_answer) == ("How many dogs are there in the picture?", "2")
    colour = ask(root, "what_color_is_the", OPEN)
    assert isinstance(colour, Qa)
    assert (colour.question, colour.short_answer) == ("What colour is the car?", "red")
    red, other = (ask(root, "color", YES_NO, wanted) for wanted in ("Yes", "No"))
    assert isinstance(red, Qa) and red.question == "Is the car red?"
    assert isinstance(other, Qa) and other.question != red.question


def test_what_is_not_proven_is_skipped(root: Path) -> None:
    assert ask(root, "image_emotion", YES_NO) is Reason.SKIPPED
    assert ask(root, "image_emotion", OPEN) is Reason.SKIPPED
    assert ask(root, "count", OPEN, image=2) is Reason.SKIPPED


def test_without_a_wanted_answer_both_come(root: Path) -> None:
    found = [ask(root, "existence", YES_NO, key=str(key)) for key in range(20)]
    assert {qa.correct_choice_idx for qa in found if isinstance(qa, Qa)} == {0, 1}
