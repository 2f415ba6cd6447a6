"""Draws the playground's animals and plants, each filling its box."""

from collections.abc import Callable

from dataengine_lib.playground.drawing.pen import PAINTS, Color, Pen, mix


def _eyes(pen: Pen, x: float, y: float, gap: float = 0.0, size: float = 0.05) -> None:
    for at in {x - gap, x + gap}:
        pen.oval(at - size / 2, y - size / 2, at + size / 2, y + size / 2, "black")


def _four_legs(pen: Pen, body: str | Color, leg: str | Color, top: float = 0.32) -> None:
    """A body on four legs; the head, on the left, is drawn by the caller."""
    for x in (0.26, 0.40, 0.70, 0.84):
        pen.rect(x - 0.045, 0.66, x + 0.045, 1.0, leg, 0.03)
    pen.rect(0.2, top, 0.92, 0.78, body, 0.2)


def _dog(pen: Pen, color: str) -> None:
    pen.line("brown", 0.08, 0.88, 0.42, 0.98, 0.2)
    _four_legs(pen, "brown", "brown", 0.4)
    pen.oval(0.02, 0.1, 0.46, 0.58, "tan")
    pen.oval(0.0, 0.12, 0.14, 0.55, "brown")
    pen.oval(0.34, 0.12, 0.48, 0.55, "brown")
    _eyes(pen, 0.24, 0.28, 0.08)
    pen.oval(0.18, 0.38, 0.3, 0.48, "black")
    pen.line("red", 0.06, 0.16, 0.6, 0.36, 0.6)


def _cat(pen: Pen, color: str) -> None:
    pen.line("dark", 0.07, 0.8, 0.85, 0.97, 0.6, 0.9, 0.3)
    pen.oval(0.25, 0.42, 0.85, 1.0, "grey")
    pen.poly("grey", 0.12, 0.38, 0.14, 0.0, 0.36, 0.2)
    pen.poly("grey", 0.62, 0.38, 0.62, 0.0, 0.4, 0.2)
    pen.oval(0.08, 0.12, 0.68, 0.62, "grey")
    for x in (0.26, 0.5):
        pen.oval(x - 0.07, 0.26, x + 0.07, 0.42, "yellow")
        pen.oval(x - 0.02, 0.27, x + 0.02, 0.41, "black")
    pen.poly("pink", 0.33, 0.46, 0.43, 0.46, 0.38, 0.53)
    for x in (0.4, 0.58):
        pen.line("dark", 0.03, x, 0.62, x + 0.05, 0.9)


def _cow(pen: Pen, color: str) -> None:
    _four_legs(pen, "white", "white", 0.3)
    for x, y, r in ((0.5, 0.42, 0.12), (0.76, 0.58, 0.13), (0.36, 0.66, 0.07)):
        pen.oval(x - r, y - r, x + r, y + r, "black")
    pen.oval(0.62, 0.7, 0.76, 0.84, "pink")
    pen.line("tan", 0.05, 0.05, 0.14, 0.12, 0.0)
    pen.line("tan", 0.05, 0.3, 0.14, 0.26, 0.0)
    pen.oval(0.02, 0.1, 0.34, 0.56, "white", "black")
    pen.oval(0.04, 0.4, 0.32, 0.62, "pink")
    _eyes(pen, 0.18, 0.26, 0.07, 0.06)


def _sheep(pen: Pen, color: str) -> None:
    for x in (0.34, 0.5, 0.68, 0.82):
        pen.rect(x - 0.03, 0.7, x + 0.03, 1.0, "black")
    for x, y in (
        (0.34, 0.45),
        (0.5, 0.32),
        (0.66, 0.32),
        (0.82, 0.45),
        (0.42, 0.62),
        (0.6, 0.6),
        (0.78, 0.62),
    ):
        pen.oval(x - 0.17, y - 0.19, x + 0.17, y + 0.19, (240, 236, 226))
    pen.oval(0.0, 0.26, 0.3, 0.62, "black")
    _eyes(pen, 0.14, 0.4, 0.06, 0.02)
    for x in (0.09, 0.2):
        pen.oval(x - 0.035, 0.36, x + 0.035, 0.46, "white")


