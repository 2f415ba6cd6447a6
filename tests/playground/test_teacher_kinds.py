"""The playground's teacher and reader with yes/no and open-ended QAs, and with other numbers of choices."""

import json
from collections import Counter
from random import Random

import pytest

from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, QaForm, TrainRecord
from dataengine_lib.curation.readers.kinds import SAME_ANSWER, named_answer
from dataengine_lib.curation.readers.reader_prompt import SECOND_READER, load_reader_prompt
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.playground.captions import scene_facts, write_captions
from dataengine_lib.playground.other_kinds import answer_of, write_yes_no
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import FIRST_ID
from dataengine_lib.playground.teacher import reply, structured_reply
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.replies.qa_json import qa_schema, v1_text

SCENES = [make_scene(FIRST_ID["pool"] + number, 0) for number in range(120)]
YES_NO_TYPES = (
    "existence",
    "popular",
    "color",
    "image_scene",
    "action_recognition",
    "physical_property_reasoning",
)


def image_of(scene) -> PoolImage:
    boxes = [NamedBox(thing.kind, thing.box) for thing in scene.things]
    boxes += [NamedBox("person", person.box) for person in scene.people]
    return PoolImage(id=scene.image_id, path="1.png", captions=write_captions(scene), boxes=boxes)


def asked(scene, question_type: str, form: QaForm, answer: str = "") -> Qa | Reason:
    """What the teacher writes about a scene, read from text and, which has to be the same, from JSON."""
    prompt = load_template("v1").render(question_type, "", [], image_of(scene), None, form, answer) or ""
    messages = [{"role": "user", "content": prompt}]
    found = parse_reply(reply(messages), form=form)
    structured = structured_reply(messages, qa_schema(prompt, form))
    assert list(json.loads(structured)) == list(qa_schema(prompt, form)["properties"])
    assert parse_reply(v1_text(structured, form), form=form) == found
    return found if isinstance(found, Reason) else found[0]


def test_yes_no_questions_have_the_wanted_answer_and_are_true() -> None:
    written: Counter[str] = Counter()
    for number, scene in enumerate(SCENES):
        question_type, wanted = YES_NO_TYPES[number % len(YES_NO_TYPES)], ("No", "Yes")[number // 6 % 2]
        qa = asked(scene, question_type, QaForm(YES_NO), wanted)
        if isinstance(qa, Reason):
            assert qa is Reason.SKIPPED
            continue
        written[question_type, wanted] += 1
        assert qa.choices[qa.correct_choice_idx] == wanted.lower()
        assert answer_of(qa.question, scene_facts(scene)) == wanted, qa.question
    assert set(written) == {(name, wanted) for name in YES_NO_TYPES for wanted in ("Yes", "No")}


def test_open_questions_have_short_answers_that_the_reader_finds() -> None:
    fill, found = load_reader_prompt(SECOND_READER), 0
    for scene in SCENES[:40]:
        for question_type in ("what_color_is_the", "image_scene", "attribute_comparison"):
            qa = asked(scene, question_type, QaForm(OPEN))
            if isinstance(qa, Reason):
                assert qa is Reason.SKIPPED
                continue
            assert question_type != "attribute_comparison"  # "Which of these …" needs choices
            record = TrainRecord(
                image_id=1, raw_instructions="", question_type="t", question=qa.question, choices=[],
                correct_choice_idx=-1, short_answer=qa.short_answer, answer_kind=OPEN,
            )  # fmt: skip
            prompt = fill(qa.question, [], image_of(scene), False, OPEN)
            assert named_answer(reply([{"role": "user", "content": prompt}]), record, []) == SAME_ANSWER
            found += 1
    assert found > 40


def test_the_reader_answers_yes_no_questions_from_the_facts() -> None:
    fill = load_reader_prompt(SECOND_READER)
    for number, scene in enumerate(SCENES[:30]):
        qa = write_yes_no("existence", scene_facts(scene), bool(number % 2), Random(number))
        if qa is not None:
            prompt = fill(qa.question, ["yes", "no"], image_of(scene), False, YES_NO)
            assert reply([{"role": "user", "content": prompt}]) == qa.answer


@pytest.mark.parametrize("count", [2, 3, 6])
def test_it_writes_as_many_choices_as_asked_for(count: int) -> None:
    qas = [asked(scene, "image_scene", QaForm(CHOICE, count)) for scene in SCENES[:5]]
    assert [len(qa.choices) for qa in qas if isinstance(qa, Qa)] == [count] * 5
