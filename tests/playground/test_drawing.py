"""Drawings are the same every time, show every attribute, and stay inside their boxes."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataengine_lib.playground import world
from dataengine_lib.playground.drawing.pen import Pen, mix
from dataengine_lib.playground.drawing.scene import draw_scene
from dataengine_lib.playground.drawing.things import THINGS
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import CATEGORIES

PLAIN = dataclasses.replace(
    make_scene(5, 0), style="plain", fault="none", mood="calm", setting="park", weather="sunny", time="day"
)


def pixels(scene, size=64):
    return np.asarray(draw_scene(scene, size), np.float32)


def differs(one, other):
    return np.abs(pixels(one) - pixels(other)).mean()


def test_the_same_scene_gives_the_same_pixels():
    for image_id in range(6):
        scene = make_scene(image_id, 1)
        assert draw_scene(scene).tobytes() == draw_scene(scene).tobytes()
        assert draw_scene(scene).size == (224, 224) and draw_scene(scene).mode == "RGB"


@pytest.mark.parametrize("field, values", [
    ("style", world.STYLES), ("fault", world.FAULTS), ("mood", world.MOODS), ("setting", world.SETTINGS),
    ("time", world.TIMES), ("weather", world.WEATHERS),
])  # fmt: skip
def test_every_value_looks_different(field, values):
    scenes = [dataclasses.replace(PLAIN, **{field: value}) for value in values]
    for i, one in enumerate(scenes):
        for other in scenes[:i]:
            assert differs(one, other) > 1.5, (field, i)


def crop(box):
    left, top, right, bottom = (round(value * 64) for value in box)
    return slice(max(0, top - 2), bottom + 2), slice(max(0, left - 2), right + 2)


@pytest.mark.parametrize(
    "field, values",
    [("action", world.ACTIONS), ("role", world.PERSON_ROLES), ("noun", ("man", "woman", "boy", "girl"))],
)
def test_people_with_different_attributes_look_different(field, values):
    person = world.Person("woman", "", "waving", (0.3, 0.35, 0.52, 0.93))
    pictures = []
    for value in values:
        scene = dataclasses.replace(
            PLAIN,
            people=(dataclasses.replace(person, **{field: value}),),
            social="",
            things=(),
            vignette=None,
        )
        pictures.append(pixels(scene)[crop(person.box)])
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 2, (field, values[i])


def test_every_category_can_be_drawn():
    assert set(THINGS) | set(world.SUPPORTS) | {"person"} == set(CATEGORIES)


@pytest.mark.parametrize("kind", THINGS)
def test_things_fill_their_box_and_stay_in_it(kind):
    paper = (1, 2, 3)
    image = Image.new("RGB", (200, 200), paper)
    THINGS[kind](Pen(ImageDraw.Draw(image), 200, (0.25, 0.25, 0.75, 0.75)), "red")
    rows, columns = np.nonzero((np.asarray(image) != paper).any(axis=2))
    assert 42 <= rows.min() <= 66 and 128 <= rows.max() <= 158
    assert 42 <= columns.min() <= 74 and 126 <= columns.max() <= 158


def test_materials_look_different():
    def table(material):
        things = (world.SceneThing("table", (0.3, 0.6, 0.6, 0.9), None, material),)
        return pixels(dataclasses.replace(PLAIN, things=things, people=(), social="", vignette=None))[
            crop((0.3, 0.6, 0.6, 0.9))
        ]

    pictures = [table(material) for material in world.SUPPORT_MATERIALS]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 3


def test_mix_of_two_colours():
    assert mix((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
