"""Colours of all charts: those that are drawn, and the CSS variables that stand for them in a light or dark page."""

import re

# Colours that colour-blind readers can tell apart; marker shapes and hatches differ as well.
# Source: Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
GREY, DARK = "#6b7280", "#111827"
PAPER, AXIS, TICK, GRID, ROW_LINE = "#ffffff", "#9ca3af", "#374151", "#e5e7eb", "#eef0f3"

# templates/displays.css gives each variable its colours, light and dark.
_VARIABLES = {
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    RED: "red",
    SKY: "sky",
    PURPLE: "purple",
    GREY: "grey",
    DARK: "dark",
    PAPER: "card",
    AXIS: "axis",
    TICK: "tick",
    GRID: "grid",
    ROW_LINE: "row",
}
_TAG = re.compile(r"<[^<>]+>")  # text between tags holds no < or >: both are escaped
_COLOR = re.compile("|".join(_VARIABLES))

# Colour and marker of the evaluation before training, after round 1, after round 2, …, in every chart and page.
_BEFORE = (GREY, "o")
_ROUNDS = ((BLUE, "D"), (ORANGE, "s"), (GREEN, "v"), (PURPLE, "^"), (SKY, "P"), (RED, "X"))


def round_style(number: int) -> tuple[str, str]:
    """Colour and marker of the evaluation after `number` rounds, 0 for the one before training; after 6 they repeat."""
    return _ROUNDS[(number - 1) % len(_ROUNDS)] if number else _BEFORE


def css_color(color: str) -> str:
    """The colour as CSS: its variable, and the colour itself where no style sheet sets that."""
    return f"var(--{_VARIABLES[color]}, {color})"


def themed(svg: str) -> str:
    """The SVG with variables for its colours: the page's style sheet has a light and a dark value for each."""
    return _TAG.sub(lambda tag: _COLOR.sub(lambda found: css_color(found[0]), tag[0]), svg)
