"""Reviewer: the filters, fields and buttons in JupyterLab, and what they do to the session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dataengine_lib.core.records import LETTERS, MOST_CHOICES, OPEN, YES_NO
from dataengine_lib.curation.reviews.decisions import Decision
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.tables import escaped
from dataengine_lib.widgets.keys import KEYS, key_class
from dataengine_lib.widgets.lab_form import action_button, narrow_field
from dataengine_lib.widgets.review.card import REVIEWER_STYLE, image_html, texts_html
from dataengine_lib.widgets.review.filters import FilterControls
from dataengine_lib.widgets.review.images import ReadImage
from dataengine_lib.widgets.review.queue import ReviewItem
from dataengine_lib.widgets.review.session import EditedFields, ReviewSession, edit_of, shown_fields

_HELP = (
    "Keys, after a click on the image, or Esc in a field: A accept, R reject, E edit, U undo, ← →. In a text field: "
    "Ctrl+Enter saves the edit."
)


class ReviewForm:
    """The form over a session; `box` is the widget."""

    def __init__(self, session: ReviewSession, read_image: ReadImage) -> None:
        import ipywidgets as w

        self.session, self.read_image = session, read_image
        self._item: ReviewItem | None = None  # the one that image and fields show
        self._filled: EditedFields | None = None  # what the fields held when they were filled
        self._busy = False  # fields are being filled, which is no act of a person
        self.image, self.texts, self.counts, self.status = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.filters = FilterControls(session.items, lambda: self._act(self._filter))
        # continuous_update=False: the record is looked up at Enter, not after every letter of its id
        self.record_id = w.Text(description="record", continuous_update=False, **narrow_field())
        self.record_id.observe(lambda _: self._act(self._find), names="value")
        filters = w.HBox([*self.filters.controls, self.record_id], layout=w.Layout(flex_flow="row wrap"))
        self._fields(w)
        buttons = self._buttons(w)
        # side by side where there is room, one above the other on a narrow screen
        left = w.VBox([self.image], layout=w.Layout(flex="3 1 340px", min_width="0"))
        right = w.VBox(
            [self.texts, buttons, self.note, self.edit_panel, self.status],
            layout=w.Layout(flex="2 1 300px", min_width="0", padding="0 0 0 12px"),
        )
        middle = w.HBox([left, right], layout=w.Layout(flex_flow="row wrap", align_items="flex-start"))
        style, help_line = (
            w.HTML(f"<style>{REVIEWER_STYLE}</style>"),
            w.HTML(f'<div class="dataengine-card"><p class="quiet">{_HELP}</p></div>'),
        )
        self.box = w.VBox([style, filters, self.counts, middle, help_line], layout=w.Layout(padding="4px"))
        self.box.add_class(KEYS)
        self.show()

    # Widgets

    def _fields(self, w: Any) -> None:
        line: dict[str, Any] = {
            "style": {"description_width": "80px"},
            "layout": w.Layout(width="auto"),
            # sent once, when the field is left: letters that wait for the kernel would come after the click that saves them
            "continuous_update": False,
        }
        self.question = w.Textarea(description="question", rows=3, **line)
        # as many fields of choices as a record may have, each with a layout of its own: those that it has not are hidden
        self.choices = [
            w.Text(description=f"({letter})", **line | {"layout": w.Layout(width="auto")})
            for letter in LETTERS[:MOST_CHOICES]
        ]
        self.correct = w.Dropdown(
            options=[("A", 0)], description="right", style=line["style"], layout=w.Layout(width="auto")
        )
        self.short_answer = w.Text(description="answer", **line | {"layout": w.Layout(width="auto")})
        self.rationales = w.Textarea(description="rationales", placeholder="one per line", rows=3, **line)
        self.note = w.Text(description="note", **line)
        self.note.observe(
            lambda change: self._act(lambda: self.session.write_note(change["new"])), names="value"
        )
        self.save = w.Button(
            description="Save edit (Ctrl+Enter)",
            button_style="warning",
            layout=w.Layout(width="auto", align_self="flex-end"),
        )
        self.save.add_class(key_class("ctrl-enter"))
        self.save.on_click(lambda _: self._act(self._save))
        answers = [*self.choices, self.correct, self.short_answer]
        self.edit_panel = w.VBox([self.question, *answers, self.rationales, self.save])

    def _buttons(self, w: Any) -> Any:
        made: tuple[tuple[str, str, str, str, Callable[[], str | None]], ...] = (
            ("previous", "←", "arrowleft", "", lambda: self._go(-1)),
            ("next", "→", "arrowright", "", lambda: self._go(1)),
            ("accept", "Accept (A)", "a", "success", lambda: self._decide("accept")),
            ("reject", "Reject (R)", "r", "danger", lambda: self._decide("reject")),
            ("edit", "Edit (E)", "e", "warning", self._open),
            ("undo", "Undo (U)", "u", "", self._undo),
            ("clear", "Clear decision", "", "", self._clear),
        )
        self.buttons = {}
        for name, text, key, look, act in made:
            self.buttons[name] = action_button(text, look, partial(self._act, act), key)
        return w.HBox(list(self.buttons.values()), layout=w.Layout(flex_flow="row wrap"))

    # What is shown

    @contextmanager
    def _filling(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def show(self, message: str = "") -> None:
        """Fill everything with the session's item; the image is read only where it is another one's."""
        session, item = self.session, self.session.item
        counts = session.counts()
        decided = sum(counts.values()) - counts["undecided"]
        parts = ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
        place = (
            f"{session.place + 1:,} of {len(session.queue):,} shown"
            if item
            else "nothing passes these filters"
        )
        self.counts.value = f"<b>{place}</b> · {decided:,} decided: {parts} · {escaped(session.file)}"
        with self._filling():
            self.filters.value = self.session.shown
            other = item is not self._item or item is None
            if other:
                self.image.value = image_html(item, self.read_image) if item else ""
                self.edit_panel.layout.display = "none"
            # what was typed and not saved yet stays while the item is the same
            refill, self._item = other or not self._changed, item
            self.texts.value = texts_html(item, session.decision) if item else ""
            self.record_id.value = item.name if item else ""
            self.note.value = session.note
            if refill:
                self._fill(item)
        decision = session.decision
        state = f"Decided: {decision.decision}." if decision else "Not decided yet." if item else ""
        self.status.value = f"{state} {escaped(message)}"

    def _fill(self, item: ReviewItem | None) -> None:
        """Fill the fields of the record's kind: choices and the right one, yes and no, or the short answer alone."""
        self._filled = None
        if item is None or item.record is None:
            return
        fields = shown_fields(item.record, self.session.decision)
        is_open, is_yes_no = item.record.answer_kind == OPEN, item.record.answer_kind == YES_NO
        texts = [*fields.choices, *[""] * (len(self.choices) - len(fields.choices))]
        for place, (field, choice) in enumerate(zip(self.choices, texts, strict=True)):
            field.value = choice
            field.layout.display = None if place < len(fields.choices) and not is_yes_no else "none"
        names = fields.choices if is_yes_no else LETTERS
        # without options while they change: a value must be among them at all times
        self.correct.options = [(name, n) for n, name in enumerate(names[: len(fields.choices)])] or [("", 0)]
        known = 0 <= fields.correct_choice_idx < len(fields.choices)
        self.correct.value = fields.correct_choice_idx if known else 0
        self.correct.layout.display = "none" if is_open else None
        self.short_answer.layout.display = None if is_open else "none"
        self.question.value, self.short_answer.value = fields.question, fields.short_answer
        self.rationales.value = "\n".join(fields.rationales)
        self._filled = self._written()

    def _written(self) -> EditedFields:
        """What the fields hold."""
        record = self._item.record if self._item else None
        assert record is not None
        return EditedFields(
            self.question.value.strip(),
            tuple(field.value.strip() for field in self.choices[: len(record.choices)]),
            record.correct_choice_idx if record.answer_kind == OPEN else self.correct.value,
            self.short_answer.value.strip(),
            tuple(line.strip() for line in self.rationales.value.splitlines() if line.strip()),
        )

    # What a person does

    def _act(self, act: Callable[[], str | None]) -> None:
        """Do it and show the result; an error changes nothing but the line that says so."""
        if self._busy:
            return
        try:
            message = act()
        except DataEngineError as error:
            with self._filling():
                self.filters.value = self.session.shown
            self.status.value = f"⚠ {escaped(error)}"
            return
        self.show(message or "")

    @property
    def _changed(self) -> bool:
        """Whether the fields hold an edit that is not saved."""
        return self._filled is not None and self._written() != self._filled

    def _keep_edit(self) -> None:
        """Save an edit that the fields hold, before another item is shown. Raises DataEngineError for a wrong one."""
        if self._changed:
            self._write_edit()

    def _write_edit(self) -> None:
        if self._item is None or self._item.record is None:
            raise ParameterError("it was dropped, so there is no QA to edit; correct the prompt or the check")
        edit = edit_of(self._item.record, self.session.decision, self._written(), self.note.value)
        self.session.decide(edit)
        self._filled = self._written()

    def _save(self) -> str:
        self._write_edit()
        return self._next(f"Written: edit of {self._item.name if self._item else ''}.")

    def _next(self, message: str) -> str:
        moved = self.session.go(1)
        return message if moved else f"{message} This is the last one of these filters."

    def _go(self, step: int) -> str:
        self._keep_edit()
        return "" if self.session.go(step) else "There is no other one in this direction."

    def _decide(self, kind: Any) -> str:
        if self._changed:
            raise ParameterError("the fields hold an edit: save it with Ctrl+Enter, or discard it with U")
        if self._item is None:
            return ""
        self.session.decide(Decision(decision=kind, note=self.note.value))
        return self._next(f"Written: {kind} of {self._item.name}.")

    def _open(self) -> str:
        """Show the fields of an edit, or hide them."""
        if self._item is None or self._item.record is None:
            raise ParameterError("it was dropped, so there is no QA to edit; correct the prompt or the check")
        hidden = self.edit_panel.layout.display == "none"
        if not hidden:
            self._keep_edit()
        self.edit_panel.layout.display = None if hidden else "none"
        if hidden:
            self.question.focus()
        return ""

    def _undo(self) -> str:
        if self._changed:
            self._filled = None
            return "The fields are as they were."
        name = self.session.undo()
        return (
            f"Undone: the decision about {name}."
            if name
            else "Nothing was decided since the form was opened."
        )

    def _clear(self) -> str:
        self.session.decide(None)
        return ""

    def _filter(self) -> str:
        self._keep_edit()
        self.session.filter(self.filters.value)
        return ""

    def _find(self) -> str:
        name = self.record_id.value.strip()
        self._keep_edit()
        return "" if self.session.find(name) else f"There is no record {name}."
