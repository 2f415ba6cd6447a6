"""Step 4: review form for JupyterLab; a person accepts, rejects or edits records one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import LETTERS, MOST_CHOICES, OPEN, YES_NO, TrainRecord, shows_options
from dataengine_lib.curation.counts import right_place
from dataengine_lib.curation.difficulty.band import both_wrong
from dataengine_lib.curation.review import Decision, read_review, write_decision
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.letter_mentions import names_letters
from dataengine_lib.report.gallery import qa_gallery
from dataengine_lib.report.tables import Html, displayed, escaped


@dataclass
class ReviewBox:
    """Shows `records` with their images in JupyterLab; every decision is written to `file` at once.

    The first `disputed` of them are those on which teacher, second readers and student disagree, most doubt first.
    A report shows the number of decisions instead, because its buttons would do nothing.
    """

    records: Sequence[TrainRecord]
    file: Path
    image_root: Path | None = None
    output: Path | None = None  # file of all kept records, in which others are found by id
    disputed: int = 0

    def summary(self) -> Html:
        """How many records were accepted, rejected and edited so far."""
        kinds = [decision.decision for decision in read_review(self.file).values()]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("accept", "reject", "edit"))
        return Html(
            f'<p class="why">Decisions in {escaped(self.file.name)}: {counts}. '
            f"They are made in JupyterLab and take effect the next time this step runs. {self._order()}</p>"
        )

    def _order(self) -> str:
        """In which order the form shows the records."""
        if not self.disputed:
            return "The form shows a few records of every type, drawn at random."
        doubted = self.records[: self.disputed]
        which = "the one kept record" if self.disputed == 1 else f"the {self.disputed:,} kept records"
        missed = sum(bool(both_wrong(record)) for record in doubted)
        first = f"first {missed:,} that neither student nor second readers answer like the teacher, then "
        return (
            f"The form begins with {which} whose answer is most in doubt: {first if missed else ''}those on which "
            "teacher and second readers disagree, most disagreement first. A few of every type follow, drawn at random."
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.summary())  # type: ignore[no-untyped-call]
        display(self.widget)  # type: ignore[no-untyped-call]

    @cached_property
    def widget(self) -> Any:
        """The form, built when it is first shown."""
        return _Form(self).box


def review_box(result: Any) -> ReviewBox:
    """A form for a PostProcessResult: disputed records, then the sample; other records are found by id."""
    first: list[TrainRecord] = result.disputed
    shown = {record.record_id for record in first}
    rest = [record for record in result.sample if record.record_id not in shown]
    return ReviewBox([*first, *rest], result.review_path, result.image_root, result.output, len(first))


class _Form:
    """The fields and buttons, and the record that they show."""

    def __init__(self, review: ReviewBox) -> None:
        import ipywidgets as w

        self.review = review
        self.records = list(review.records)
        self.place = 0
        wide, line = w.Layout(width="100%"), {"description_width": "90px"}
        self.card, self.status = w.HTML(), w.HTML()
        # continuous_update=False: the record is looked up at Enter, not after every letter of its id
        self.record_id = w.Text(description="record", style=line, layout=wide, continuous_update=False)
        self.question = w.Textarea(description="question", style=line, layout=wide, rows=2)
        # as many fields of choices as a record may have; those that it has not are hidden
        self.choices = [
            w.Text(description=f"({letter})", style=line, layout=w.Layout(width="100%"))
            for letter in LETTERS[:MOST_CHOICES]
        ]
        self.correct = w.ToggleButtons(options=[(letter, n) for n, letter in enumerate("ABCD")])
        self.correct.description = "right"
        self.short_answer = w.Text(description="answer", style=line, layout=w.Layout(width="100%"))
        self.rationales = w.Textarea(description="rationales", style=line, layout=wide, rows=3)
        self.rationales.placeholder = "one per line"
        self.note = w.Text(description="note", style=line, layout=wide)
        buttons: dict[str, tuple[str, Callable[[], None]]] = {
            "←": ("", lambda: self.go(-1)),
            "→": ("", lambda: self.go(1)),
            "Accept": ("success", lambda: self.decide(Decision(decision="accept", note=self.note.value))),
            "Reject": ("danger", lambda: self.decide(Decision(decision="reject", note=self.note.value))),
            "Save edit": ("warning", lambda: self.decide(self.edit())),
            "Undo": ("", lambda: self.decide(None)),
        }
        self.buttons = {}
        # act=act binds each button to its own action, not to the last one of the loop
        for name, (style, act) in buttons.items():
            self.buttons[name] = w.Button(description=name, button_style=style, layout=w.Layout(width="auto"))
            self.buttons[name].on_click(lambda _, act=act: act())
        self.record_id.observe(lambda change: self.find(change["new"]), names="value")
        answers = [*self.choices, self.correct, self.short_answer]
        fields = [self.record_id, self.question, *answers, self.rationales, self.note]
        right = w.VBox([*fields, w.HBox(list(self.buttons.values())), self.status], layout=wide)
        self.box = w.HBox([w.VBox([self.card], layout=w.Layout(min_width="360px")), right])
        self.show()

    @property
    def record(self) -> TrainRecord | None:
        return self.records[self.place] if self.records else None

    def show(self, message: str = "") -> None:
        """Fill the fields with the record, changed by what was decided about it."""
        record = self.record
        if record is None:
            self.status.value = "Nothing was kept, so there is nothing to review."
            return
        decision = read_review(self.review.file).get(record.record_id)
        self.record_id.value = record.record_id
        self.card.value = displayed(qa_gallery([record], self.review.image_root).text)
        self.question.value = (decision and decision.question) or record.question
        choices = (decision and decision.choices) or record.choices
        known = decision.correct_choice_idx if decision else None
        self._show_answer(record, choices, record.correct_choice_idx if known is None else known)
        self.short_answer.value = (decision and decision.short_answer) or record.short_answer
        reasons = decision.rationales if decision else None
        self.rationales.value = "\n".join(record.rationales if reasons is None else reasons)
        self.note.value = decision.note if decision else ""
        decided = f"decided: {decision.decision}" if decision else "not decided yet"
        answers = escaped(_other_answers(record))
        self.status.value = (
            f"{self.place + 1} of {len(self.records)}, {decided}. {answers} {escaped(message)}"
        )

    def _show_answer(self, record: TrainRecord, choices: Sequence[str], correct: int) -> None:
        """Show the fields of the record's kind: choices and the right one, yes and no, or the short answer alone."""
        is_open, is_yes_no = record.answer_kind == OPEN, record.answer_kind == YES_NO
        texts = [*choices, *[""] * (len(self.choices) - len(choices))]
        for field, choice in zip(self.choices, texts, strict=True):
            field.value = choice
            field.layout.display = None if choice and not is_yes_no else "none"
        names = choices if is_yes_no else LETTERS
        # without options while they change: a value must be among them at all times
        self.correct.options = [(name, n) for n, name in enumerate(names[: len(choices)])] or [("", 0)]
        self.correct.value = 0 if is_open else correct
        self.correct.layout.display = "none" if is_open else None
        self.short_answer.layout.display = None if is_open else "none"

    def go(self, step: int) -> None:
        """Go `step` records on; after the last record comes the first."""
        if self.records:
            self.place = (self.place + step) % len(self.records)
            self.show()

    def find(self, record_id: str) -> None:
        """Show the record of that id; it is read from the file of all records when the form does not have it."""
        places = {record.record_id: place for place, record in enumerate(self.records)}
        if record_id not in places and self.review.output is not None:
            all_records: list[TrainRecord] = read_json(self.review.output, list[TrainRecord])
            found = [record for record in all_records if record.record_id == record_id]
            self.records += found
            places |= {record_id: len(self.records) - 1} if found else {}
        if record_id not in places:
            self.status.value = f"There is no record {escaped(record_id)} among the kept ones."
        # show() sets the field of the id, which calls find() again: then the place is already right
        elif places[record_id] != self.place:
            self.place = places[record_id]
            self.show()

    def edit(self) -> Decision:
        """What the fields say that the record does not, beside what an earlier edit changed.

        Choices and rationales that name their letters are written together: neither is right beside other ones.
        """
        record = self.record
        assert record is not None
        before = read_review(self.review.file).get(record.record_id) or Decision(decision="edit")
        is_open, short = record.answer_kind == OPEN, self.short_answer.value.strip()
        choices = [field.value.strip() for field in self.choices[: len(record.choices)]]
        reasons = [line.strip() for line in self.rationales.value.splitlines() if line.strip()]
        right = record.correct_choice_idx if is_open else self.correct.value
        moved = (choices, right) != (record.choices, record.correct_choice_idx)
        reasoned = reasons != record.rationales
        # a rationale such as "(B) is a cat" is right beside one order of the choices only
        if (
            shows_options(record.answer_kind)
            and any(names_letters(text, len(choices)) for text in reasons)
            and (moved or reasoned or before.choices is not None or before.rationales is not None)
        ):
            moved = reasoned = True
        question = self.question.value.strip()
        return Decision(
            decision="edit",
            question=question if question != record.question else before.question,
            choices=choices if moved else before.choices,
            correct_choice_idx=self.correct.value if moved else before.correct_choice_idx,
            rationales=reasons if reasoned else before.rationales,
            short_answer=short if is_open and short != record.short_answer else before.short_answer,
            note=self.note.value,
        )

    def decide(self, decision: Decision | None) -> None:
        """Write the decision and show the next record; None removes the decision. A wrong one only shows its error."""
        record = self.record
        if record is None:
            return
        try:
            write_decision(self.review.file, record.record_id, decision)
        except DataEngineError as error:
            self.status.value = escaped(error)
            return
        if decision is None:
            self.show()
        else:
            self.place = (self.place + 1) % len(self.records)
            self.show(f"Written: {decision.decision} of {record.record_id}.")


def _other_answers(record: TrainRecord) -> str:
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
    return f"Other answers: {', '.join(texts)}." if texts else ""
