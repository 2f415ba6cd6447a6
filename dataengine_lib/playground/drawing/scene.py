"""Draws a playground scene: backdrop, things, people, weather, mood, style and image faults, in that order.

Everything is drawn at twice the size and then reduced, which smooths all edges.
"""

from collections.abc import Iterator
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from dataengine_lib.playground.drawing.backdrop import draw_backdrop, draw_weather
from dataengine_lib.playground.drawing.pen import Color, Pen, mix
from dataengine_lib.playground.drawing.people import draw_person
from dataengine_lib.playground.drawing.styles import in_style
from dataengine_lib.playground.drawing.things import THINGS
from dataengine_lib.playground.world import Box, Scene, SceneThing

# mood -> colour laid over the whole picture, and its share
_TINTS: dict[str, tuple[Color, float]] = {
    "festive": ((255, 214, 120), 0.08), "calm": ((170, 226, 222), 0.16), "gloomy": ((96, 106, 126), 0.28),
    "spooky": ((84, 40, 120), 0.25),
}  # fmt: skip


def draw_scene(scene: Scene, size: int = 224) -> Image.Image:
    """The picture of a scene, RGB, `size` pixels square; the same scene gives the same pixels."""
    rng = Random(f"draw {scene.image_id}")
    side = 2 * size  # reduced at the end, which smooths the edges
    image = Image.new("RGB", (side, side))
    pen = Pen(ImageDraw.Draw(image), side)
    draw_backdrop(pen, scene, rng)
    for thing in _back_to_front(scene):
        _draw_thing(image, thing, scene)
    for number, person in enumerate(scene.people):
        _shadow(pen, person.box)
        draw_person(Pen(pen.draw, side, person.box), person, scene.mood, scene.social, second=number == 1)
    _between(pen, scene)
    draw_weather(pen, scene, rng)
    image = in_style(_in_mood(image, scene, rng), scene.style, scene.image_id)
    # in two steps, as a resize with a box does: the same pixels in half of its time
    return _with_fault(image.reduce((2, 1)).reduce((1, 2)), scene.fault, scene.image_id)


def _back_to_front(scene: Scene) -> Iterator[SceneThing]:
    """Far things first; of a vignette's two things, the one that the other stands on or hides comes first."""
    pair = scene.things[-2:] if scene.vignette else ()
    yield from sorted((thing for thing in scene.things if thing not in pair), key=lambda thing: thing.box[3])
    if scene.vignette:
        subject, other = pair
        yield from (subject, other) if scene.vignette[1] in ("under", "hatch") else (other, subject)


def _shadow(pen: Pen, box: Box) -> None:
    x0, _, x1, y1 = box
    if y1 > 0.6:
        pen.oval(x0, y1 - 0.022, x1, min(1.0, y1 + 0.018), (96, 92, 92))


def _draw_thing(image: Image.Image, thing: SceneThing, scene: Scene) -> None:
    pen = Pen(ImageDraw.Draw(image), image.width)
    # these are in the air or on top of something else
    if thing.kind not in (
        "storm cloud",
        "bee",
        "balloon",
        "owl",
        "ball",
        "teddy bear",
        "vase",
        "hat",
        "bottle",
        "egg",
    ):
        _shadow(pen, thing.box)
    inner = Pen(pen.draw, image.width, thing.box)
    if thing.material:
        _support(inner, thing.kind, thing.material)
    else:
        THINGS[thing.kind](inner, thing.color or "grey")


# material -> surface, markings
_MATERIAL_PAINTS: dict[str, tuple[Color, Color]] = {
    "wood": ((176, 112, 56), (120, 72, 32)), "metal": ((150, 166, 188), (236, 244, 252)),
    "glass": ((176, 232, 240), (250, 255, 255)), "stone": ((138, 134, 126), (90, 88, 84)),
}  # fmt: skip


def _support(pen: Pen, kind: str, material: str) -> None:
    """A table, bench or crate with a surface that shows its material; between the legs one can see through."""
    base, mark = _MATERIAL_PAINTS[material]
    top = {"table": 0.0, "bench": 0.0, "crate": 0.0}[kind]
    deep = {"table": 0.3, "bench": 0.24, "crate": 0.44}[kind]
    legs = {"table": (0.08, 0.92), "bench": (0.06, 0.5, 0.94), "crate": (0.04, 0.96)}[kind]
    for x in legs:
        pen.line(
            mix(base, (0, 0, 0), 0.25),
            0.09,
            x if 0.05 < x < 0.95 else 0.5 + (x - 0.5) * 0.9,
            deep,
            0.5 + (x - 0.5) * 0.94,
            0.96,
        )
    surface = pen.into(0.0, top, 1.0, deep)
    surface.rect(0.0, 0.0, 1.0, 1.0, base, 0.03)
    if material == "wood":
        for y in (0.25, 0.5, 0.75):
            surface.line(mark, 0.025, 0.04, y, 0.4, y + 0.08, 0.96, y - 0.04)
        surface.oval(0.55, 0.3, 0.68, 0.7, mark)
    elif material == "metal":
        surface.poly(mark, 0.1, 0.0, 0.28, 0.0, 0.16, 1.0, 0.0, 1.0)
        surface.poly(mark, 0.55, 0.0, 0.64, 0.0, 0.54, 1.0, 0.44, 1.0)
        for x in (0.06, 0.94):
            surface.oval(x - 0.03, 0.3, x + 0.03, 0.7, "dark")
    elif material == "glass":
        surface.line((90, 180, 200), 0.03, 0.0, 0.05, 1.0, 0.05, 1.0, 0.95, 0.0, 0.95, 0.0, 0.05)
        for x in (0.2, 0.34, 0.7):
            surface.line(mark, 0.045, x, 0.8, x + 0.12, 0.2)
    else:
        surface.line(mark, 0.02, 0.0, 0.5, 1.0, 0.5)
        for i in range(5):
            x = 0.1 + i * 0.2
            surface.line(mark, 0.02, x, 0.0, x, 0.5)
            surface.line(mark, 0.02, x + 0.1, 0.5, x + 0.1, 1.0)
            surface.oval(x - 0.02, 0.62, x + 0.04, 0.84, (190, 186, 178))
    if kind == "crate":
        for ends in ((0.02, 0.06, 0.98, 0.94), (0.02, 0.94, 0.98, 0.06)):
            surface.line(mix(base, (0, 0, 0), 0.35), 0.06, *ends)
    elif kind == "bench":
        surface.line(mix(base, (0, 0, 0), 0.45), 0.035, 0.0, 0.5, 1.0, 0.5)


