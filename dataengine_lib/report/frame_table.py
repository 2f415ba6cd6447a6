"""A DataFrame as a table of a report or a notebook (all steps): bars of intervals, chips of types, thumbnails."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.galleries.cards import alt_text
from dataengine_lib.report.galleries.pictures import NO_IMAGE_WORDS, Pictures
from dataengine_lib.report.tables import Html, percent, table

if TYPE_CHECKING:
    import pandas as pd

_THUMBNAIL_SIDE = 96  # pixels of the longer side
_ACCURACY = "accuracy"  # or diagnose_accuracy, with diagnose_low and diagnose_high beside it


def frame_table(
    frame: "pd.DataFrame",
    most: int = 40,
    caption: str = "",
    image_file: Callable[[Any], Path] | None = None,
) -> Html:
    """The first rows of a frame as a table: its texts are escaped, and missing numbers are dashes.

    Accuracies are percentages, in one column with their `low` and `high` where the frame has those. `image_file`, such as
    that of an opened run, gives the file of a row's image, whose thumbnail then stands first, in place of `image_id` and
    `image_path`; where it raises DataEngineError there is none. Columns with the same name are all shown.
    """
    # by their places: two columns may have one name, as in a join of two rounds, or as a number and its text
    names = [str(name) for name in frame.columns]
    rows = list(frame.head(most).itertuples(index=False, name=None))
    ends = _interval_columns(names)
    left_out = {place for pair in ends.values() for place in pair}
    if image_file is not None:
        left_out |= {place for place, name in enumerate(names) if name in ("image_id", "image_path")}
    places = [place for place in range(len(names)) if place not in left_out]
    shown = [names[place] for place in places]
    cells = [[_cell(row, place, names[place], ends.get(place)) for place in places] for row in rows]
    if image_file is not None:
        # of two columns with one name the first, as the file of an image is found by it
        by_name = [dict(zip(reversed(names), reversed(row), strict=True)) for row in rows]
        cells = [[image, *row] for image, row in zip(_thumbnails(by_name, image_file), cells, strict=True)]
        shown = ["image", *shown]
    more = f"the first {most:,} of {len(frame):,} rows" if len(frame) > most else ""
    return table(cells, shown, "; ".join(filter(None, [caption, more])))


def _interval_columns(names: Sequence[str]) -> dict[int, tuple[int, int]]:
    """The places of the interval's ends for each column with an accuracy that has both.

    Of columns with one name the first accuracy goes with the first ends, the second with the second.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    found: dict[int, tuple[int, int]] = {}
    for name, accuracies in places.items():
        if name.endswith(_ACCURACY):
            prefix = name.removesuffix(_ACCURACY)
            ends = zip(places.get(f"{prefix}low", []), places.get(f"{prefix}high", []), strict=False)
            found.update(zip(accuracies, ends, strict=False))
    return found


def _cell(row: Sequence[Any], place: int, name: str, ends: tuple[int, int] | None) -> object:
    value = _known(row[place])
    if name.endswith(_ACCURACY) and isinstance(value, float):
        return percent(value, *(_known(row[end]) for end in ends or ()))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " · ".join(str(one) for one in value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _known(value: Any) -> Any:
    """The value, None where it is missing."""
    import pandas as pd  # here, so that steps which show no frame do not wait for it

    # NaN is not itself
    return None if value is pd.NA or (isinstance(value, float) and value != value) else value


def _thumbnails(rows: Iterable[Mapping[str, Any]], image_file: Callable[[Any], Path]) -> Iterator[Html]:
    pictures = Pictures()
    for row in rows:
        try:
            place = pictures.at(image_file(row))
        except DataEngineError:  # of a run whose images are elsewhere: the rest of the row is worth showing
            place = pictures.missing(NO_IMAGE_WORDS)
        text = str(row.get("question") or row.get("image_path") or "")
        yield Html(pictures.jpeg_html(place, alt_text(text), _THUMBNAIL_SIDE))