def _horse(pen: Pen, color: str) -> None:
    pen.line("black", 0.08, 0.9, 0.4, 0.98, 0.75)
    _four_legs(pen, (150, 76, 30), (120, 58, 22), 0.36)
    pen.poly((150, 76, 30), 0.2, 0.6, 0.12, 0.1, 0.3, 0.05, 0.46, 0.45)
    pen.poly((150, 76, 30), 0.0, 0.3, 0.14, 0.06, 0.3, 0.14, 0.08, 0.44)
    pen.line("black", 0.09, 0.27, 0.03, 0.4, 0.36)
    pen.poly((150, 76, 30), 0.16, 0.1, 0.19, 0.0, 0.25, 0.1)
    _eyes(pen, 0.15, 0.19)


def _rabbit(pen: Pen, color: str) -> None:
    for x in (0.3, 0.55):
        pen.oval(x - 0.09, 0.0, x + 0.09, 0.5, (226, 220, 214))
        pen.oval(x - 0.04, 0.07, x + 0.04, 0.45, "pink")
    pen.oval(0.2, 0.5, 0.9, 1.0, (226, 220, 214))
    pen.oval(0.82, 0.7, 1.0, 0.88, "white")
    pen.oval(0.12, 0.3, 0.72, 0.76, (226, 220, 214))
    _eyes(pen, 0.42, 0.48, 0.12, 0.08)
    pen.oval(0.37, 0.56, 0.47, 0.64, "pink")
    pen.rect(0.39, 0.66, 0.45, 0.74, "white")


def _bear(pen: Pen, color: str) -> None:
    fur = (92, 58, 34)
    _four_legs(pen, fur, fur, 0.28)
    pen.oval(0.3, 0.14, 0.95, 0.75, fur)
    for x in (0.06, 0.36):
        pen.oval(x - 0.06, 0.04, x + 0.09, 0.24, fur)
    pen.oval(0.0, 0.08, 0.48, 0.6, fur)
    pen.oval(0.08, 0.34, 0.34, 0.58, "tan")
    pen.oval(0.14, 0.36, 0.27, 0.46, "black")
    _eyes(pen, 0.22, 0.26, 0.1, 0.06)


def _penguin(pen: Pen, color: str) -> None:
    pen.oval(0.18, 0.0, 0.82, 0.98, "black")
    pen.oval(0.3, 0.3, 0.7, 0.95, "white")
    for x in (0.36, 0.64):
        pen.oval(x - 0.12, 0.12, x + 0.12, 0.34, "white")
    _eyes(pen, 0.5, 0.22, 0.11, 0.07)
    pen.poly("orange", 0.4, 0.3, 0.6, 0.3, 0.5, 0.44)
    pen.oval(0.04, 0.36, 0.24, 0.76, "black")
    pen.oval(0.76, 0.36, 0.96, 0.76, "black")
    pen.oval(0.24, 0.9, 0.48, 1.0, "orange")
    pen.oval(0.52, 0.9, 0.76, 1.0, "orange")


def _elephant(pen: Pen, color: str) -> None:
    skin = (142, 152, 172)
    for x in (0.36, 0.52, 0.72, 0.88):
        pen.rect(x - 0.07, 0.6, x + 0.07, 1.0, mix(skin, PAINTS["black"], 0.15), 0.03)
    pen.oval(0.26, 0.12, 1.0, 0.82, skin)
    pen.line(skin, 0.12, 0.1, 0.4, 0.07, 0.92)
    pen.oval(0.04, 0.08, 0.44, 0.6, skin)
    pen.oval(0.3, 0.06, 0.6, 0.64, mix(skin, PAINTS["black"], 0.25))
    pen.line("white", 0.05, 0.18, 0.56, 0.26, 0.7)
    _eyes(pen, 0.18, 0.28, 0, 0.07)