def _between(pen: Pen, scene: Scene) -> None:
    """What shows how two people belong together: a heart, a ball, a blackboard."""
    if scene.social == "couple":
        x, y = scene.people[0].box[2] + 0.015, min(person.box[1] for person in scene.people) - 0.03
        heart = Pen(pen.draw, pen.width, (x - 0.07, y - 0.06, x + 0.07, y + 0.08))
        heart.oval(0.0, 0.0, 0.54, 0.6, "red")
        heart.oval(0.46, 0.0, 1.0, 0.6, "red")
        heart.poly("red", 0.04, 0.42, 0.96, 0.42, 0.5, 1.0)
    elif scene.social == "teammates":
        x, y = scene.people[0].box[2] + 0.015, scene.people[0].box[3]
        Pen(pen.draw, pen.width, (x - 0.05, y - 0.09, x + 0.05, y + 0.01)).oval(0, 0, 1, 1, "white", "black")
    elif scene.social == "teacher and pupil":
        x, y = scene.people[0].box[2] - 0.02, scene.people[0].box[1] - 0.05
        Pen(pen.draw, pen.width, (x, y, x + 0.2, y + 0.15)).rect(0, 0, 1, 1, (36, 84, 62))
        Pen(pen.draw, pen.width, (x, y, x + 0.2, y + 0.15)).line(
            "white", 0.07, 0.2, 0.7, 0.4, 0.3, 0.6, 0.7, 0.8, 0.3
        )


def _in_mood(image: Image.Image, scene: Scene, rng: Random) -> Image.Image:
    """Tint the picture and draw the mood's sign along its top (bunting, petals, drops, cobwebs)."""
    color, share = _TINTS[scene.mood]
    image = Image.blend(image, Image.new("RGB", image.size, color), share)
    if scene.mood == "gloomy":
        image = ImageEnhance.Color(image).enhance(0.62)
    pen = Pen(ImageDraw.Draw(image), image.width)
    if scene.mood == "festive":
        paints = ("red", "yellow", "green", "blue", "pink")
        for i in range(8):
            x = i / 8
            pen.poly(paints[i % 5], x, 0.0, x + 0.125, 0.0, x + 0.0625, 0.1)
        for _ in range(26):
            x, y = rng.random(), 0.1 + 0.5 * rng.random()
            pen.rect(x, y, x + 0.018, y + 0.012, rng.choice(paints))
    elif scene.mood == "calm":
        for _ in range(12):
            x, y = rng.random(), rng.random() * 0.7
            pen.oval(x, y, x + 0.05, y + 0.028, (255, 206, 222))
        pen.arc(-0.1, 0.03, 1.1, 0.7, 200, 340, (255, 240, 246), 0.014)
    elif scene.mood == "gloomy":
        for i in range(9):
            x = 0.03 + i * 0.118
            pen.oval(x - 0.08, -0.07, x + 0.08, 0.06, (74, 82, 98))
            length = 0.06 + 0.08 * rng.random()
            pen.line((60, 92, 140), 0.014, x, 0.08, x, 0.08 + length)
    else:
        pen.line((30, 20, 36), 0.02, 0.0, 0.02, 0.2, 0.0)
        for k in (0.07, 0.13, 0.19):
            pen.arc(-k, -k, k, k, 0, 90, (230, 230, 240), 0.006)
            pen.arc(1 - k, -k, 1 + k, k, 90, 180, (230, 230, 240), 0.006)
        for _ in range(4):
            x, y = 0.12 + 0.7 * rng.random(), 0.08 + 0.3 * rng.random()
            pen.poly((16, 10, 24), x - 0.08, y - 0.03, x - 0.03, y - 0.02, x, y - 0.035, x + 0.03, y - 0.02,
            x + 0.08, y - 0.03,
                     x + 0.04, y + 0.02, x, y + 0.015, x - 0.04, y + 0.02)  # fmt: skip
    return image


def _with_fault(image: Image.Image, fault: str, seed: int) -> Image.Image:
    if fault == "blur":
        return image.filter(ImageFilter.GaussianBlur(image.width / 80))
    if fault == "dark":
        return ImageEnhance.Brightness(image).enhance(0.42)
    if fault == "noise":
        grain = np.random.default_rng(seed).normal(0, 34, (image.height, image.width, 1))
        return Image.fromarray(np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8))
    return image
