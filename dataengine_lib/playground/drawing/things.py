"""Draws the playground's man-made things, each filling its box; `color` counts for the kinds in world.COLORED."""

from collections.abc import Callable

from dataengine_lib.playground.drawing.creatures import CREATURES
from dataengine_lib.playground.drawing.pen import PAINTS, Pen, mix
from dataengine_lib.playground.drawing.props import PROPS, wheel


def _car(pen: Pen, color: str) -> None:
    pen.poly(color, 0.2, 0.5, 0.32, 0.12, 0.72, 0.12, 0.86, 0.5)
    pen.poly("sky", 0.28, 0.48, 0.36, 0.2, 0.5, 0.2, 0.5, 0.48)
    pen.poly("sky", 0.55, 0.48, 0.55, 0.2, 0.68, 0.2, 0.78, 0.48)
    pen.rect(0.0, 0.46, 1.0, 0.84, color, 0.1)
    pen.oval(0.0, 0.52, 0.1, 0.66, "yellow")
    wheel(pen, 0.24, 0.82, 0.13, 0.18)
    wheel(pen, 0.76, 0.82, 0.13, 0.18)


def _bus(pen: Pen, color: str) -> None:
    pen.rect(0.0, 0.0, 1.0, 0.88, color, 0.08)
    for x in (0.06, 0.3, 0.54, 0.78):
        pen.rect(x, 0.14, x + 0.18, 0.46, "sky")
    pen.rect(0.0, 0.58, 1.0, 0.66, "white")
    wheel(pen, 0.24, 0.87, 0.11, 0.13)
    wheel(pen, 0.76, 0.87, 0.11, 0.13)


def _truck(pen: Pen, color: str) -> None:
    pen.rect(0.34, 0.0, 1.0, 0.78, color)
    pen.line(mix(PAINTS.get(color, (200, 200, 200)), (0, 0, 0), 0.3), 0.03, 0.4, 0.1, 0.4, 0.7)
    pen.rect(0.0, 0.3, 0.32, 0.82, "dark", 0.06)
    pen.rect(0.04, 0.36, 0.2, 0.56, "sky")
    for x in (0.17, 0.6, 0.85):
        wheel(pen, x, 0.86, 0.11, 0.14)


def _bicycle(pen: Pen, color: str) -> None:
    for x in (0.22, 0.78):
        pen.oval(x - 0.22, 0.46, x + 0.22, 1.0, "black")
        pen.oval(x - 0.16, 0.54, x + 0.16, 0.92, (226, 232, 236))
    pen.line(color, 0.07, 0.22, 0.73, 0.38, 0.3, 0.7, 0.3, 0.5, 0.73, 0.22, 0.73)
    pen.line(color, 0.07, 0.5, 0.73, 0.36, 0.3)
    pen.line(color, 0.07, 0.78, 0.73, 0.68, 0.12)
    pen.line("black", 0.07, 0.6, 0.12, 0.78, 0.1)
    pen.line("black", 0.09, 0.26, 0.24, 0.44, 0.24)


def _boat(pen: Pen, color: str) -> None:
    pen.line("brown", 0.05, 0.5, 0.02, 0.5, 0.72)
    pen.poly("white", 0.46, 0.04, 0.46, 0.62, 0.08, 0.62)
    pen.poly("cream", 0.55, 0.12, 0.55, 0.62, 0.9, 0.62)
    pen.poly(color, 0.0, 0.7, 1.0, 0.7, 0.84, 1.0, 0.16, 1.0)


def _apple(pen: Pen, color: str) -> None:
    pen.oval(0.08, 0.22, 0.6, 1.0, (206, 36, 52))
    pen.oval(0.4, 0.22, 0.92, 1.0, (206, 36, 52))
    pen.line("brown", 0.07, 0.5, 0.3, 0.54, 0.04)
    pen.oval(0.54, 0.04, 0.86, 0.2, "leaf")
    pen.oval(0.2, 0.36, 0.34, 0.56, (248, 170, 170))


def _pizza(pen: Pen, color: str) -> None:
    pen.poly("tan", 0.0, 0.12, 1.0, 0.12, 0.5, 1.0)
    pen.poly((248, 212, 90), 0.08, 0.22, 0.92, 0.22, 0.5, 0.96)
    pen.rect(0.0, 0.02, 1.0, 0.22, (196, 130, 66), 0.1)
    for x, y in ((0.32, 0.36), (0.64, 0.38), (0.48, 0.62)):
        pen.oval(x - 0.1, y - 0.1, x + 0.1, y + 0.1, "red")
    pen.oval(0.44, 0.3, 0.54, 0.38, "deep")


def _banana(pen: Pen, color: str) -> None:
    pen.arc(0.02, -0.9, 0.98, 0.96, 18, 162, "gold", 0.36)
    pen.arc(0.05, -0.9, 0.95, 0.9, 20, 160, "yellow", 0.28)
    pen.line("brown", 0.09, 0.92, 0.14, 0.97, 0.02)
    pen.line("brown", 0.07, 0.06, 0.2, 0.04, 0.26)


