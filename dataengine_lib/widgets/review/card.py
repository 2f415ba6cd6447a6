"""Reviewer: the image and the texts of one record as HTML; every text comes from data and models, and is escaped."""

from dataengine_lib.core.records import LETTERS, TrainRecord, shows_options
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.counts import right_place
from dataengine_lib.curation.reviews.decisions import Decision, disagreement
from dataengine_lib.errors import DataEngineError
from dataengine_lib.frames.records import failed_checks
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.report.tables import displayed, escaped
from dataengine_lib.widgets.pictures import LARGE, jpeg_data
from dataengine_lib.widgets.review.images import ReadImage
from dataengine_lib.widgets.review.queue import ReviewItem
from dataengine_lib.widgets.review.session import shown_fields

_MOST_CHARACTERS = 6000  # of a reply
_CHECKS = {
    "box_check": "boxes contradict the answer",
    "leaks": "shares an image or a question with the evaluation",
    "near_duplicates": "nearly the same question on the same image",
    "second_answer": "second readers give another answer",
    "blind_answer": "readers answer it without the image",
    "both_wrong": "neither student nor second readers find the answer",
}
# Colours of JupyterLab's theme, light or dark; others stand in where the page has none.
REVIEWER_STYLE = """
.dataengine-keys:focus { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 2px; }
.dataengine-card { color: var(--jp-ui-font-color1, inherit); font-size: 15px; line-height: 1.45; overflow-wrap: anywhere; }
.dataengine-card img { display: block; max-width: 100%; max-height: 70vh; width: auto; height: auto;
  object-fit: contain; object-position: left top; }
.dataengine-card p { margin: 0 0 .5em; }
.dataengine-card .question { font-size: 1.25em; font-weight: 600; }
.dataengine-card ul { list-style: none; margin: 0 0 .6em; padding: 0; }
.dataengine-card li { padding: .15em .5em; border-left: 4px solid transparent; }
.dataengine-card li.right { border-color: var(--jp-success-color1, #2e7d32); font-weight: 600; }
.dataengine-card .chip { display: inline-block; border: 1px solid currentColor; border-radius: 1em; padding: 0 .6em;
  margin: 0 .3em .3em 0; font-size: .85em; }
.dataengine-card .quiet { color: var(--jp-ui-font-color2, #555); font-size: .9em; }
.dataengine-card .no-image { border: 1px dashed currentColor; padding: 2em; text-align: center; }
.dataengine-card pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 .6em; }
"""


def image_html(item: ReviewItem, read: ReadImage) -> str:
    """The item's image, contained in the page, at most 1024 pixels wide or high; or why there is none."""
    row = item.record or item.reject
    assert row is not None
    try:
        image = read(row).copy()
    except DataEngineError as error:
        return _card(f'<div class="no-image">{escaped(error)}</div>')
    image.thumbnail((LARGE, LARGE))
    alt = escaped(f"Image of the question: {item.record.question}" if item.record else "Image of the query")
    # small pictures are enlarged
    wide = ' style="width:100%"' if image.width >= image.height else ' style="height:60vh"'
    return _card(f'<img src="{jpeg_data(image)}" alt="{alt}"{wide}>')


def texts_html(item: ReviewItem, decision: Decision | None, effects: bool = True) -> str:
    """The question with its options and what checks and readers say; of a dropped item the reason and the reply.

    With `effects`, a dropped item also says what a decision about it changes.
    """
    if item.record is not None:
        return _card(_record(item.record, decision))
    return _card(_reject(item.reject, item, effects)) if item.reject is not None else ""


def _record(record: TrainRecord, decision: Decision | None) -> str:
    fields = shown_fields(record, decision)
    if fields.choices:
        options = [
            _option(f"({letter}) {choice}", place == fields.correct_choice_idx)
            for place, (letter, choice) in enumerate(zip(LETTERS, fields.choices, strict=False))
        ]
    else:
        options = [_option(fields.short_answer, True)]
    reasons = "".join(f"<p>{escaped(reason)}</p>" for reason in fields.rationales)
    marks = "".join(_chip(f"⚠ {_CHECKS.get(check, check)}") for check in failed_checks(record))
    return (
        f"{_chip(record.question_type.replace('_', ' '))}{marks}"
        f'<p class="question">{escaped(fields.question)}</p><ul>{"".join(options)}</ul>{reasons}'
        f'<p class="quiet">{escaped(" ".join(filter(None, (other_answers(record), _blind(record)))))}</p>'
        f'<p class="quiet">{escaped(record.record_id)}</p>'
    )


def _reject(reject: Reject, item: ReviewItem, effects: bool) -> str:
    detail = f": {reject.detail}" if reject.detail else ""
    effect = "The reply gives no usable QA, so a decision about it is counted and changes nothing."
    if item.marked:
        effect = "Accept says that it should have been kept: it has an effect once its check has mode mark."
    elif reject.reason == Reason.REVIEWER.value:
        effect = "Accept, or clear the decision, to keep it when step 4 runs next."
    elif not item.name:
        effect = "This row has no id of its own, so no decision about it can be written."
    text = reject.raw_instructions
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"
    return (
        f"{_chip(reject.question_type.replace('_', ' '))}"
        f"<p><b>✗ dropped: {escaped(reject.reason)}</b>{escaped(detail)}</p>"
        f'<pre>{escaped(shown)}</pre><p class="quiet">{escaped(effect if effects else "")}</p>'
        f'<p class="quiet">{escaped(item.name or f"line {reject.line}")}</p>'
    )


def other_answers(record: TrainRecord) -> str:
    """What the second readers and the student that disagree with the teacher answer; empty where all agree."""
    named = [f"({letter})" for letter in LETTERS]
    if not shows_options(record.answer_kind):
        named = record.choices or ["the same", "something else"]
    given = [("student", record.student_answer), *record.second_answers.items()]
    texts = [
        f"{name}: {'cannot tell' if answer < 0 else named[answer]}"
        for name, answer in given
        if answer is not None and answer != right_place(record)
    ]
    pairs = (
        f" {disagreement(record):.0%} of the pairs of teacher and readers disagree."
        if len(record.second_answers) > 1
        else ""
    )
    return f"Other answers: {', '.join(texts)}.{pairs}" if texts else ""


def _blind(record: TrainRecord) -> str:
    if record.blind_score is None:
        return ""
    return (
        f"From the text alone, a classifier gives the right choice a probability of {record.blind_score:.2f}."
    )


def _option(text: str, right: bool) -> str:
    return f'<li class="right">✓ {escaped(text)}</li>' if right else f"<li>{escaped(text)}</li>"


def _chip(text: str) -> str:
    return f'<span class="chip">{escaped(text)}</span>' if text else ""


def _card(inner: str) -> str:
    return displayed(f'<div class="dataengine-card">{inner}</div>')
