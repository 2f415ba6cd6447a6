"""Draws the playground's props, each filling its box: what shows a topic, and the things of the vignettes."""

from collections.abc import Callable

from dataengine_lib.playground.drawing.pen import PAINTS, Pen, mix


def wheel(pen: Pen, x: float, y: float, rx: float, ry: float) -> None:
    pen.oval(x - rx, y - ry, x + rx, y + ry, "black")
    pen.oval(x - rx / 2, y - ry / 2, x + rx / 2, y + ry / 2, "silver")


def _stove(pen: Pen, color: str) -> None:
    pen.rect(0.04, 0.34, 0.96, 1.0, "white", 0.05)
    pen.rect(0.04, 0.34, 0.96, 0.5, "dark")
    pen.rect(0.16, 0.58, 0.84, 0.92, "black", 0.05)
    pen.oval(0.34, 0.66, 0.66, 0.9, "orange")
    pen.rect(0.26, 0.1, 0.74, 0.36, "red", 0.05)
    pen.line("black", 0.06, 0.14, 0.18, 0.86, 0.18)
    pen.oval(0.44, 0.0, 0.56, 0.1, "black")


def _goal(pen: Pen, color: str) -> None:
    for i in range(1, 7):
        pen.line("silver", 0.02, i / 7, 0.08, i / 7, 1.0)
        pen.line("silver", 0.02, 0.04, i / 7, 0.96, i / 7)
    pen.line("white", 0.08, 0.04, 1.0, 0.04, 0.04, 0.96, 0.04, 0.96, 1.0)
    pen.oval(0.5, 0.66, 0.84, 1.0, "white", "black")
    pen.oval(0.62, 0.78, 0.73, 0.89, "black")


def _suitcase(pen: Pen, color: str) -> None:
    shade = mix(PAINTS[color], (0, 0, 0), 0.3)
    pen.arc(0.32, 0.0, 0.68, 0.4, 180, 360, "dark", 0.07)
    pen.rect(0.02, 0.2, 0.98, 1.0, color, 0.1)
    for x in (0.2, 0.72):
        pen.rect(x, 0.2, x + 0.08, 1.0, shade)
    pen.oval(0.38, 0.48, 0.62, 0.76, "cream")


def _cake(pen: Pen, color: str) -> None:
    for x in (0.3, 0.5, 0.7):
        pen.line("sky", 0.06, x, 0.14, x, 0.34)
        pen.oval(x - 0.05, 0.0, x + 0.05, 0.14, "orange")
    pen.rect(0.2, 0.32, 0.8, 0.62, "cream", 0.05)
    pen.rect(0.04, 0.58, 0.96, 1.0, (246, 150, 180), 0.06)
    for i in range(5):
        pen.oval(0.04 + i * 0.19, 0.54, 0.2 + i * 0.19, 0.72, "white")


def _blackboard(pen: Pen, color: str) -> None:
    pen.line("brown", 0.06, 0.3, 0.5, 0.12, 1.0)
    pen.line("brown", 0.06, 0.7, 0.5, 0.88, 1.0)
    pen.rect(0.0, 0.0, 1.0, 0.72, "brown")
    pen.rect(0.06, 0.06, 0.94, 0.66, (36, 84, 62))
    pen.line("white", 0.05, 0.14, 0.54, 0.24, 0.18, 0.34, 0.54)
    pen.line("white", 0.05, 0.18, 0.42, 0.3, 0.42)
    pen.line("white", 0.05, 0.46, 0.18, 0.46, 0.54, 0.6, 0.44, 0.48, 0.36, 0.58, 0.26, 0.46, 0.18)
    pen.arc(0.68, 0.18, 0.92, 0.54, 60, 300, "white", 0.05)


def _tractor(pen: Pen, color: str) -> None:
    pen.rect(0.5, 0.0, 0.92, 0.1, "dark")
    pen.rect(0.54, 0.08, 0.88, 0.5, "sky")
    pen.rect(0.06, 0.36, 0.9, 0.72, color, 0.05)
    pen.line("dark", 0.06, 0.2, 0.1, 0.2, 0.4)
    wheel(pen, 0.7, 0.7, 0.28, 0.3)
    wheel(pen, 0.18, 0.84, 0.15, 0.16)


