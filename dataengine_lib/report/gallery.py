"""Galleries of the reports (all steps): cards with an image and its question, answer, reply or drop reason.

All text comes from data sets, models and users: it is escaped, and image names stay inside their root folder.
"""

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.references import image_file
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.report.names import cut_to_width
from dataengine_lib.report.tables import Html, escaped

_MAX_SIDE = 320  # pixels of the longer side of an image in a report
_KIND_WIDTH = 120  # columns of a type's name on a card
_MAX_CHARACTERS = 6000  # of a reply on a page
# What the student answered to an open-ended question: the row's field, its mark, and its look. Which of two evaluations
# was right is not part of the row.
_GIVEN_ANSWERS = (("model_answer", "student", "wrong"), ("before", "before", ""), ("after", "after", ""))


def bad_case_gallery(bad_cases: Mapping[str, Sequence[Any]], image_root: Path, most: int = 24) -> Html:
    """Bad cases with the right choice and the student's, one of each type in turn, the type with most cases first."""
    by_size = sorted(bad_cases.values(), key=lambda rows: -len(rows))
    # predicted_choice_idx is -1 for an answer that names no choice: then no choice is marked as the student's
    return cards(
        _question(row, image_root, {row.predicted_choice_idx: "✗ student", row.correct_choice_idx: "✓ right"})
        for row in _in_turn(by_size)[:most]
    )


def query_gallery(previews: Sequence[Any], most: int = 8) -> Html:
    """The bad case's image, the query's image, the pool images most similar to the bad case's, and the whole prompt."""
    parts = []
    for shown in list(previews)[:most]:
        query = shown.query
        near = "".join(
            _figure(path, "Pool image similar to the bad case's", f"{similarity:.2f}")
            for path, similarity in shown.neighbours[:4]
        )
        drawn = "a neighbour of it" if query.neighbour else "drawn at random"
        similar = f'<p class="why">Most similar in the pool, with cosine:</p><div class="strip">{near}</div>'
        example = '<p class="why">An example: no query of this type was drawn.</p>'
        summary = "the prompt, sent with the image" if query.attach_image else "the prompt"
        parts.append(
            f'{_kind(query.question_type)}{"" if shown.written else example}<div class="pair">'
            f"{_figure(shown.anchor, 'Image of the bad case', 'image of the bad case')}"
            f"{_figure(shown.image, 'Image of the query', f'image of the query, {drawn}')}</div>"
            f"{similar if near else ''}"
            f"<details><summary>{summary}</summary><pre>{escaped(query.prompt)}</pre></details>"
        )
    return cards(parts)


def reply_gallery(results: Sequence[Any], image_root: Path | None, most: int = 18) -> Html:
    """Raw replies of the teacher beside their images, one of each type in turn; those that skipped come last."""
    skipped: list[Any] = []
    written: list[Any] = []
    for row in _in_turn(_by_type(results)):
        (skipped if parse_result(row) is Reason.SKIPPED else written).append(row)
        if len(written) == most:  # the other replies of a large run need not be parsed
            break
    return cards(
        f"{_picture(image_root, row.image_path, f'Image {row.image_id}')}{_kind(row.question_type)}"
        f"<pre>{_long(row.raw_instructions)}</pre>"
        for row in [*written, *skipped][:most]
    )


def qa_gallery(records: Sequence[Any], image_root: Path | None, most: int = 18) -> Html:
    """Parsed QAs with their right choice and rationale beside their images, one of each type in turn."""
    return cards(
        _question(row, image_root, {row.correct_choice_idx: "✓ right"})
        + "".join(f'<p class="why">{escaped(reason)}</p>' for reason in row.rationales[:1])
        for row in _in_turn(_by_type(records))[:most]
    )


def reject_gallery(examples: Mapping[str, Sequence[Any]], per_reason: int = 2) -> Html:
    """Dropped replies, `per_reason` of each drop reason."""
    return cards(
        f'<p><b class="wrong">✗ {escaped(reason)}</b></p>{_kind(row.question_type)}'
        f'<p class="why">{escaped(row.detail)}</p><pre>{_long(row.raw_instructions)}</pre>'
        for reason, rows in examples.items()
        for row in rows[:per_reason]
    )


