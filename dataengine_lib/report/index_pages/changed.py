"""Questions that were fixed and broken, with their images, on a run's index page (step 6): a few of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.evaluation.rounds.figures import ChangedAnswer, Comparison
from dataengine_lib.report.galleries.cards import card_html, cards_html, in_turn
from dataengine_lib.report.galleries.pictures import Pictures
from dataengine_lib.report.gallery import change_card

_FIRST = 3  # of each; they fill a row of the page


def changed_cards(compared: Comparison, image_root: Path | None, run: str) -> list[dict[str, Any]]:
    """Heading, numbers and cards of what was fixed and what was broken; left out where there is none.

    One question of each type in turn, the type with most of them first. `run` is the folder in commands.
    """
    parts = (("Fixed", compared.fixed), ("Broken", compared.broken))
    return [
        {
            "name": name,
            "words": "wrong before, right after the last round"
            if name == "Fixed"
            else "right before, wrong after the last round",
            "shown": min(_FIRST, len(changes)),
            "total": len(changes),
            "cards": _cards(changes, image_root, run),
        }
        for name, changes in parts
        if changes
    ]


def _cards(changes: Sequence[ChangedAnswer], image_root: Path | None, run: str) -> str:
    pictures = Pictures()
    by_type: dict[str, list[ChangedAnswer]] = {}
    for change in changes:
        by_type.setdefault(change.question_type, []).append(change)
    most_first = sorted(by_type.values(), key=lambda rows: -len(rows))
    made = [change_card(row, image_root, pictures) for row in in_turn(most_first)[:_FIRST]]
    return cards_html(
        card_html(card, lambda one: pictures.jpeg_html(one.image, one.alt), "", [], run) for card in made
    )