def _drum(pen: Pen, color: str) -> None:
    pen.line("tan", 0.05, 0.1, 0.0, 0.5, 0.3)
    pen.line("tan", 0.05, 0.9, 0.0, 0.5, 0.3)
    pen.rect(0.06, 0.34, 0.94, 0.9, color)
    pen.oval(0.06, 0.78, 0.94, 1.0, color)
    for x in (0.1, 0.36, 0.62):
        pen.line("white", 0.04, x, 0.42, x + 0.13, 0.88, x + 0.26, 0.42)
    pen.oval(0.06, 0.22, 0.94, 0.46, "cream", "dark")


def _ball(pen: Pen, color: str) -> None:
    pen.oval(0.0, 0.0, 1.0, 1.0, color)
    pen.arc(-0.4, 0.0, 0.6, 1.0, 300, 60, "white", 0.09)
    pen.oval(0.58, 0.16, 0.78, 0.36, "white")


def _teddy_bear(pen: Pen, color: str) -> None:
    for x in (0.2, 0.8):
        pen.oval(x - 0.16, 0.0, x + 0.16, 0.3, (168, 112, 62))
        pen.oval(x - 0.18, 0.76, x + 0.18, 1.0, (168, 112, 62))
    pen.oval(0.16, 0.44, 0.84, 0.96, (168, 112, 62))
    pen.oval(0.14, 0.06, 0.86, 0.58, (190, 134, 80))
    pen.oval(0.34, 0.3, 0.66, 0.54, "cream")
    for x in (0.34, 0.66):
        pen.oval(x - 0.05, 0.22, x + 0.05, 0.32, "black")
    pen.oval(0.44, 0.33, 0.56, 0.42, "black")


def _vase(pen: Pen, color: str) -> None:
    for x, paint in ((0.2, "pink"), (0.5, "orange"), (0.8, "wine")):
        pen.line("deep", 0.06, 0.5, 0.5, x, 0.14)
        pen.oval(x - 0.15, 0.0, x + 0.15, 0.28, paint)
    pen.poly(color, 0.34, 0.42, 0.66, 0.42, 0.9, 0.7, 0.7, 1.0, 0.3, 1.0, 0.1, 0.7)


def _hat(pen: Pen, color: str) -> None:
    pen.rect(0.24, 0.05, 0.76, 0.8, color, 0.12)
    pen.rect(0.24, 0.52, 0.76, 0.72, "black")
    pen.oval(0.0, 0.62, 1.0, 1.0, color)


def _balloon(pen: Pen, color: str) -> None:
    pen.line("dark", 0.04, 0.5, 0.7, 0.42, 0.84, 0.54, 1.0)
    pen.oval(0.06, 0.0, 0.94, 0.72, color)
    pen.poly(color, 0.42, 0.76, 0.58, 0.76, 0.5, 0.66)
    pen.oval(0.62, 0.12, 0.78, 0.3, "white")


def _bottle(pen: Pen, color: str) -> None:
    pen.poly((40, 130, 90), 0.0, 0.42, 0.42, 0.0, 0.74, 0.32, 0.32, 0.74)
    pen.line((40, 130, 90), 0.17, 0.6, 0.5, 0.86, 0.8)
    pen.poly("cream", 0.12, 0.4, 0.4, 0.12, 0.56, 0.28, 0.28, 0.56)
    pen.oval(0.84, 0.86, 0.98, 1.0, "water")


def _stool(pen: Pen, color: str) -> None:
    pen.rect(0.0, 0.0, 1.0, 0.16, (184, 120, 64), 0.06)
    for x0, x1 in ((0.16, 0.06), (0.84, 0.94)):
        pen.line((150, 96, 50), 0.08, x0, 0.14, x1, 0.97)
    pen.line((150, 96, 50), 0.06, 0.14, 0.6, 0.86, 0.6)


def _egg(pen: Pen, color: str) -> None:
    pen.oval(0.08, 0.0, 0.92, 1.0, "cream", "tan")
    pen.line("dark", 0.07, 0.1, 0.5, 0.3, 0.36, 0.42, 0.56, 0.58, 0.36, 0.72, 0.56, 0.9, 0.44)


def _nest(pen: Pen, color: str) -> None:
    pen.slice(0.0, -1.0, 1.0, 1.0, 0, 180, (150, 106, 58))
    for i in range(7):
        pen.line((106, 70, 34), 0.025, 0.03 + i * 0.13, 0.1, 0.2 + i * 0.1, 0.75 - abs(i - 3) * 0.12)
    pen.rect(0.0, 0.0, 1.0, 0.2, (176, 130, 74), 0.05)


