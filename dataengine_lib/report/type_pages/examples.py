"""Examples of a question type (all steps): what was wrong, fixed, broken, kept and dropped, as cards of one gallery."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.records import UNKNOWN_IMAGE
from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.galleries.cards import Card, Option, Picture, alt_text, in_turn, option_texts
from dataengine_lib.report.galleries.gallery_data import GalleryData, cut_card
from dataengine_lib.report.galleries.pictures import Pictures
from dataengine_lib.report.type_pages.figures import each_against_the_next

if TYPE_CHECKING:
    import pandas as pd

ImageFile = Callable[[Mapping[str, Any]], Path]
"""The image file of a frame's row. Raises DataEngineError when it is not there."""

_MOST = 24  # examples of a type on the page
_MOST_TEXT = 1000  # characters of one text on an example
_ORDER = ("bad case, fixed", "bad case, still wrong", "bad case", "broken", "kept QA", "dropped QA")


class TypeExamples:
    """The examples of all types; an image that several of them show is one of `pictures`."""

    def __init__(
        self,
        bad_cases: "pd.DataFrame",
        comparison: "pd.DataFrame",
        records: "pd.DataFrame",
        image_file: ImageFile,
    ) -> None:
        """The frames are those of `load_run`."""
        self.pictures = Pictures()
        self._image_file = image_file
        self._rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in bad_cases.to_dict("records"):
            self._add(f"bad case, {row['outcome']}" if row["outcome"] else "bad case", row)
        steps = each_against_the_next(comparison)
        for row in steps[steps["outcome"] == "broken"].to_dict("records"):
            self._add("broken", row)
        for row in records.to_dict("records"):
            self._add("kept QA" if row["kept"] else "dropped QA", row)

    def of(self, question_type: str) -> GalleryData:
        """Examples of the type, of each kind in turn; images are added when all types were asked for."""
        groups = self._rows.get(question_type, {})
        named = [[(name, row) for row in groups[name]] for name in _ORDER if name in groups]
        rows = in_turn(named)[:_MOST]
        cards = [cut_card(self._card(name, row), _MOST_TEXT) for name, row in rows]
        total = sum(map(len, groups.values()))
        return GalleryData(total, filters=["what", "round"], cards=cards)

    def _add(self, name: str, row: dict[str, Any]) -> None:
        self._rows.setdefault(str(row["question_type"]), {}).setdefault(name, []).append(row)

    def _card(self, name: str, row: Mapping[str, Any]) -> Card:
        number = f"round {row['round']}" if "round" in row else f"{row['before']} to {row['after']}"
        dropped = name == "dropped QA"
        choices = row.get("choices")
        texts = option_texts(choices, dict(_marks(row))) if isinstance(choices, list) and choices else []
        return Card(
            id=str(row.get("record_id") or row.get("query_id") or row.get("question_id")),
            fault=str(row["reason"]) if dropped else "",
            picture=self._picture(row),
            question_type=f"{name}, {number}",
            question=str(row["question"]),
            options=texts or list(_answers(row)),
            notes=[note for note in (row.get("detail"), *(row.get("rationales") or [])[:1]) if note],
            text=str(row["raw_instructions"]) if dropped else "",
            values=[name, number],
        )

    def _picture(self, row: Mapping[str, Any]) -> Picture:
        text = str(row["question"])
        alt = alt_text(text) if text else f"Image {row['image_id'] or UNKNOWN_IMAGE}"
        try:
            return Picture(self.pictures.at(self._image_file(row)), alt)
        except DataEngineError as error:  # the image is not there any more, or leads out of its folder
            return Picture(self.pictures.missing(str(error)), alt)


def _marks(row: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """The marks of the choices by place, the right one last, as it also may be the student's."""
    if "predicted_choice_idx" in row:
        yield int(row["predicted_choice_idx"]), "✗ student"
    yield int(row["correct_choice_idx"]), "✓ right"


def _answers(row: Mapping[str, Any]) -> Iterator[Option]:
    """What was answered and what is right, where there are no choices or they are not known."""
    for column, mark in (
        ("model_answer", "student"),
        ("answer_before", "before"),
        ("answer_after", "after"),
    ):
        if row.get(column):
            yield Option(str(row[column]), mark)
    if row.get("right_answer"):
        yield Option(str(row["right_answer"]), "✓ right", "right")
