"""Draws shapes for the playground: coordinates are 0 to 1 inside a box, colours are names or RGB."""

from typing import Any

from PIL import ImageDraw

from dataengine_lib.playground.world import Box

Color = tuple[int, int, int]
PAINTS: dict[str, Color] = {
    "red": (222, 48, 48), "blue": (44, 104, 224), "green": (40, 164, 72), "yellow": (250, 208, 38),
    "orange": (246, 132, 32),
    "purple": (140, 70, 196), "pink": (246, 130, 182), "white": (248, 248, 248), "black": (34, 34, 40),
    "grey": (140, 146, 154),
    "dark": (70, 74, 84), "brown": (136, 86, 46), "tan": (214, 168, 112), "cream": (252, 238, 206),
    "skin": (244, 196, 160),
    "navy": (32, 46, 100), "leaf": (72, 158, 66), "deep": (34, 104, 58), "sky": (150, 208, 240),
    "silver": (190, 200, 212),
    "gold": (232, 180, 40), "water": (70, 140, 206), "beige": (232, 214, 178), "fox": (224, 110, 40),
    "wine": (126, 30, 52),
}  # fmt: skip


def mix(one: Color, other: Color, share: float) -> Color:
    """A colour between two: `share` of it, 0 to 1, is the other one."""
    r, g, b = (round(a * (1 - share) + z * share) for a, z in zip(one, other, strict=True))
    return r, g, b


class Pen:
    """Draws into one box of a picture; `width` is the side of the whole square picture in pixels.

    In all methods x and y are shares of the box, and line widths are shares of its width.
    """

    def __init__(self, draw: ImageDraw.ImageDraw, width: int, box: Box = (0, 0, 1, 1)):
        self.draw, self.width, self.box = draw, width, box

    def into(self, x0: float, y0: float, x1: float, y1: float) -> "Pen":
        """A pen for a part of this pen's box."""
        left, top = self._at(x0, y0)
        right, bottom = self._at(x1, y1)
        w = self.width
        return Pen(self.draw, w, (left / w, top / w, right / w, bottom / w))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x * (x1 - x0)) * self.width, (y0 + y * (y1 - y0)) * self.width

    def _paint(self, color: str | Color | None) -> Any:
        return PAINTS[color] if isinstance(color, str) else color

    def _thick(self, width: float) -> int:
        return max(1, round(width * self.width * (self.box[2] - self.box[0])))

    def oval(
        self, x0: float, y0: float, x1: float, y1: float, color: str | Color, edge: str | Color | None = None
    ) -> None:
        """A filled ellipse in the box given, with an outline if it has an edge colour."""
        self.draw.ellipse(
            [self._at(x0, y0), self._at(x1, y1)], self._paint(color), self._paint(edge), self._thick(0.03)
        )

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, color: str | Color, round_by: float = 0.0
    ) -> None:
        """A filled rectangle; `round_by` is the radius of its corners."""
        self.draw.rounded_rectangle(
            [self._at(x0, y0), self._at(x1, y1)], self._thick(round_by) if round_by else 0, self._paint(color)
        )

    def poly(self, color: str | Color, *points: float) -> None:
        """A filled polygon through points given as x, y, x, y, …"""
        self.draw.polygon(
            [self._at(x, y) for x, y in zip(points[::2], points[1::2], strict=True)], self._paint(color)
        )

    def line(self, color: str | Color, width: float, *points: float) -> None:
        """A line with round ends through points given as x, y, x, y, …"""
        corners = [self._at(x, y) for x, y in zip(points[::2], points[1::2], strict=True)]
        thick = self._thick(width)
        self.draw.line(corners, self._paint(color), thick, joint="curve")
        for x, y in (corners[0], corners[-1]):
            self.draw.ellipse(
                [x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], self._paint(color)
            )

    def arc(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        start: float,
        end: float,
        color: str | Color,
        width: float = 0.04,
    ) -> None:
        """A part of an ellipse's outline, from angle `start` to `end` in degrees, clockwise from the right."""
        self.draw.arc(
            [self._at(x0, y0), self._at(x1, y1)], start, end, self._paint(color), self._thick(width)
        )

    def slice(
        self, x0: float, y0: float, x1: float, y1: float, start: float, end: float, color: str | Color
    ) -> None:
        """A filled slice of an ellipse, angles as in `arc`."""
        self.draw.pieslice([self._at(x0, y0), self._at(x1, y1)], start, end, self._paint(color))