def _duck(pen: Pen, color: str) -> None:
    pen.poly("yellow", 0.8, 0.6, 1.0, 0.38, 0.95, 0.75)
    pen.oval(0.2, 0.42, 0.96, 0.96, "yellow")
    pen.oval(0.12, 0.04, 0.52, 0.52, "yellow")
    pen.poly("orange", 0.14, 0.22, 0.0, 0.34, 0.16, 0.4)
    pen.oval(0.45, 0.55, 0.85, 0.82, "gold")
    _eyes(pen, 0.26, 0.22, 0, 0.08)
    pen.rect(0.5, 0.92, 0.6, 1.0, "orange")


def _fox(pen: Pen, color: str) -> None:
    pen.oval(0.72, 0.2, 1.0, 0.66, "fox")
    pen.oval(0.82, 0.16, 1.0, 0.4, "white")
    _four_legs(pen, "fox", "black", 0.46)
    pen.poly("fox", 0.06, 0.3, 0.06, 0.0, 0.22, 0.18)
    pen.poly("fox", 0.44, 0.3, 0.44, 0.0, 0.28, 0.18)
    pen.poly("fox", 0.02, 0.2, 0.48, 0.2, 0.4, 0.52, 0.25, 0.68, 0.1, 0.52)
    pen.poly("white", 0.04, 0.4, 0.2, 0.44, 0.25, 0.68, 0.3, 0.44, 0.46, 0.4, 0.25, 0.66)
    _eyes(pen, 0.25, 0.33, 0.09, 0.06)
    pen.oval(0.21, 0.58, 0.29, 0.68, "black")


def _mouse(pen: Pen, color: str) -> None:
    pen.line("pink", 0.06, 0.8, 0.85, 1.0, 0.6)
    pen.oval(0.2, 0.35, 0.9, 1.0, (170, 164, 172))
    pen.oval(0.02, 0.4, 0.5, 0.95, (170, 164, 172))
    pen.oval(0.2, 0.05, 0.56, 0.5, "pink")
    pen.oval(0.0, 0.6, 0.1, 0.74, "pink")
    _eyes(pen, 0.2, 0.6, 0, 0.1)


def _goat(pen: Pen, color: str) -> None:
    hair = (236, 228, 214)
    _four_legs(pen, hair, (190, 176, 156), 0.4)
    pen.line("brown", 0.06, 0.8, 0.3, 0.88, 0.0)
    pen.line("brown", 0.06, 0.88, 0.3, 0.98, 0.06)
    pen.poly(hair, 0.7, 0.24, 0.98, 0.26, 1.0, 0.6, 0.84, 0.72, 0.7, 0.6)
    pen.poly("grey", 0.86, 0.66, 0.96, 0.62, 0.9, 0.9)
    _eyes(pen, 0.86, 0.4, 0, 0.07)


def _owl(pen: Pen, color: str) -> None:
    pen.oval(0.05, 0.1, 0.95, 1.0, (120, 84, 60))
    pen.poly((120, 84, 60), 0.1, 0.3, 0.08, 0.0, 0.4, 0.2)
    pen.poly((120, 84, 60), 0.9, 0.3, 0.92, 0.0, 0.6, 0.2)
    for x in (0.32, 0.68):
        pen.oval(x - 0.22, 0.2, x + 0.22, 0.62, "white")
        pen.oval(x - 0.1, 0.3, x + 0.1, 0.52, "black")
    pen.poly("orange", 0.42, 0.55, 0.58, 0.55, 0.5, 0.74)


def _bee(pen: Pen, color: str) -> None:
    pen.oval(0.3, 0.0, 0.6, 0.5, (214, 236, 250))
    pen.oval(0.5, 0.0, 0.8, 0.48, (214, 236, 250))
    pen.oval(0.05, 0.35, 1.0, 0.95, "yellow")
    for x in (0.36, 0.58, 0.78):
        pen.rect(x - 0.055, 0.38, x + 0.055, 0.93, "black", 0.03)
    _eyes(pen, 0.2, 0.58, 0, 0.1)


