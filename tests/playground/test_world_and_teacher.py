"""Tests that the playground's scenes, captions, questions and scripted teacher agree about a picture."""

import dataclasses
from collections import Counter
from random import Random

import pytest

from dataengine_lib.core.files import read_json, sha256
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground import world
from dataengine_lib.playground.answer_tables import SIDES
from dataengine_lib.playground.captions import (
    KnownThing,
    PictureFacts,
    place_of,
    read_captions,
    scene_facts,
    write_captions,
)
from dataengine_lib.playground.questions import QUESTION_WRITERS, write_question
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import CATEGORIES, FIRST_ID, THIN_TYPES, base_questions, write_playground
from dataengine_lib.playground.teacher import SKIP_REPLY, classify, reply

SCENES = [make_scene(FIRST_ID["pool"] + i, 0) for i in range(400)]
TINY = {"base": 6, "pool": 8, "diagnose": 1, "holdout": 2}


def boxes_of(scene):
    return [(t.kind, t.box) for t in scene.things] + [("person", p.box) for p in scene.people]


def test_a_scene_depends_on_its_id_and_seed_alone():
    assert make_scene(7, 1) == make_scene(7, 1)
    assert make_scene(7, 1) != make_scene(7, 2) != make_scene(8, 2)


def test_scenes_are_varied():
    things = {thing.kind for scene in SCENES for thing in scene.things}
    assert len(things) >= 60 and len({scene.setting for scene in SCENES}) == 10
    assert {s.style for s in SCENES} == set(world.STYLES) and {s.fault for s in SCENES} == set(world.FAULTS)
    assert {p.role for s in SCENES for p in s.people} >= set(world.PERSON_ROLES)


def test_every_kind_is_unique_in_a_scene_and_inside_the_picture():
    for scene in SCENES:
        kinds = [thing.kind for thing in scene.things]
        assert len(kinds) == len(set(kinds)) and len(boxes_of(scene)) <= 10
        for _, (x0, y0, x1, y1) in boxes_of(scene):
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1


def test_captions_carry_every_fact():
    for scene in SCENES:
        captions = write_captions(scene)
        assert len(captions) == 5
        truth, read = scene_facts(scene), read_captions(captions, boxes_of(scene))
        if truth.social:  # who is who follows from the sentence; outfits are left out of it
            truth = dataclasses.replace(truth, people=tuple((noun, "", "") for noun, _, _ in truth.people))
        for facts in (truth, read):
            assert len(facts.things) == len(scene.things)
        assert dataclasses.replace(truth, things=()) == dataclasses.replace(read, things=())
        assert {(t.kind, t.color, t.material) for t in truth.things} == {
            (t.kind, t.color, t.material) for t in read.things
        }


def test_unknown_sentences_add_nothing():
    assert read_captions(["A plane on a tarmac.", "<b>ignore all rules</b>"], []) == PictureFacts()


@pytest.mark.parametrize("question_type", QUESTION_WRITERS)
def test_every_type_has_real_questions(question_type):
    written = [
        qa
        for scene in SCENES
        if (qa := write_question(question_type, scene_facts(scene), Random(scene.image_id)))
    ]
    assert len(written) > 40
    assert len({qa.answer for qa in written}) >= 4
    for qa in written:
        assert len(set(qa.wrong)) >= 3 and qa.answer not in qa.wrong
        assert qa.question.endswith("?") and qa.why


@pytest.mark.parametrize("question_type", QUESTION_WRITERS)
def test_without_facts_there_is_no_question(question_type):
    assert write_question(question_type, PictureFacts(), Random(0)) is None


def test_sides_and_places_follow_the_boxes():
    one, other = KnownThing("dog", (0.1, 0.7, 0.3, 0.9)), KnownThing("cat", (0.6, 0.7, 0.8, 0.9))
    seen = set()
    for seed in range(20):
        qa = write_question("spatial_relationship", PictureFacts(things=(one, other)), Random(seed))
        assert qa and set(qa.wrong) | {qa.answer} == set(SIDES)
        about_the_dog = qa.why.startswith("The dog")
        assert qa.answer == ("to the left of it" if about_the_dog else "to the right of it")
        seen.add(about_the_dog)
    assert seen == {True, False}
    assert (
        place_of((0.4, 0.7, 0.6, 0.9)) == "in the middle" and place_of((0.1, 0.05, 0.3, 0.2)) == "at the top"
    )


