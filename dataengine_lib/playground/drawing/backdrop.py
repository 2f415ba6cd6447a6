"""Where a playground scene takes place: ten settings by day and night, and the weather outdoors."""

from collections.abc import Callable
from random import Random

from dataengine_lib.playground.drawing.pen import Color, Pen, mix
from dataengine_lib.playground.world import Scene

_HORIZON = 0.58  # where sky and ground meet


def draw_backdrop(pen: Pen, scene: Scene, rng: Random) -> None:
    """Fill the picture with the scene's setting."""
    night = scene.time == "night"
    if scene.indoors:
        _INDOOR_BACKDROPS[scene.setting](pen, night, rng)
        return
    top, low = ((14, 20, 60), (44, 56, 112)) if night else ((122, 190, 240), (212, 236, 250))
    if scene.weather in ("rainy", "cloudy", "snowy"):
        grey: Color = (50, 54, 72) if night else (176, 186, 196)
        top, low = mix(top, grey, 0.65), mix(low, grey, 0.55)
    # the sky in twelve bands, from dark at the top to light at the horizon
    for i in range(12):
        pen.rect(0, i * _HORIZON / 12, 1, (i + 1) * _HORIZON / 12 + 0.01, mix(top, low, i / 11))
    if night:
        for _ in range(22):
            x, y = rng.random(), rng.random() * 0.45
            pen.oval(x, y, x + 0.012, y + 0.012, "white")
        # a moon, of which a disc in the sky's colour leaves a crescent
        pen.oval(0.8, 0.16, 0.93, 0.29, (250, 246, 206))
        pen.oval(0.765, 0.14, 0.89, 0.265, mix(top, low, 0.35))
    _OUTDOOR_BACKDROPS[scene.setting](
        pen, (lambda color: mix(color, (16, 20, 56), 0.5)) if night else (lambda color: color), rng
    )
    if scene.weather == "snowy":
        for i in range(7):
            x = i / 6
            pen.oval(x - 0.16, 0.93 + 0.02 * (i % 2), x + 0.16, 1.1, "white")


def draw_weather(pen: Pen, scene: Scene, rng: Random) -> None:
    """Draw sun, rain, snow or clouds over the things of the scene."""
    if scene.weather == "sunny" and scene.time == "day":
        pen.oval(0.8, 0.14, 0.94, 0.28, (255, 214, 60))
        for dx, dy in (
            (0.11, 0),
            (-0.11, 0),
            (0, 0.11),
            (0, -0.11),
            (0.08, 0.08),
            (-0.08, 0.08),
            (0.08, -0.08),
            (-0.08, -0.08),
        ):
            pen.line((255, 214, 60), 0.014, 0.87 + dx * 0.8, 0.21 + dy * 0.8, 0.87 + dx, 0.21 + dy)
    elif scene.weather == "rainy":
        for _ in range(70):
            x, y = rng.random() * 1.1, rng.random()
            pen.line((120, 170, 230), 0.007, x, y, x - 0.025, y + 0.06)
    elif scene.weather == "snowy":
        for _ in range(60):
            x, y = rng.random(), rng.random() * 0.95
            pen.oval(x, y, x + 0.022, y + 0.022, "white")
    elif scene.weather == "cloudy":
        for x, y in ((0.16, 0.26), (0.52, 0.34), (0.86, 0.24)):
            for dx, r in ((-0.09, 0.055), (0.0, 0.08), (0.09, 0.055)):
                pen.oval(
                    x + dx - r * 1.3,
                    y - r,
                    x + dx + r * 1.3,
                    y + r,
                    (226, 230, 236) if scene.time == "day" else (96, 102, 124),
                )


_Shade = Callable[[Color], Color]  # a colour as it looks by the light of the scene's time


def _street(pen: Pen, shade: _Shade, rng: Random) -> None:
    for i, paint in enumerate(
        ((226, 178, 150), (196, 206, 220), (238, 218, 166), (206, 184, 206), (220, 190, 170))
    ):
        top = 0.24 + 0.05 * ((i * 3) % 4)
        pen.rect(i * 0.2, top, i * 0.2 + 0.2, 0.66, shade(paint))
        for x in (0.035, 0.115):
            for y in (0.06, 0.18):
                pen.rect(
                    i * 0.2 + x,
                    top + y,
                    i * 0.2 + x + 0.05,
                    top + y + 0.07,
                    (250, 226, 130) if shade((9, 9, 9)) != (9, 9, 9) else (170, 206, 226),
                )
    pen.rect(0, 0.64, 1, 0.7, shade((206, 204, 198)))
    pen.rect(0, 0.7, 1, 1, shade((150, 152, 158)))
    for i in range(5):
        pen.rect(i * 0.22 + 0.03, 0.84, i * 0.22 + 0.15, 0.865, shade((244, 244, 236)))


