"""A DataFrame as a table of a report or a notebook (all steps): bars of intervals, chips of types, thumbnails."""

from collections.abc import Callable, Iterable, Iterator, Mapping
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
    `image_path`; where it raises DataEngineError there is none.
    """
    names = [str(name) for name in frame.columns]
    rows = [dict(zip(names, row, strict=True)) for row in frame.head(most).itertuples(index=False, name=None)]
    ends = {end for name in names for end in _ends_of(name) if _ends_of(name) <= {*names}}
    left_out = ends if image_file is None else ends | {"image_id", "image_path"}
    shown = [name for name in names if name not in left_out]
    cells = [[_cell(row, name) for name in shown] for row in rows]
    if image_file is not None:
        cells = [[image, *row] for image, row in zip(_thumbnails(rows, image_file), cells, strict=True)]
        shown = ["image", *shown]
    more = f"the first {most:,} of {len(frame):,} rows" if len(frame) > most else ""
    return table(cells, shown, "; ".join(filter(None, [caption, more])))


def _ends_of(name: str) -> set[str]:
    """The columns of an accuracy's interval; none for other columns."""
    prefix = name.removesuffix(_ACCURACY)
    return {f"{prefix}low", f"{prefix}high"} if name.endswith(_ACCURACY) else set()


def _cell(row: Mapping[str, Any], name: str) -> object:
    value = _known(row[name])
    if name.endswith(_ACCURACY) and isinstance(value, float):
        prefix = name.removesuffix(_ACCURACY)
        return percent(value, _known(row.get(f"{prefix}low")), _known(row.get(f"{prefix}high")))
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
