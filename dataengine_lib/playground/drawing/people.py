"""Draws the playground's people: the outfit shows the role, the pose the action, the face the mood."""

from dataengine_lib.playground.drawing.pen import PAINTS, Color, Pen, mix
from dataengine_lib.playground.world import Person

# role -> coat, trousers
_OUTFITS: dict[str, tuple[str | Color, str | Color]] = {
    "chef": ("white", "grey"), "doctor": ("white", "sky"), "firefighter": ((70, 40, 34), (70, 40, 34)),
    "police officer": ("navy", "navy"),
    "farmer": ("red", (60, 96, 170)), "builder": ("orange", (96, 84, 70)), "painter": ((150, 206, 200), "brown"),
    "football player": ("white", "black"),
}  # fmt: skip
_PLAIN = {
    "man": ("leaf", "dark"),
    "woman": ("purple", "wine"),
    "boy": ("sky", "navy"),
    "girl": ("pink", "red"),
}
_HAIR: dict[str, str | Color] = {"man": "brown", "woman": (96, 44, 20), "boy": "gold", "girl": (70, 36, 20)}


def draw_person(pen: Pen, person: Person, mood: str, social: str = "", second: bool = False) -> None:
    """One person in the pen's box; `social` poses the two people of a pair towards each other."""
    coat, trousers = _OUTFITS.get(person.role, _PLAIN[person.noun])
    if social == "teammates":
        coat, trousers = "yellow", "blue"
    if social == "doctor and patient":
        coat = (196, 222, 196) if second else "white"
    if person.action == "holding an umbrella":
        pen.slice(0.0, 0.0, 1.0, 0.44, 180, 360, "red")
        pen.slice(0.3, 0.0, 0.7, 0.44, 180, 360, "white")
        pen.line("dark", 0.05, 0.82, 0.2, 0.82, 0.6)
        pen = pen.into(0.05, 0.2, 0.95, 1.0)
    elif person.action == "lifting weights":
        pen = pen.into(0.05, 0.12, 0.95, 1.0)
    elif person.action == "jumping":
        pen.oval(0.2, 0.95, 0.8, 1.0, (90, 90, 90))
        pen = pen.into(0.0, 0.0, 1.0, 0.88)
    # from back to front
    _legs(pen, person.action, trousers)
    _arms(pen, person.action, coat, social, second, behind=True)
    _body(pen, person, coat, trousers, social, second)
    _head(pen, person, mood, social, second)
    _arms(pen, person.action, coat, social, second, behind=False)


def _legs(pen: Pen, action: str, trousers: str | Color) -> None:
    if action == "running":
        legs = ((0.46, 0.66, 0.2, 0.78, 0.1, 0.94), (0.54, 0.66, 0.78, 0.8, 0.74, 0.97))
    elif action == "jumping":
        legs = ((0.44, 0.66, 0.24, 0.8, 0.36, 0.95), (0.56, 0.66, 0.76, 0.8, 0.64, 0.95))
    else:
        legs = ((0.42, 0.66, 0.4, 0.8, 0.4, 0.95), (0.58, 0.66, 0.6, 0.8, 0.6, 0.95))
    for leg in legs:  # hip, knee, foot; then the shoe
        pen.line(trousers, 0.16, *leg)
        pen.line("black", 0.13, leg[4] - 0.04, leg[5] + 0.02, leg[4] + 0.06, leg[5] + 0.02)


def _body(
    pen: Pen, person: Person, coat: str | Color, trousers: str | Color, social: str, second: bool
) -> None:
    shade = mix(PAINTS[coat] if isinstance(coat, str) else coat, (0, 0, 0), 0.12)
    if person.noun in ("woman", "girl") and not person.role and social != "teammates":
        pen.poly(coat, 0.38, 0.34, 0.62, 0.34, 0.8, 0.76, 0.2, 0.76)
    pen.rect(0.28, 0.33, 0.72, 0.7, coat, 0.14)
    pen.line(shade, 0.02, 0.5, 0.38, 0.5, 0.66)
    role = person.role if not social or social == "doctor and patient" else ""
    if role == "chef":
        for y in (0.42, 0.5, 0.58):
            pen.oval(0.38, y, 0.44, y + 0.03, "black")
            pen.oval(0.56, y, 0.62, y + 0.03, "black")
        pen.poly("red", 0.36, 0.33, 0.64, 0.33, 0.5, 0.42)
    elif role == "doctor":
        pen.arc(0.34, 0.28, 0.66, 0.5, 0, 180, "dark", 0.06)
        pen.rect(0.57, 0.5, 0.63, 0.62, "red")
        pen.rect(0.52, 0.54, 0.68, 0.58, "red")
    elif role == "firefighter":
        for y in (0.44, 0.58):
            pen.rect(0.28, y, 0.72, y + 0.05, (230, 240, 60))
    elif role == "police officer":
        pen.oval(0.54, 0.4, 0.68, 0.48, "gold")
        pen.rect(0.28, 0.63, 0.72, 0.68, "black")
    elif role == "farmer":
        pen.rect(0.34, 0.46, 0.66, 0.7, trousers, 0.04)
        pen.line(trousers, 0.07, 0.36, 0.34, 0.38, 0.5)
        pen.line(trousers, 0.07, 0.64, 0.34, 0.62, 0.5)
    elif role == "builder":
        for x in (0.36, 0.6):
            pen.rect(x, 0.34, x + 0.06, 0.7, (236, 244, 90))
        pen.rect(0.28, 0.54, 0.72, 0.58, (236, 244, 90))
    elif role == "painter":
        for x, y, paint in (
            (0.38, 0.44, "red"),
            (0.6, 0.4, "yellow"),
            (0.54, 0.56, "blue"),
            (0.38, 0.6, "purple"),
        ):
            pen.oval(x - 0.05, y - 0.03, x + 0.05, y + 0.03, paint)
    elif role == "football player":
        for x in (0.3, 0.46, 0.62):
            pen.rect(x, 0.34, x + 0.08, 0.68, "green")
    elif social == "teammates":
        pen.line("blue", 0.07, 0.5, 0.42, 0.5, 0.62)