def _ice_cream(pen: Pen, color: str) -> None:
    pen.poly((214, 150, 80), 0.22, 0.46, 0.78, 0.46, 0.5, 1.0)
    pen.line("brown", 0.03, 0.34, 0.5, 0.58, 0.8)
    pen.line("brown", 0.03, 0.66, 0.5, 0.42, 0.8)
    pen.oval(0.14, 0.2, 0.54, 0.56, "pink")
    pen.oval(0.46, 0.2, 0.86, 0.56, "cream")
    pen.oval(0.28, 0.0, 0.72, 0.36, (124, 72, 50))


def _chair(pen: Pen, color: str) -> None:
    pen.rect(0.16, 0.0, 0.3, 1.0, color, 0.04)
    pen.rect(0.16, 0.04, 0.36, 0.44, color, 0.05)
    pen.rect(0.16, 0.5, 0.86, 0.64, color, 0.05)
    pen.rect(0.72, 0.6, 0.86, 1.0, color, 0.04)


def _bed(pen: Pen, color: str) -> None:
    pen.rect(0.0, 0.1, 0.09, 1.0, "brown", 0.03)
    pen.rect(0.91, 0.4, 1.0, 1.0, "brown", 0.03)
    pen.rect(0.05, 0.56, 0.95, 0.86, "brown")
    pen.rect(0.08, 0.44, 0.92, 0.66, "white", 0.05)
    pen.rect(0.36, 0.38, 0.94, 0.72, color, 0.07)
    pen.oval(0.1, 0.3, 0.36, 0.54, "white", "grey")


def _sofa(pen: Pen, color: str) -> None:
    shade = mix(PAINTS[color], (0, 0, 0), 0.25)
    pen.rect(0.08, 0.1, 0.92, 0.7, color, 0.12)
    pen.rect(0.1, 0.5, 0.9, 0.84, shade, 0.06)
    pen.rect(0.0, 0.36, 0.2, 0.9, color, 0.1)
    pen.rect(0.8, 0.36, 1.0, 0.9, color, 0.1)
    for x in (0.08, 0.86):
        pen.rect(x, 0.86, x + 0.06, 1.0, "brown")


def _lamp(pen: Pen, color: str) -> None:
    pen.line("dark", 0.06, 0.5, 0.3, 0.5, 0.94)
    pen.rect(0.25, 0.94, 0.75, 1.0, "dark", 0.04)
    pen.poly((250, 222, 120), 0.3, 0.0, 0.7, 0.0, 0.95, 0.36, 0.05, 0.36)
    pen.oval(0.4, 0.32, 0.6, 0.42, "white")


def _umbrella(pen: Pen, color: str) -> None:
    pen.line("dark", 0.06, 0.5, 0.2, 0.5, 0.9, 0.6, 0.98, 0.68, 0.88)
    pen.slice(0.0, 0.04, 1.0, 1.06, 180, 360, color)
    shade = mix(PAINTS[color], (255, 255, 255), 0.35)
    pen.slice(0.32, 0.04, 0.68, 1.06, 180, 360, shade)


def _book(pen: Pen, color: str) -> None:
    pen.poly(color, 0.0, 0.12, 0.5, 0.24, 1.0, 0.12, 1.0, 0.88, 0.5, 1.0, 0.0, 0.88)
    pen.poly("white", 0.06, 0.06, 0.49, 0.18, 0.49, 0.9, 0.06, 0.78)
    pen.poly("cream", 0.94, 0.06, 0.51, 0.18, 0.51, 0.9, 0.94, 0.78)
    for y in (0.28, 0.44, 0.6):
        pen.line("grey", 0.03, 0.14, y, 0.4, y + 0.08)
        pen.line("grey", 0.03, 0.6, y + 0.08, 0.86, y)


def _cup(pen: Pen, color: str) -> None:
    pen.arc(0.56, 0.4, 1.0, 0.85, 0, 360, color, 0.1)
    pen.rect(0.08, 0.3, 0.76, 1.0, color, 0.12)
    pen.oval(0.08, 0.22, 0.76, 0.42, (96, 58, 34))
    for x in (0.28, 0.5):
        pen.line("silver", 0.05, x, 0.2, x + 0.06, 0.1, x, 0.0)


def _clock(pen: Pen, color: str) -> None:
    for x in (0.26, 0.74):
        pen.oval(x - 0.16, 0.0, x + 0.16, 0.28, "gold")
        pen.line("dark", 0.07, x, 0.85, x + (x - 0.5) * 0.5, 1.0)
    pen.oval(0.08, 0.12, 0.92, 0.94, "dark")
    pen.oval(0.17, 0.2, 0.83, 0.86, "white")
    pen.line("black", 0.06, 0.5, 0.53, 0.5, 0.3)
    pen.line("black", 0.06, 0.5, 0.53, 0.68, 0.6)


def _wall_clock(pen: Pen, color: str) -> None:
    pen.oval(0.05, 0.0, 0.95, 1.0, "brown")
    pen.oval(0.14, 0.1, 0.86, 0.9, "cream")
    pen.line("black", 0.07, 0.5, 0.5, 0.5, 0.2)
    pen.line("black", 0.07, 0.5, 0.5, 0.74, 0.58)


