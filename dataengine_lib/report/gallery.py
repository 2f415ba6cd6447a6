"""Galleries of the reports (all steps): cards with an image and its question, answer, reply or drop reason.

All text comes from data sets, models and users: it is escaped, and image names stay inside their root folder.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import LETTERS, UNKNOWN_IMAGE
from dataengine_lib.frames.answers import confidence_of, question_id_of
from dataengine_lib.frames.records import failed_checks
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.report.galleries.cards import (
    Card,
    Option,
    Picture,
    alt_text,
    cards_html,
    in_turn,
    kind_words,
    option_texts,
    options_html,
)
from dataengine_lib.report.galleries.gallery_data import Gallery, make_gallery
from dataengine_lib.report.galleries.pictures import BoxesOf, Pictures
from dataengine_lib.report.tables import Html

_TYPE = "question type"
# What the student answered to an open-ended question: the row's field, its mark, and its look. Which of two evaluations
# was right is not part of the row.
_GIVEN_ANSWERS = (("model_answer", "student", "wrong"), ("before", "before", ""), ("after", "after", ""))


def bad_case_gallery(bad_cases: Mapping[str, Sequence[Any]], image_root: Path) -> Gallery:
    """Bad cases with the right choice and the student's, one of each type in turn, the type with most cases first."""
    pictures = Pictures()

    def card(row: Any) -> Card:
        # predicted_choice_idx is -1 for an answer that names no choice: then no choice is marked as the student's
        marks = {row.predicted_choice_idx: "✗ student", row.correct_choice_idx: "✓ right"}
        made = _question(row, image_root, marks, pictures)
        made.id = question_id_of(row)
        chosen = row.predicted_choice_idx
        named = f"({LETTERS[chosen % len(LETTERS)]})" if row.choices and chosen >= 0 else "no option"
        made.values = [kind_words(row.question_type), named]
        made.figures = [confidence_of(row)]
        return made

    by_size = sorted(bad_cases.values(), key=lambda rows: -len(rows))
    rows = in_turn(by_size)
    return make_gallery(rows, card, pictures, filters=[_TYPE, "student's letter"], orders=["confidence"])


def query_gallery(previews: Sequence[Any], boxes: BoxesOf | None = None) -> Gallery:
    """The bad case's image, the query's image, the pool images most similar to the bad case's, and the whole prompt."""
    pictures = Pictures(boxes)

    def card(shown: Any) -> Card:
        query = shown.query
        drawn = "a neighbour of it" if query.neighbour else "drawn at random"
        image = pictures.at(shown.image, getattr(query, "image_id", None))
        pair = [
            Picture(pictures.at(shown.anchor), "Image of the bad case", "image of the bad case"),
            Picture(image, "Image of the query", f"image of the query, {drawn}"),
        ]
        near = [
            Picture(pictures.at(path), "Pool image similar to the bad case's", f"{similarity:.2f}")
            for path, similarity in shown.neighbours[:4]
        ]
        return Card(
            id=getattr(query, "query_id", ""),
            pair=pair,
            near=near,
            question_type=query.question_type,
            notes=[] if shown.written else ["An example: no query of this type was drawn."],
            values=[kind_words(query.question_type), drawn],
            figures=[getattr(query, "similarity", None)],
        )

    sent = any(shown.query.attach_image for shown in previews)
    return make_gallery(
        previews,
        card,
        pictures,
        filters=[_TYPE, "image"],
        orders=["similarity of the images"],
        folded="the prompt, sent with the image" if sent else "the prompt",
        folded_text=lambda shown: str(shown.query.prompt),
        first=8,
    )


def reply_gallery(results: Sequence[Any], image_root: Path | None) -> Gallery:
    """Raw replies of the teacher beside their images, one of each type in turn; those that skipped come last."""
    pictures = Pictures()
    states = {id(row): _reply_state(row) for row in results}

    def card(row: Any) -> Card:
        return Card(
            id=row.query_id,
            picture=_picture(row, image_root, f"Image {row.image_id}", pictures),
            question_type=row.question_type,
            text=row.raw_instructions,
            values=[kind_words(row.question_type), states[id(row)]],
        )

    rows = sorted(in_turn(_by_type(results)), key=lambda row: states[id(row)] == _SKIPPED)
    return make_gallery(rows, card, pictures, filters=[_TYPE, "reply"])


_SKIPPED = "skipped"


def _reply_state(row: Any) -> str:
    found = parse_result(row)
    if not isinstance(found, Reason):
        return "can be read"
    return _SKIPPED if found is Reason.SKIPPED else found.value