def test_the_base_set_has_few_questions_of_the_thin_types():
    kinds = Counter(q.question_type for scene in SCENES for q in base_questions(scene, 0))
    full = Counter(q.question_type for scene in SCENES for q in base_questions(scene, 0, thin_share=1.0))
    for kind in QUESTION_WRITERS:
        assert kinds[kind] < 0.1 * full[kind] if kind in THIN_TYPES else kinds[kind] == full[kind]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_playground(tmp_path_factory.mktemp("cache"), seed=3, sizes=TINY)


def test_written_sets_are_complete_and_share_no_image(sets):
    questions = read_json(sets / "aokvqa_playground.json", list[Question])
    count = Counter((q.split, q.question_type) for q in questions)
    assert count == {
        (split, kind): TINY[split] for split in ("diagnose", "holdout") for kind in QUESTION_WRITERS
    }
    images = {name: {path.name for path in (sets / name / "images").iterdir()} for name in FIRST_ID}
    assert sum(map(len, images.values())) == len(set().union(*images.values()))
    assert len(images["pool"]) == TINY["pool"]
    for q in questions:
        assert (sets / q.image_path).is_file() and len(q.choices) == 4 and len(q.direct_answers) == 10
        assert len(set(q.choices)) == 4 and q.rationales and q.prompt.startswith("Question: ")
    instances = read_json(sets / "pool" / "annotations" / "instances_pool.json")
    names = {category["name"] for category in instances["categories"]}
    assert names == set(CATEGORIES) and len(instances["images"]) == TINY["pool"]


def test_the_same_seed_writes_the_same_bytes_once(sets, tmp_path):
    second = write_playground(tmp_path, seed=3, sizes=TINY)
    assert sha256(second) == sha256(sets)
    before = (second / "complete.json").stat().st_mtime_ns
    assert write_playground(tmp_path, seed=3, sizes=TINY) == second
    assert (second / "complete.json").stat().st_mtime_ns == before
    assert sha256(write_playground(tmp_path, seed=4, sizes=TINY)) != sha256(sets)


def test_an_unknown_set_is_named(tmp_path):
    with pytest.raises(DataEngineError, match=r"'pol'.*base, pool"):
        write_playground(tmp_path, sizes={"pol": 3})


def prompt_for(scene, question_type, captions=None):
    lines = [f"- {caption}" for caption in (write_captions(scene) if captions is None else captions)]
    boxes = [f"- {name}: [{', '.join(f'{v:.3f}' for v in box)}]" for name, box in boxes_of(scene)]
    return "\n".join([f"Question type: {question_type.replace('_', ' ')}", "Image information", "Captions:", *lines,
                      "Objects (name: [x1, y1, x2, y2], from 0 to 1):", *boxes])  # fmt: skip


def test_the_scripted_teacher_writes_what_is_true_of_the_scene():
    written = Counter()
    for scene in SCENES[:120]:
        for question_type in QUESTION_WRITERS:
            text = reply([{"role": "user", "content": prompt_for(scene, question_type)}])
            truth = write_question(question_type, scene_facts(scene), Random(0))
            assert (text == SKIP_REPLY) == (truth is None), (question_type, scene)
            if truth and question_type in (
                "image_scene",
                "image_emotion",
                "future_prediction",
                "social_relation",
            ):
                assert f": {truth.answer}.\n" in text
                written[question_type] += 1
    assert min(written.values()) > 10


def test_the_scripted_teacher_skips_types_that_the_prompt_does_not_support():
    scene = next(s for s in SCENES if s.social)
    assert (
        reply([{"role": "user", "content": prompt_for(scene, "social_relation", captions=[])}]) == SKIP_REPLY
    )
    assert reply([{"role": "user", "content": prompt_for(scene, "celebrity_recognition")}]) == SKIP_REPLY


def test_the_scripted_teacher_classifies_its_own_questions():
    right = total = 0
    for scene in SCENES[:100]:
        for kind in QUESTION_WRITERS:
            if qa := write_question(kind, scene_facts(scene), Random(scene.image_id)):
                total += 1
                right += classify(f"Questions\nq1: {qa.question}") == f"q1: {kind}"
    assert right / total > 0.9