def _bird(pen: Pen, color: str) -> None:
    pen.poly("navy", 0.3, 0.45, 0.55, 0.0, 0.75, 0.1, 0.6, 0.55)
    pen.oval(0.14, 0.35, 0.85, 0.8, "blue")
    pen.poly("navy", 0.78, 0.55, 1.0, 0.4, 1.0, 0.75)
    pen.oval(0.06, 0.25, 0.4, 0.62, "blue")
    pen.poly("orange", 0.08, 0.4, 0.0, 0.5, 0.1, 0.53)
    pen.oval(0.25, 0.55, 0.65, 0.8, "white")
    _eyes(pen, 0.2, 0.4, 0, 0.07)


def _tree(pen: Pen, color: str) -> None:
    pen.rect(0.4, 0.5, 0.6, 1.0, "brown", 0.04)
    for x, y, r in ((0.28, 0.42, 0.27), (0.72, 0.42, 0.27), (0.5, 0.26, 0.3), (0.5, 0.5, 0.28)):
        pen.oval(x - r, y - r * 0.85, x + r, y + r * 0.85, "deep")
    pen.oval(0.28, 0.3, 0.76, 0.56, (92, 62, 40))


def _flower(pen: Pen, color: str) -> None:
    pen.line("deep", 0.08, 0.5, 0.4, 0.5, 1.0)
    pen.oval(0.5, 0.62, 0.95, 0.78, "leaf")
    for x, y in ((0.5, 0.13), (0.24, 0.25), (0.76, 0.25), (0.33, 0.46), (0.67, 0.46)):
        pen.oval(x - 0.22, y - 0.13, x + 0.22, y + 0.13, (232, 70, 150))
    pen.oval(0.34, 0.2, 0.66, 0.4, "yellow")


def _grass(pen: Pen, color: str) -> None:
    for i in range(9):
        x = 0.06 + i * 0.11
        pen.poly(
            "leaf" if i % 2 else "deep",
            x - 0.07,
            1.0,
            x + 0.07,
            1.0,
            x + (0.08 if i % 2 else -0.08),
            0.0 if i % 3 else 0.25,
        )


def _cactus(pen: Pen, color: str) -> None:
    green = (46, 132, 74)
    pen.rect(0.36, 0.0, 0.64, 1.0, green, 0.14)
    pen.line(green, 0.17, 0.12, 0.3, 0.12, 0.55, 0.5, 0.6)
    pen.line(green, 0.17, 0.88, 0.2, 0.88, 0.45, 0.5, 0.5)
    for y in (0.12, 0.3, 0.48, 0.66, 0.84):
        for x in (0.43, 0.57):
            pen.line("cream", 0.025, x - 0.03, y, x + 0.03, y + 0.04)


def _potted_plant(pen: Pen, color: str) -> None:
    for x in (0.1, 0.3, 0.5, 0.7, 0.9):
        pen.line("leaf", 0.1, 0.5, 0.66, x, 0.08 + abs(x - 0.5) * 0.5)
    pen.poly((190, 92, 60), 0.22, 0.6, 0.78, 0.6, 0.68, 1.0, 0.32, 1.0)


def _mushroom(pen: Pen, color: str) -> None:
    pen.rect(0.36, 0.45, 0.64, 1.0, "cream", 0.1)
    pen.slice(0.05, 0.0, 0.95, 1.1, 180, 360, "red")
    for x, y, r in ((0.3, 0.35, 0.07), (0.55, 0.18, 0.08), (0.74, 0.4, 0.07)):
        pen.oval(x - r, y - r, x + r, y + r, "white")


CREATURES: dict[str, Callable[[Pen, str], None]] = {
    "dog": _dog, "cat": _cat, "cow": _cow, "sheep": _sheep, "horse": _horse, "rabbit": _rabbit, "bear": _bear,
    "penguin": _penguin,
    "elephant": _elephant, "duck": _duck, "fox": _fox, "mouse": _mouse, "goat": _goat,
    "owl": _owl, "bee": _bee, "bird": _bird,
    "tree": _tree, "flower": _flower, "grass": _grass, "cactus": _cactus, "potted plant": _potted_plant,
    "mushroom": _mushroom,
}  # fmt: skip