def _scooter(pen: Pen, color: str) -> None:
    pen.line("grey", 0.07, 0.74, 0.18, 0.84, 0.8)
    pen.line("black", 0.08, 0.6, 0.14, 0.8, 0.14)
    pen.line((30, 150, 160), 0.2, 0.2, 0.66, 0.74, 0.7)
    pen.poly((30, 150, 160), 0.04, 0.5, 0.44, 0.5, 0.4, 0.76, 0.1, 0.76)
    pen.rect(0.04, 0.38, 0.46, 0.5, "black", 0.05)
    wheel(pen, 0.18, 0.84, 0.16, 0.16)
    wheel(pen, 0.84, 0.84, 0.16, 0.16)


def _traffic_light(pen: Pen, color: str) -> None:
    pen.rect(0.42, 0.5, 0.58, 1.0, "grey")
    pen.rect(0.05, 0.0, 0.95, 0.62, "black", 0.2)
    pen.oval(0.2, 0.02, 0.8, 0.2, (255, 40, 40))
    pen.oval(0.28, 0.23, 0.72, 0.38, (90, 78, 30))
    pen.oval(0.28, 0.42, 0.72, 0.57, (30, 70, 40))


def _snowman(pen: Pen, color: str) -> None:
    for x0, y0, x1, y1 in ((0.06, 0.55, 0.94, 1.0), (0.18, 0.3, 0.82, 0.66), (0.28, 0.12, 0.72, 0.4)):
        pen.oval(x0, y0, x1, y1, (246, 250, 255), (150, 174, 200))
    pen.rect(0.32, 0.0, 0.68, 0.14, "black")
    pen.line("black", 0.05, 0.22, 0.14, 0.78, 0.14)
    pen.poly("orange", 0.5, 0.24, 0.5, 0.3, 0.8, 0.29)
    for x in (0.42, 0.58):
        pen.oval(x - 0.04, 0.19, x + 0.04, 0.23, "black")
    pen.line("red", 0.1, 0.3, 0.38, 0.7, 0.38)


def _campfire(pen: Pen, color: str) -> None:
    pen.line("brown", 0.14, 0.1, 0.92, 0.9, 0.76)
    pen.line("brown", 0.14, 0.1, 0.76, 0.9, 0.92)
    pen.poly("red", 0.12, 0.78, 0.2, 0.3, 0.36, 0.46, 0.5, 0.0, 0.66, 0.44, 0.82, 0.26, 0.88, 0.78)
    pen.poly("orange", 0.24, 0.8, 0.32, 0.46, 0.5, 0.22, 0.68, 0.5, 0.78, 0.8)
    pen.poly("yellow", 0.36, 0.8, 0.5, 0.46, 0.64, 0.8)


def _storm_cloud(pen: Pen, color: str) -> None:
    for x0, y0, x1, y1 in ((0.0, 0.2, 0.46, 0.72), (0.26, 0.0, 0.76, 0.66), (0.56, 0.2, 1.0, 0.72)):
        pen.oval(x0, y0, x1, y1, (78, 84, 104))
    pen.poly("yellow", 0.48, 0.5, 0.64, 0.5, 0.56, 0.7, 0.68, 0.7, 0.44, 1.0, 0.5, 0.78, 0.38, 0.78)


def _laundry(pen: Pen, color: str) -> None:
    for x in (0.03, 0.97):
        pen.line("brown", 0.05, x, 0.0, x, 0.97)
    pen.line("dark", 0.025, 0.03, 0.08, 0.97, 0.08)
    pen.poly("red", 0.1, 0.1, 0.38, 0.1, 0.42, 0.3, 0.34, 0.3, 0.34, 0.66, 0.14, 0.66, 0.14, 0.3, 0.06, 0.3)
    pen.rect(0.46, 0.1, 0.66, 0.74, "white")
    pen.poly("blue", 0.72, 0.1, 0.92, 0.1, 0.92, 0.74, 0.84, 0.74, 0.82, 0.34, 0.8, 0.74, 0.72, 0.74)


PROPS: dict[str, Callable[[Pen, str], None]] = {
    "stove": _stove, "goal": _goal, "suitcase": _suitcase, "cake": _cake, "blackboard": _blackboard,
    "tractor": _tractor, "drum": _drum, "ball": _ball, "teddy bear": _teddy_bear, "vase": _vase, "hat": _hat,
    "balloon": _balloon, "bottle": _bottle, "stool": _stool, "egg": _egg, "nest": _nest, "scooter": _scooter,
    "red traffic light": _traffic_light, "snowman": _snowman, "campfire": _campfire, "storm cloud": _storm_cloud,
    "laundry": _laundry,
}  # fmt: skip