def _head(pen: Pen, person: Person, mood: str, social: str, second: bool) -> None:
    noun, hair = person.noun, _HAIR[person.noun]
    # long hair and plaits lie behind the face
    if noun == "woman":
        for x in (0.24, 0.64):
            pen.rect(x, 0.14, x + 0.12, 0.42, hair, 0.06)
    if noun == "girl":
        pen.oval(0.1, 0.12, 0.3, 0.28, hair)
        pen.oval(0.7, 0.12, 0.9, 0.28, hair)
    pen.oval(0.3, 0.1, 0.7, 0.34, "skin")
    pen.slice(0.28, 0.06, 0.72, 0.3, 180, 360, hair)
    for x in (0.42, 0.58):
        pen.oval(x - 0.035, 0.19, x + 0.035, 0.225, (255, 240, 90) if mood == "spooky" else "black")
    if mood in ("festive", "calm"):
        pen.arc(0.4, 0.21, 0.6, 0.3, 20, 160, "red", 0.045)
    elif mood == "gloomy":
        pen.arc(0.41, 0.27, 0.59, 0.34, 200, 340, "dark", 0.045)
    else:
        pen.oval(0.45, 0.26, 0.55, 0.315, "black")
    _hat(pen, person.role, social, second)


def _hat(pen: Pen, role: str, social: str, second: bool) -> None:
    if social == "doctor and patient" and second:
        pen.rect(0.28, 0.1, 0.72, 0.16, "white")
        pen.rect(0.54, 0.08, 0.62, 0.2, "red")
    elif social in ("teammates",):
        return
    elif role == "chef":
        pen.rect(0.32, 0.04, 0.68, 0.14, "white")
        for x in (0.36, 0.5, 0.64):
            pen.oval(x - 0.14, -0.03, x + 0.14, 0.09, "white", "silver")
    elif role == "doctor":
        pen.rect(0.3, 0.06, 0.7, 0.14, "white", 0.04)
        pen.rect(0.47, 0.065, 0.53, 0.135, "red")
        pen.rect(0.42, 0.09, 0.58, 0.11, "red")
    elif role == "firefighter":
        pen.slice(0.26, -0.02, 0.74, 0.28, 180, 360, "red")
        pen.rect(0.18, 0.12, 0.82, 0.155, "red")
        pen.oval(0.43, 0.02, 0.57, 0.11, "gold")
    elif role == "police officer":
        pen.rect(0.28, 0.03, 0.72, 0.13, "navy", 0.08)
        pen.rect(0.26, 0.12, 0.74, 0.15, "black")
        pen.oval(0.44, 0.04, 0.56, 0.11, "gold")
    elif role == "farmer":
        pen.slice(0.3, 0.0, 0.7, 0.24, 180, 360, (236, 200, 100))
        pen.oval(0.1, 0.09, 0.9, 0.16, (236, 200, 100))
    elif role == "builder":
        pen.slice(0.26, 0.0, 0.74, 0.26, 180, 360, "yellow")
        pen.rect(0.2, 0.12, 0.8, 0.145, "gold")
    elif role == "painter":
        pen.oval(0.2, 0.03, 0.72, 0.14, "wine")
        pen.oval(0.44, 0.01, 0.5, 0.05, "wine")
    elif role == "football player":
        pen.rect(0.28, 0.13, 0.72, 0.155, "green")


def _arm(pen: Pen, coat: str | Color, *points: float) -> None:
    pen.line(coat, 0.13, *points)
    pen.oval(points[-2] - 0.06, points[-1] - 0.03, points[-2] + 0.06, points[-1] + 0.03, "skin")