def _backpack(pen: Pen, color: str) -> None:
    shade = mix(PAINTS[color], (0, 0, 0), 0.3)
    pen.arc(0.34, 0.0, 0.66, 0.3, 180, 360, "dark", 0.07)
    pen.rect(0.12, 0.12, 0.88, 1.0, color, 0.25)
    pen.rect(0.24, 0.55, 0.76, 0.9, shade, 0.08)
    pen.line("cream", 0.04, 0.2, 0.42, 0.8, 0.42)
    pen.rect(0.0, 0.5, 0.12, 0.9, shade, 0.05)
    pen.rect(0.88, 0.5, 1.0, 0.9, shade, 0.05)


def _telephone(pen: Pen, color: str) -> None:
    pen.poly(color, 0.22, 0.34, 0.78, 0.34, 0.98, 1.0, 0.02, 1.0)
    pen.rect(0.0, 0.0, 1.0, 0.26, color, 0.1)
    pen.oval(0.0, 0.06, 0.26, 0.46, color)
    pen.oval(0.74, 0.06, 1.0, 0.46, color)
    pen.oval(0.3, 0.44, 0.7, 0.9, "white")
    pen.oval(0.42, 0.58, 0.58, 0.76, "black")


def _kite(pen: Pen, color: str) -> None:
    pen.poly(color, 0.5, 0.0, 0.86, 0.32, 0.5, 0.78, 0.14, 0.32)
    pen.poly(mix(PAINTS[color], (255, 255, 255), 0.5), 0.5, 0.0, 0.86, 0.32, 0.5, 0.32)
    pen.poly(mix(PAINTS[color], (255, 255, 255), 0.5), 0.5, 0.78, 0.14, 0.32, 0.5, 0.32)
    pen.line("dark", 0.03, 0.5, 0.78, 0.62, 0.86, 0.5, 0.92, 0.62, 1.0)


def _airplane(pen: Pen, color: str) -> None:
    pen.poly("silver", 0.82, 0.45, 1.0, 0.12, 0.98, 0.5)
    pen.rect(0.0, 0.38, 0.98, 0.62, "white", 0.12)
    pen.poly("grey", 0.4, 0.52, 0.6, 0.52, 0.82, 1.0, 0.66, 1.0)
    pen.poly("grey", 0.44, 0.4, 0.58, 0.4, 0.74, 0.1, 0.64, 0.1)
    for x in (0.16, 0.3, 0.44, 0.58, 0.72):
        pen.oval(x, 0.43, x + 0.06, 0.51, "navy")


def _hot_air_balloon(pen: Pen, color: str) -> None:
    pen.line("dark", 0.03, 0.3, 0.55, 0.42, 0.84)
    pen.line("dark", 0.03, 0.7, 0.55, 0.58, 0.84)
    pen.oval(0.12, 0.0, 0.88, 0.72, color)
    pen.oval(0.34, 0.0, 0.66, 0.72, mix(PAINTS[color], (255, 255, 255), 0.5))
    pen.rect(0.38, 0.82, 0.62, 1.0, "brown", 0.04)


def _picture(pen: Pen, color: str) -> None:
    pen.rect(0.0, 0.05, 1.0, 0.95, "gold", 0.03)
    pen.rect(0.1, 0.16, 0.9, 0.84, "sky")
    pen.poly("deep", 0.1, 0.84, 0.4, 0.36, 0.62, 0.7, 0.74, 0.54, 0.9, 0.84)


def _hanging_lamp(pen: Pen, color: str) -> None:
    pen.line("dark", 0.04, 0.5, 0.0, 0.5, 0.4)
    pen.slice(0.1, 0.3, 0.9, 1.2, 180, 360, "dark")
    pen.oval(0.36, 0.68, 0.64, 0.96, (255, 232, 130))


def _shelf(pen: Pen, color: str) -> None:
    for i, paint in enumerate(("red", "blue", "gold", "green", "purple", "orange")):
        pen.rect(0.1 + i * 0.13, 0.12 + (i % 3) * 0.1, 0.21 + i * 0.13, 0.74, paint)
    pen.rect(0.0, 0.72, 1.0, 0.86, "brown")
    pen.poly("brown", 0.12, 0.86, 0.22, 0.86, 0.12, 1.0)
    pen.poly("brown", 0.88, 0.86, 0.78, 0.86, 0.88, 1.0)


THINGS: dict[str, Callable[[Pen, str], None]] = CREATURES | PROPS | {
    "car": _car, "bus": _bus, "truck": _truck, "bicycle": _bicycle, "boat": _boat, "apple": _apple, "pizza": _pizza,
    "banana": _banana, "ice cream": _ice_cream, "chair": _chair, "bed": _bed, "sofa": _sofa, "lamp": _lamp,
    "umbrella": _umbrella, "book": _book, "cup": _cup, "clock": _clock, "wall clock": _wall_clock,
    "backpack": _backpack, "telephone": _telephone, "kite": _kite, "airplane": _airplane,
    "hot-air balloon": _hot_air_balloon, "picture": _picture, "hanging lamp": _hanging_lamp, "shelf": _shelf,
}  # fmt: skip