def change_gallery(changes: Sequence[Any], image_root: Path | None, most: int = 9) -> Html:
    """Questions answered right in only one of two evaluations, one of each type in turn."""
    parts = []
    for row in _in_turn(_by_type(changes))[:most]:
        marks = {row.correct_choice_idx: "✓ right"}
        for when, answer in (("before", row.before), ("after", row.after)):
            # -1 is the place of no choice: an answer that names none is not marked
            place = row.choices.index(answer) if answer in row.choices else -1
            marks[place] = f"{marks.get(place, '✗')} · {when}"
        parts.append(_question(row, image_root, marks))
    return cards(parts)


def cards(parts: Iterable[str]) -> Html:
    """Cards in a grid, as many to a row as the page is wide."""
    inner = "".join(f'<article class="card">{part}</article>' for part in parts)
    return Html(f'<div class="cards">{inner}</div>' if inner else '<p class="empty">Nothing to show.</p>')


def _image_tag(path: Path | None, alt: str) -> str:
    """An `img` element that contains the image, reduced in size; a box with the reason when it cannot be read."""
    if path is None:
        return '<div class="no-image">no image</div>'
    picture = decode_image(path)
    if isinstance(picture, str):
        why = f"{path.name} cannot be read ({picture})"
        return f'<div class="no-image">{escaped(why)}</div>'
    # inside the page as JPEG, so that one HTML file is the whole report
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=82)
    data = base64.b64encode(stream.getvalue()).decode()
    width, height = picture.size
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escaped(alt)}" width="{width}" height="{height}">'


def _picture(root: Path | None, name: str, alt: str) -> str:
    if root is None or not name:
        return _image_tag(None, alt)
    try:
        return _image_tag(image_file(root, name), alt)
    except DataEngineError as error:  # the name leads outside the root and is not opened
        return f'<div class="no-image">{escaped(error)}</div>'


def _figure(path: Path, alt: str, caption: str) -> str:
    return f"<figure>{_image_tag(path, alt)}<figcaption>{escaped(caption)}</figcaption></figure>"


def _question(row: Any, image_root: Path | None, marks: Mapping[int, str]) -> str:
    picture = _picture(image_root, row.image_path, f"Image of the question: {row.question}")
    asked = f'<p class="question">{escaped(row.question)}</p>'
    shown = options(row.choices, marks) if row.choices else _open_answers(row)
    return f"{picture}{_kind(row.question_type)}{asked}{shown}"


def _open_answers(row: Any) -> str:
    """The student's answers to an open-ended question, where there are any, and the accepted ones with their numbers."""
    accepted = Counter(filter(None, getattr(row, "direct_answers", []) or [getattr(row, "short_answer", "")]))
    items = [
        _answer_item(getattr(row, name) or "–", mark, look)
        for name, mark, look in _GIVEN_ANSWERS
        if hasattr(row, name)
    ]
    items += [
        _answer_item(f"{text} ×{count}" if count > 1 else text, "✓ accepted", "right")
        for text, count in accepted.most_common()
    ]
    return f'<ul class="options">{"".join(items)}</ul>'


def _answer_item(text: str, mark: str, look: str) -> str:
    shape = f' class="{look}"' if look else ""
    return f'<li{shape}>{escaped(text)} <b class="mark">{escaped(mark)}</b></li>'


def options(choices: Sequence[str], marks: Mapping[int, str]) -> str:
    """The choices as a list; `marks` by place begin with ✓ or ✗, so that nothing hangs on colour alone."""
    items = []
    for number, choice in enumerate(choices):
        mark = marks.get(number, "")
        look = ' class="right"' if mark.startswith("✓") else ' class="wrong"' if mark else ""
        label = f' <b class="mark">{escaped(mark)}</b>' if mark else ""
        items.append(f"<li{look}>({LETTERS[number % len(LETTERS)]}) {escaped(choice)}{label}</li>")
    return f'<ul class="options">{"".join(items)}</ul>'


def _kind(question_type: str) -> str:
    if not question_type:
        return ""
    name = question_type.replace("_", " ")
    short = cut_to_width(name, _KIND_WIDTH)
    whole = "" if short == name else f' title="{escaped(name[:_MAX_CHARACTERS])}"'
    return f'<span class="kind"{whole}>{escaped(short)}</span>'


def _long(text: str) -> str:
    return escaped(text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …")


def _by_type(rows: Iterable[Any]) -> list[list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.question_type, []).append(row)
    return list(found.values())


def _in_turn(groups: Iterable[Sequence[Any]]) -> list[Any]:
    """The first of every group, then the second of every group, and so on."""
    return [row for turn in zip_longest(*groups) for row in turn if row is not None]