def _arms(pen: Pen, action: str, coat: str | Color, social: str, second: bool, behind: bool) -> None:
    """Arms and what they hold: empty arms are drawn behind the body, arms that hold something in front of it."""
    if social:
        if behind:
            _pair_arms(pen, coat, social, second)
        return
    left_down, right_down = (0.3, 0.4, 0.18, 0.52, 0.16, 0.62), (0.7, 0.4, 0.82, 0.52, 0.84, 0.62)
    if behind:
        if action == "waving":
            _arm(pen, coat, *left_down)
            _arm(pen, coat, 0.7, 0.4, 0.88, 0.32, 0.9, 0.1)
        elif action == "running":
            _arm(pen, coat, 0.3, 0.4, 0.1, 0.48, 0.22, 0.58)
            _arm(pen, coat, 0.7, 0.4, 0.88, 0.48, 0.94, 0.36)
        elif action == "jumping":
            _arm(pen, coat, 0.3, 0.4, 0.12, 0.24, 0.1, 0.06)
            _arm(pen, coat, 0.7, 0.4, 0.88, 0.24, 0.9, 0.06)
        elif action == "lifting weights":
            _arm(pen, coat, 0.3, 0.4, 0.14, 0.24, 0.2, 0.0)
            _arm(pen, coat, 0.7, 0.4, 0.86, 0.24, 0.8, 0.0)
            pen.line("dark", 0.05, 0.0, -0.04, 1.0, -0.04)
            for x in (0.0, 0.88):
                pen.rect(x - 0.03, -0.12, x + 0.15, 0.05, "black", 0.05)
        elif action == "holding an umbrella":
            _arm(pen, coat, *left_down)
            _arm(pen, coat, 0.7, 0.4, 0.86, 0.48, 0.86, 0.38)
        elif action == "":
            _arm(pen, coat, *left_down)
            _arm(pen, coat, *right_down)
    elif action == "reading":
        pen.poly("blue", 0.16, 0.4, 0.5, 0.46, 0.84, 0.4, 0.84, 0.57, 0.5, 0.63, 0.16, 0.57)
        pen.poly("white", 0.2, 0.38, 0.49, 0.44, 0.49, 0.6, 0.2, 0.54)
        pen.poly("white", 0.8, 0.38, 0.51, 0.44, 0.51, 0.6, 0.8, 0.54)
        _arm(pen, coat, 0.28, 0.4, 0.14, 0.52, 0.2, 0.56)
        _arm(pen, coat, 0.72, 0.4, 0.86, 0.52, 0.8, 0.56)
    elif action == "playing the guitar":
        pen.line((120, 70, 30), 0.08, 0.5, 0.54, 0.98, 0.32)
        pen.oval(0.08, 0.46, 0.5, 0.66, (214, 134, 50), "brown")
        pen.oval(0.36, 0.47, 0.62, 0.6, (214, 134, 50))
        pen.oval(0.28, 0.52, 0.4, 0.58, "black")
        _arm(pen, coat, 0.28, 0.4, 0.14, 0.5, 0.34, 0.56)
        _arm(pen, coat, 0.72, 0.4, 0.86, 0.5, 0.86, 0.38)
    elif action == "carrying a box":
        pen.rect(0.14, 0.42, 0.86, 0.66, (196, 148, 92), 0.02)
        pen.rect(0.45, 0.42, 0.55, 0.66, (232, 210, 160))
        _arm(pen, coat, 0.28, 0.4, 0.1, 0.52, 0.2, 0.62)
        _arm(pen, coat, 0.72, 0.4, 0.9, 0.52, 0.8, 0.62)


def _pair_arms(pen: Pen, coat: str | Color, social: str, second: bool) -> None:
    """Arms of two people: the first stands left of the second."""
    inner, outer = (0.3, 0.7) if second else (0.7, 0.3)
    edge = 0.0 if second else 1.0
    if social in ("parent and child", "couple"):
        _arm(pen, coat, inner, 0.42, (inner + edge) / 2, 0.52, edge, 0.55)
        _arm(pen, coat, outer, 0.42, 1 - (inner + edge) / 2, 0.52, 1 - edge * 0.9 - 0.05, 0.62)
    elif social == "teammates":
        _arm(pen, coat, inner, 0.42, edge, 0.36)
        _arm(pen, coat, outer, 0.42, 1 - edge * 0.84 - 0.08, 0.2)
    elif social == "doctor and patient":
        if second:
            _arm(pen, coat, outer, 0.42, 0.84, 0.56)
            pen.line("brown", 0.07, 0.94, 0.44, 0.94, 0.97)
            pen.line("brown", 0.07, 0.82, 0.44, 1.0, 0.44)
        else:
            _arm(pen, coat, inner, 0.42, edge, 0.46)
            _arm(pen, coat, outer, 0.42, 0.16, 0.6)
    elif second:
        _arm(pen, coat, outer, 0.42, 0.86, 0.3, 0.88, 0.1)
        _arm(pen, coat, inner, 0.42, 0.14, 0.6)
        pen.rect(0.02, 0.52, 0.26, 0.66, "blue")
    else:
        pen.line("brown", 0.05, 0.9, 0.36, 1.08, 0.06)
        _arm(pen, coat, inner, 0.42, 0.92, 0.36)
        _arm(pen, coat, outer, 0.42, 0.16, 0.6)