def qa_gallery(records: Sequence[Any], image_root: Path | None, boxes: BoxesOf | None = None) -> Gallery:
    """Parsed QAs with their right choice and rationale beside their images, one of each type in turn."""
    pictures = Pictures(boxes)

    def card(row: Any) -> Card:
        made = _question(row, image_root, {row.correct_choice_idx: "✓ right"}, pictures)
        made.id = getattr(row, "record_id", "")
        made.notes = list(row.rationales[:1])
        right = row.correct_choice_idx
        letter = f"({LETTERS[right % len(LETTERS)]})" if row.choices else "no letter"
        made.values = [kind_words(row.question_type), letter, _checks(row)]
        made.figures = [getattr(row, "student_probability", None), getattr(row, "blind_score", None)]
        return made

    return make_gallery(
        in_turn(_by_type(records)),
        card,
        pictures,
        filters=[_TYPE, "right letter", "checks"],
        orders=["student's probability of the right option", "probability by the words alone"],
    )


def _checks(row: Any) -> str:
    failed = failed_checks(row) if hasattr(row, "box_check") else []
    return f"marked by {', '.join(failed)}" if failed else "passed"


def reject_gallery(rejects: Sequence[Any], image_root: Path | None, boxes: BoxesOf | None = None) -> Gallery:
    """Dropped replies and QAs with their images, one of each reason in turn."""
    pictures = Pictures(boxes)

    def card(row: Any) -> Card:
        return Card(
            id=row.record_id or row.query_id,
            fault=row.reason,
            picture=_picture(row, image_root, f"Image {row.image_id}", pictures),
            question_type=row.question_type,
            notes=[row.detail] if row.detail else [],
            text=row.raw_instructions,
            values=[row.reason, kind_words(row.question_type)],
        )

    by_reason: dict[str, list[Any]] = {}
    for row in rejects:
        by_reason.setdefault(row.reason, []).append(row)
    return make_gallery(in_turn(by_reason.values()), card, pictures, filters=["reason", _TYPE])


def change_gallery(changes: Sequence[Any], image_root: Path | None) -> Gallery:
    """Questions answered right in only one of two evaluations, one of each type in turn."""
    pictures = Pictures()

    def card(row: Any) -> Card:
        return change_card(row, image_root, pictures)

    return make_gallery(in_turn(_by_type(changes)), card, pictures, filters=[_TYPE])


def change_card(row: Any, image_root: Path | None, pictures: Pictures) -> Card:
    """A question with the answers of two evaluations and the right one; its image is one of `pictures`."""
    marks = {row.correct_choice_idx: "✓ right"}
    for when, answer in (("before", row.before), ("after", row.after)):
        # -1 is the place of no choice: an answer that names none is not marked
        place = row.choices.index(answer) if answer in row.choices else -1
        marks[place] = f"{marks.get(place, '✗')} · {when}"
    made = _question(row, image_root, marks, pictures)
    made.id, made.values = row.question_id, [kind_words(row.question_type)]
    return made


def cards(parts: Iterable[str]) -> Html:
    """Cards in a grid, as many to a row as the page is wide."""
    return Html(cards_html(f'<article class="card">{part}</article>' for part in parts))


def options(choices: Sequence[str], marks: Mapping[int, str]) -> str:
    """The choices as a list; `marks` by place begin with ✓ or ✗, so that nothing hangs on colour alone."""
    return options_html(option_texts(choices, dict(marks)))


def _question(row: Any, image_root: Path | None, marks: dict[int, str], pictures: Pictures) -> Card:
    return Card(
        picture=_picture(row, image_root, alt_text(row.question), pictures),
        question_type=row.question_type,
        question=row.question,
        options=option_texts(row.choices, marks) if row.choices else _open_answers(row),
    )


def _picture(row: Any, image_root: Path | None, alt: str, pictures: Pictures) -> Picture:
    image_id = getattr(row, "image_id", None)
    known = None if image_id == UNKNOWN_IMAGE else image_id
    return Picture(pictures.named(image_root, row.image_path, known), alt)


def _open_answers(row: Any) -> list[Option]:
    """The student's answers to an open-ended question, where there are any, and the accepted ones with their numbers."""
    accepted = Counter(filter(None, getattr(row, "direct_answers", []) or [getattr(row, "short_answer", "")]))
    given = [
        Option(getattr(row, name) or "–", mark, look)
        for name, mark, look in _GIVEN_ANSWERS
        if hasattr(row, name)
    ]
    return given + [
        Option(f"{text} ×{count}" if count > 1 else text, "✓ accepted", "right")
        for text, count in accepted.most_common()
    ]


def _by_type(rows: Iterable[Any]) -> list[list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.question_type, []).append(row)
    return list(found.values())