def _park(pen: Pen, shade: _Shade, rng: Random) -> None:
    for i in range(7):
        pen.oval(i * 0.17 - 0.12, 0.42 + 0.03 * (i % 2), i * 0.17 + 0.14, 0.72, shade((132, 190, 130)))
    pen.rect(0, _HORIZON, 1, 1, shade((178, 222, 148)))
    pen.poly(shade((236, 222, 184)), 0.42, _HORIZON, 0.5, _HORIZON, 0.86, 1.0, 0.3, 1.0)
    pen.oval(0.02, 0.62, 0.34, 0.72, shade((150, 206, 226)))
    pen.oval(0.08, 0.64, 0.2, 0.67, shade((196, 230, 240)))


def _beach(pen: Pen, shade: _Shade, rng: Random) -> None:
    pen.rect(0, 0.46, 1, 0.7, shade((96, 176, 216)))
    for i in range(6):
        pen.arc(
            i * 0.2 - 0.1,
            0.52 + 0.05 * (i % 2),
            i * 0.2 + 0.08,
            0.58 + 0.05 * (i % 2),
            200,
            340,
            shade((230, 246, 252)),
            0.01,
        )
    pen.rect(0, 0.66, 1, 1, shade((248, 228, 172)))
    pen.line(shade((160, 120, 80)), 0.03, 0.06, 0.68, 0.1, 0.4)
    for x, y in ((-0.04, 0.42), (0.0, 0.33), (0.2, 0.33), (0.24, 0.42)):
        pen.line(shade((92, 168, 104)), 0.035, 0.1, 0.39, x, y)


def _farm(pen: Pen, shade: _Shade, rng: Random) -> None:
    pen.rect(0, _HORIZON - 0.04, 1, 1, shade((206, 216, 138)))
    for i in range(6):
        pen.poly(
            shade((186, 196, 112)),
            i * 0.2 - 0.1,
            1.0,
            i * 0.2,
            1.0,
            0.35 + i * 0.06,
            0.62,
            0.34 + i * 0.06,
            0.62,
        )
    pen.poly(shade((200, 96, 84)), 0.64, 0.66, 0.64, 0.42, 0.78, 0.3, 0.92, 0.42, 0.92, 0.66)
    pen.rect(0.73, 0.5, 0.83, 0.66, shade((246, 236, 220)))
    for i in range(8):
        pen.rect(0.03 + i * 0.075, 0.55, 0.05 + i * 0.075, 0.68, shade((246, 242, 230)))
    pen.rect(0.0, 0.58, 0.6, 0.595, shade((246, 242, 230)))
    pen.rect(0.0, 0.63, 0.6, 0.645, shade((246, 242, 230)))


def _forest(pen: Pen, shade: _Shade, rng: Random) -> None:
    pen.rect(0, 0.0, 1, 0.7, shade((150, 190, 160)))
    for i in range(9):
        x = i * 0.125
        pen.rect(x + 0.03, 0.1, x + 0.06 + 0.01 * (i % 3), 0.7, shade((134, 106, 84)))
        pen.poly(
            shade((84, 146, 104) if i % 2 else (100, 160, 112)), x - 0.06, 0.4, x + 0.05, 0.0, x + 0.16, 0.4
        )
    pen.rect(0, 0.66, 1, 1, shade((156, 176, 116)))
    for i in range(12):
        pen.oval(i * 0.09, 0.65 + 0.02 * (i % 2), i * 0.09 + 0.08, 0.7, shade((116, 152, 92)))


def _desert(pen: Pen, shade: _Shade, rng: Random) -> None:
    pen.poly(shade((206, 140, 104)), 0.04, 0.62, 0.1, 0.36, 0.32, 0.36, 0.38, 0.62)
    pen.poly(shade((220, 156, 114)), 0.6, 0.62, 0.68, 0.44, 0.86, 0.44, 0.94, 0.62)
    pen.rect(0, _HORIZON, 1, 1, shade((240, 204, 140)))
    pen.oval(-0.3, 0.6, 0.6, 1.0, shade((246, 214, 154)))
    pen.oval(0.4, 0.66, 1.3, 1.1, shade((232, 192, 126)))


def _room(pen: Pen, night: bool, wall: Color, floor: Color) -> None:
    dim = 0.45 if night else 0.0
    pen.rect(0, 0, 1, 0.66, mix(wall, (36, 30, 66), dim))
    pen.rect(0, 0.64, 1, 0.67, mix((250, 246, 238), (36, 30, 66), dim))
    pen.rect(0, 0.67, 1, 1, mix(floor, (36, 30, 66), dim))


