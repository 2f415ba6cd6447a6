"""Prompt studio: the fields and buttons in JupyterLab, and what they do to the session."""

from collections.abc import Callable
from functools import partial
from typing import Any

from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.prompt_versions.trials import QueryOutcome, kept_rate
from dataengine_lib.report.prompt_studio.tables import diff_html, version_table
from dataengine_lib.report.tables import displayed, escaped
from dataengine_lib.widgets.keys import KEYS
from dataengine_lib.widgets.lab_form import action_button, narrow_field
from dataengine_lib.widgets.review.card import REVIEWER_STYLE, image_html, texts_html
from dataengine_lib.widgets.review.images import images_below
from dataengine_lib.widgets.review.queue import ReviewItem
from dataengine_lib.widgets.studio.session import StudioSession

_HELP = "Keys, after a click on the image, or Esc in a field: A right, R wrong, U take the mark back, ← →."
# sent once, when the field is left: letters that wait for the kernel would come after the click that uses them
_FIELD: dict[str, Any] = {"continuous_update": False, "style": {"description_width": "initial"}}


class StudioForm:
    """The form over a session; `box` is the widget."""

    def __init__(self, session: StudioSession) -> None:
        import ipywidgets as w

        self.session = session
        settings = session.studio.settings
        self.read_image = images_below(settings.image_root or settings.coco_dataset)
        self._busy = False  # fields are being filled, which is no act of a person
        self._shown: QueryOutcome | None = None  # whose image is shown
        self._why_of: tuple[str, str] | None = None  # version and query whose reason the field holds
        self._unsaved_why: dict[tuple[str, str], str] = {}  # reasons that are in no mark
        self._filled_rules = ""  # what the field of rules was filled with
        self.image, self.texts, self.place = w.HTML(), w.HTML(), w.HTML()
        self.diff, self.table, self.status = w.HTML(), w.HTML(), w.HTML()
        self.version = w.Dropdown(description="version", **narrow_field())
        self.version.observe(lambda _: self._act(self._choose), names="value")
        self.why = w.Text(
            description="why",
            placeholder="what is wrong, for the teacher of rules",
            layout=w.Layout(width="auto"),
            **_FIELD,
        )
        self.why.observe(lambda _: self._keep_why(), names="value")
        self.rules = w.Textarea(description="rules", rows=14, layout=w.Layout(width="auto"), **_FIELD)
        self.rules.observe(lambda _: self._act(self._edit), names="value")
        self.buttons: dict[str, Any] = {}
        asked = self._row(
            w,
            ("sample", "Ask for QAs", "", "info", self._sample),
            ("more", "Other queries", "", "", self._more),
            ("previous", "←", "arrowleft", "", lambda: self._go(-1)),
            ("next", "→", "arrowright", "", lambda: self._go(1)),
            before=[self.version],
        )
        marked = self._row(
            w,
            ("right", "Right (A)", "a", "success", lambda: self._mark(False)),
            ("wrong", "Wrong (R)", "r", "danger", lambda: self._mark(True)),
            ("unmark", "Take mark back (U)", "u", "", lambda: self._mark(None)),
        )
        revised = self._row(
            w,
            ("propose", "Propose rules", "", "info", partial(self._with_rules, session.propose)),
            ("save", "Save as a version", "", "warning", partial(self._with_rules, self._save)),
            ("discard", "Discard changes", "", "", self._discard),
            ("measure", "Try on held-out queries", "", "info", partial(self._with_rules, self._measure)),
            ("accept", "Accept version", "", "success", partial(self._with_rules, session.accept)),
        )
        # side by side where there is room, one above the other on a narrow screen
        left = w.VBox([self.image], layout=w.Layout(flex="2 1 300px", min_width="0"))
        right = w.VBox(
            [self.place, self.texts, marked, self.why],
            layout=w.Layout(flex="3 1 320px", min_width="0", padding="0 0 0 12px"),
        )
        middle = w.HBox([left, right], layout=w.Layout(flex_flow="row wrap", align_items="flex-start"))
        style = w.HTML(f"<style>{REVIEWER_STYLE}</style>")
        help_line = w.HTML(f'<div class="dataengine-card"><p class="quiet">{_HELP}</p></div>')
        self.box = w.VBox(
            [style, asked, middle, help_line, revised, self.status, self.rules, self.diff, self.table],
            layout=w.Layout(padding="4px"),
        )
        self.box.add_class(KEYS)
        self.box.tabbable = True
        self.show()

    def _row(
        self, w: Any, *made: tuple[str, str, str, str, Callable[[], str | None]], before: Any = ()
    ) -> Any:
        """A row of buttons; each is a name, its text, its key, its look and what it does."""
        for name, text, key, look, act in made:
            self.buttons[name] = action_button(text, look, partial(self._act, act), key)
        row = [*before, *(self.buttons[one[0]] for one in made)]
        return w.HBox(row, layout=w.Layout(flex_flow="row wrap"))

    # What is shown

    def show(self, message: str = "") -> None:
        """Fill everything from the session, but no field whose text a person may have changed since.

        The image is read only where it is another one's.
        """
        session, outcome, mark = self.session, self.session.outcome, self.session.mark
        self._busy = True
        try:
            folder = session.studio.folder
            self.version.options = list(folder.versions)
            self.version.value = session.version.name
            if session.draft_text != self._filled_rules:
                self.rules.value = self._filled_rules = session.draft_text
            query = (session.version.name, outcome.query_id) if outcome else None
            if query != self._why_of:
                self._why_of = query
                saved = mark.why if mark else ""
                self.why.value = self._unsaved_why.get(query, saved) if query else ""
            self.why.disabled = outcome is None
        finally:
            self._busy = False
        if outcome is None:
            self.place.value = "No QAs of this version yet."
            self.image.value = self.texts.value = ""
        else:
            assert session.trial is not None
            said = f" · marked {'wrong' if mark.wrong else 'right'}" if mark else ""
            total = len(session.trial.outcomes)
            self.place.value = (
                f"<b>{session.place + 1} of {total}</b> · {session.trial.kept} pass the checks{said}"
            )
            self._show_outcome(outcome)
        self._shown = outcome
        for name in ("right", "wrong", "unmark", "previous", "next", "propose"):
            self.buttons[name].disabled = outcome is None
        names = (session.version.name, "draft")
        diff = diff_html(session.version.rules, session.draft, names)
        self.diff.value = (
            displayed(f'<div class="dataengine-card">{diff.text}</div>') if not session.is_saved else ""
        )
        marks = {name: folder.marks(name) for name in folder.versions}
        seed = session.studio.settings.seed
        held_out = version_table(folder.versions.values(), session.held_out(), marks, seed)
        self.table.value = displayed(held_out.text)
        self._say(message)

    def _say(self, message: str) -> None:
        self.status.value = displayed(f'<p class="dataengine-card">{escaped(message)}</p>')

    def _show_outcome(self, outcome: QueryOutcome) -> None:
        reject = outcome.reject
        if outcome.record is None and reject is None:  # no reply, so there is a reason alone
            reject = Reject(
                line=0,
                reason=outcome.failure,
                query_id=outcome.query_id,
                question_type=outcome.question_type,
                image_id=outcome.image_id,
                image_path=outcome.image_path,
            )
        item = ReviewItem(outcome.query_id, outcome.question_type, outcome.record, reject)
        self.texts.value = texts_html(item, None, effects=False)
        if outcome is not self._shown:
            self.image.value = image_html(item, self.read_image)

    # What a person does

    def _act(self, act: Callable[[], str | None]) -> None:
        """Do it and show the result; an error changes nothing but the line that says so."""
        if self._busy:
            return
        self._say("…")  # the teacher may take a while
        try:
            message = act()
        except DataEngineError as error:
            self._busy = True
            self.version.value = self.session.version.name
            self._busy = False
            self._say(f"⚠ {error}")
            return
        self.show(message or "")

    def _with_rules(self, act: Callable[[], str | None]) -> str | None:
        """Do it with the rules that the field holds; wrong ones stay there, and the error says what to correct."""
        if self.rules.value != self._filled_rules:
            self._edit()
        return act()

    def _choose(self) -> str | None:
        return self._with_rules(lambda: self.session.choose(self.version.value))

    def _keep_why(self) -> None:
        if not self._busy and self._why_of is not None:
            self._unsaved_why[self._why_of] = self.why.value

    def _sample(self) -> str:
        trial = self.session.sample()
        name = self.session.version.name
        return (
            f"{name}: {trial.kept} of {len(trial.outcomes)} QAs pass the checks. Mark what is wrong, and why."
        )

    def _more(self) -> str:
        self.session.sample(self.session.number + 1)
        return self._sample()

    def _go(self, step: int) -> str:
        return "" if self.session.go(step) else "There is no other one in this direction."

    def _mark(self, wrong: bool | None) -> str:
        if wrong and not self.why.value.strip():
            raise ParameterError("write why it is wrong: the teacher of rules reads it")
        self.session.write_mark(wrong, self.why.value if wrong else "")
        assert self._why_of is not None
        if wrong:
            self._unsaved_why.pop(self._why_of, None)
        else:  # a reason that is in no mark stays for when this QA is shown once more
            self._unsaved_why[self._why_of] = self.why.value
        return "" if wrong is None or self.session.go(1) else "This is the last one of the sample."

    def _edit(self) -> str:
        self.session.edit(self.rules.value)
        return ""

    def _discard(self) -> str:
        if self.session.is_saved and self.rules.value == self._filled_rules:
            return f"These are the rules of {self.session.version.name}; nothing is to be discarded."
        self.session.discard()
        self._filled_rules = ""  # so that the field is filled, also in place of rules that cannot be used
        return f"The rules are those of {self.session.version.name} again."

    def _save(self) -> str:
        version = self.session.save()
        return f"Written: {self.session.studio.folder.path(version.name)}. Ask for QAs to see what changed."

    def _measure(self) -> str:
        trial = self.session.measure()
        return f"{self.session.version.name}: {kept_rate(trial)} give a kept QA."
