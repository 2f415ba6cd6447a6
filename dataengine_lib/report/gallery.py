"""Cards of the reports (all steps): images beside what was asked, answered, written or dropped.

All text comes from data sets, models and users: it is escaped, and image names stay inside their root.
"""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.data.files import inside
from dataengine_lib.data.records import LETTERS
from dataengine_lib.errors import DataEngineError

SIDE = 300  # pixels of the longer side in a report


@dataclass(frozen=True)
class Html:
    """A piece of a report that notebooks display."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def image_tag(path: Path | None, alt: str) -> str:
    """An `img` with the picture in it, reduced; a card with the reason where it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path is None:
        return '<div class="no-image">no image</div>'
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return f'<div class="no-image">{html.escape(f"{path.name} cannot be read: {type(error).__name__}")}</div>'
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=82)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(alt, quote=True)}" loading="lazy">'


def _find(root: Path | None, name: str) -> Path | None:
    if root is None or not name:
        return None
    try:
        return inside(root, name)
    except DataEngineError:
        return None  # a name that leads outside is shown as 'no image', never opened


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _kind(question_type: str) -> str:
    return f'<span class="kind">{_text(question_type.replace("_", " "))}</span>'


def options(choices: Sequence[str], right: int, said: int = -1) -> str:
    """The choices as a list, the right one and the student's one marked by sign and word, not by colour alone."""
    items = []
    for number, choice in enumerate(choices):
        mark, name = ("✓ right", "right") if number == right else ("✗ student", "wrong") if number == said else ("", "")
        sign = f' <b class="mark">{mark}</b>' if mark else ""
        items.append(f'<li class="{name}">({LETTERS[number]}) {_text(choice)}{sign}</li>')
    return f'<ul class="options">{"".join(items)}</ul>'


def cards(parts: Iterable[str]) -> Html:
    """Cards in rows that fit the page."""
    inner = "".join(f'<article class="card">{part}</article>' for part in parts)
    return Html(f'<div class="cards">{inner}</div>' if inner else '<p class="empty">Nothing to show.</p>')


def bad_case_gallery(bad_cases: Mapping[str, Sequence[Any]], image_root: Path, per_type: int = 2, most: int = 24) -> Html:
    """The first bad cases of every type, types with the most first."""
    parts = []
    for _, rows in sorted(bad_cases.items(), key=lambda row: -len(row[1])):
        for row in rows[:per_type]:
            picture = image_tag(_find(image_root, row.image_path), f"Image of the question: {row.question}")
            parts.append(f"{picture}<div>{_kind(row.question_type)}<p>{_text(row.question)}</p>"
                         f"{options(row.choices, row.correct_choice_idx, row.predicted_choice_idx)}</div>")  # fmt: skip
    return cards(parts[:most])


def query_gallery(previews: Sequence[Any], most: int = 8) -> Html:
    """A bad case's image, the pool images most like it, the image that was taken, and the prompt."""
    parts = []
    for shown in list(previews)[:most]:
        near = "".join(
            f'<figure class="small">{image_tag(path, "A similar image of the pool")}<figcaption>{similarity:.2f}</figcaption></figure>'
            for path, similarity in shown.neighbours[:4]
        )
        query = shown.query
        way = "among the neighbours" if query.neighbour else "at random"
        parts.append(
            f'<div class="pair"><figure>{image_tag(shown.anchor, "Image of the bad case")}<figcaption>bad case</figcaption></figure>'
            f'<figure>{image_tag(shown.image, "Image of the query")}<figcaption>asked about (drawn {way})</figcaption></figure></div>'
            f'<div>{_kind(query.question_type)}<div class="strip">{near}</div>'
            f"<details><summary>the prompt</summary><pre>{_text(query.prompt)}</pre></details></div>"
        )
    return cards(parts)


def qa_gallery(records: Sequence[Any], image_root: Path | None, per_type: int = 1, most: int = 18) -> Html:
    """Parsed QAs beside their images, some of every type."""
    shown: dict[str, int] = {}
    parts = []
    for row in records:
        if shown.setdefault(row.question_type, 0) >= per_type:
            continue
        shown[row.question_type] += 1
        picture = image_tag(_find(image_root, row.image_path), f"Image of the question: {row.question}")
        why = f'<p class="why">{_text(row.rationales[0])}</p>' if row.rationales else ""
        parts.append(f"{picture}<div>{_kind(row.question_type)}<p>{_text(row.question)}</p>"
                     f"{options(row.choices, row.correct_choice_idx)}{why}</div>")  # fmt: skip
    return cards(parts[:most])


def reply_gallery(results: Sequence[Any], image_root: Path | None, per_type: int = 1, most: int = 18) -> Html:
    """Raw replies as the teacher wrote them, beside their images."""
    shown: dict[str, int] = {}
    parts = []
    for row in results:
        if shown.setdefault(row.question_type, 0) >= per_type:
            continue
        shown[row.question_type] += 1
        picture = image_tag(_find(image_root, row.image_path), f"Image {row.image_id}")
        parts.append(f"{picture}<div>{_kind(row.question_type)}<pre>{_text(row.raw_instructions)}</pre></div>")
    return cards(parts[:most])


def reject_gallery(examples: Mapping[str, Sequence[Any]], per_reason: int = 2) -> Html:
    """Dropped replies by reason."""
    parts = []
    for reason, rows in examples.items():
        for row in rows[:per_reason]:
            parts.append(f"<div><b>{_text(reason)}</b> {_kind(row.question_type)}<p>{_text(row.detail)}</p>"
                         f"<pre>{_text(row.raw_instructions[:1200])}</pre></div>")  # fmt: skip
    return cards(parts)


def change_gallery(changes: Sequence[Any], image_root: Path | None, before: str, after: str, most: int = 8) -> Html:
    """Questions that one evaluation answers right and the other wrong."""
    parts = []
    for row in list(changes)[:most]:
        picture = image_tag(_find(image_root, row.image_path), f"Image of the question: {row.question}")
        parts.append(
            f"{picture}<div>{_kind(row.question_type)}<p>{_text(row.question)}</p>{options(row.choices, row.correct_choice_idx)}"
            f"<p>{_text(before)}: {_text(row.before)}<br>{_text(after)}: {_text(row.after)}</p></div>"
        )
    return cards(parts)


def table(rows: Sequence[Sequence[object]], head: Sequence[str], caption: str = "") -> Html:
    """A plain table; numbers to the right."""
    top = "".join(f"<th scope='col'>{_text(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td class="{"number" if isinstance(v, int | float) else ""}">{_cell(v)}</td>' for v in row) + "</tr>" for row in rows
    )
    title = f"<caption>{_text(caption)}</caption>" if caption else ""
    return Html(f'<table class="figures">{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>')


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:,.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else _text(value)


def conclusion(text: str) -> Html:
    """The one sentence that a reader should take away."""
    return Html(f'<p class="conclusion">{_text(text)}</p>')