def _window(pen: Pen, night: bool, x: float) -> None:
    pen.rect(x, 0.14, x + 0.24, 0.44, (250, 248, 242))
    pen.rect(x + 0.02, 0.165, x + 0.22, 0.415, (22, 28, 76) if night else (168, 216, 246))
    if night:
        pen.oval(x + 0.12, 0.19, x + 0.19, 0.26, (250, 246, 206))
    pen.rect(x + 0.11, 0.165, x + 0.13, 0.415, (250, 248, 242))


def _kitchen(pen: Pen, night: bool, rng: Random) -> None:
    _room(pen, night, (224, 240, 236), (214, 206, 196))
    dim = 0.45 if night else 0.0
    for i in range(10):
        pen.rect(i * 0.1, 0.36, i * 0.1 + 0.096, 0.425, mix((176, 214, 208), (36, 30, 66), dim))
        pen.rect(i * 0.1 + 0.05, 0.43, i * 0.1 + 0.146, 0.495, mix((190, 222, 216), (36, 30, 66), dim))
    pen.rect(0, 0.5, 1, 0.54, mix((170, 120, 84), (36, 30, 66), dim))
    pen.rect(0, 0.54, 1, 0.68, mix((244, 240, 228), (36, 30, 66), dim))
    for i in range(5):
        pen.rect(i * 0.2 + 0.085, 0.57, i * 0.2 + 0.115, 0.59, (120, 120, 120))
    _window(pen, night, 0.36)


def _living_room(pen: Pen, night: bool, rng: Random) -> None:
    _room(pen, night, (246, 222, 196), (198, 156, 116))
    _window(pen, night, 0.06)
    pen.poly((206, 106, 96), 0.03, 0.12, 0.1, 0.12, 0.06, 0.5, 0.03, 0.5)
    pen.poly((206, 106, 96), 0.33, 0.12, 0.26, 0.12, 0.3, 0.5, 0.33, 0.5)
    pen.oval(0.1, 0.78, 0.9, 0.98, mix((214, 122, 110), (36, 30, 66), 0.4 if night else 0.0))
    pen.oval(0.18, 0.81, 0.82, 0.95, mix((240, 200, 170), (36, 30, 66), 0.4 if night else 0.0))
    pen.rect(0.6, 0.5, 0.96, 0.66, mix((150, 110, 84), (36, 30, 66), 0.4 if night else 0.0))
    pen.rect(0.66, 0.36, 0.9, 0.5, (60, 66, 80), 0.02)


def _classroom(pen: Pen, night: bool, rng: Random) -> None:
    _room(pen, night, (238, 236, 190), (206, 182, 146))
    dim = 0.45 if night else 0.0
    pen.rect(0.3, 0.16, 0.78, 0.46, mix((196, 226, 240), (36, 30, 66), dim))  # a map of the world
    for x, y, w, h in (
        (0.34, 0.2, 0.1, 0.09),
        (0.4, 0.3, 0.06, 0.13),
        (0.52, 0.2, 0.18, 0.08),
        (0.54, 0.28, 0.08, 0.12),
    ):
        pen.oval(x, y, x + w, y + h, mix((176, 208, 150), (36, 30, 66), dim))
    _window(pen, night, 0.02)
    for x in (0.04, 0.4, 0.76):
        pen.rect(x, 0.56, x + 0.2, 0.59, (180, 128, 80))
        pen.rect(x + 0.01, 0.59, x + 0.03, 0.69, (150, 150, 156))
        pen.rect(x + 0.17, 0.59, x + 0.19, 0.69, (150, 150, 156))


def _bedroom(pen: Pen, night: bool, rng: Random) -> None:
    _room(pen, night, (208, 200, 238), (224, 206, 196))
    dim = 0.45 if night else 0.0
    for i in range(10):
        pen.rect(i * 0.1 + 0.04, 0.0, i * 0.1 + 0.055, 0.64, mix((226, 220, 248), (36, 30, 66), dim))
    _window(pen, night, 0.68)
    pen.rect(0.06, 0.16, 0.36, 0.66, mix((196, 156, 124), (36, 30, 66), dim), 0.02)  # a wardrobe
    pen.rect(0.205, 0.18, 0.215, 0.64, mix((150, 112, 84), (36, 30, 66), dim))
    for x in (0.18, 0.23):
        pen.oval(x, 0.4, x + 0.014, 0.43, mix((120, 86, 62), (36, 30, 66), dim))
    pen.oval(0.3, 0.76, 0.96, 0.97, mix((176, 190, 232), (36, 30, 66), dim))


_OUTDOOR_BACKDROPS: dict[str, Callable[[Pen, _Shade, Random], None]] = {
    "street": _street, "park": _park, "beach": _beach, "farm": _farm, "forest": _forest, "desert": _desert,
}  # fmt: skip
_INDOOR_BACKDROPS: dict[str, Callable[[Pen, bool, Random], None]] = {
    "kitchen": _kitchen, "living room": _living_room, "classroom": _classroom, "bedroom": _bedroom,
}  # fmt: skip
