"""Reviewer: a person's way through the queue: what is shown, what was decided, and what can be undone. No widgets."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataengine_lib.core.records import TrainRecord, shows_options
from dataengine_lib.curation.reviews.decisions import Decision, read_review, write_decision
from dataengine_lib.errors import ParameterError
from dataengine_lib.replies.letter_mentions import names_letters
from dataengine_lib.widgets.review.queue import ReviewFilter, ReviewItem

DECISION_KINDS = ("accept", "reject", "edit")


class EditedFields(NamedTuple):
    """What the fields of an edit hold; of a yes/no QA the choices are yes and no, of an open-ended one there are none."""

    question: str
    choices: tuple[str, ...]
    correct_choice_idx: int
    short_answer: str
    rationales: tuple[str, ...]


class ReviewSession:
    """The queue of `items` that pass `shown`, and the decisions in `file`, where each is written at once.

    Decisions of other programs in the file stay. A decision that cannot be written raises DataEngineError and changes
    nothing.
    """

    def __init__(self, items: Sequence[ReviewItem], file: Path) -> None:
        self.items, self.file = items, file
        self.decisions = read_review(file)
        self.shown = ReviewFilter()
        self._undo: list[tuple[str, Decision | None]] = []  # name and the decision before, oldest first
        self._notes: dict[str, str] = {}  # of items without a decision, which the file cannot hold
        self.queue: list[ReviewItem] = []
        self.place = 0
        self.filter(self.shown)

    @property
    def item(self) -> ReviewItem | None:
        """The item that is shown; None where no item passes the filter."""
        return self.queue[self.place] if self.queue else None

    @property
    def decision(self) -> Decision | None:
        """What was decided about the item."""
        return self.decisions.get(self.item.name) if self.item else None

    @property
    def note(self) -> str:
        """The note on the item: of its decision, or one that waits for a decision."""
        if self.item is None:
            return ""
        return self.decision.note if self.decision else self._notes.get(self.item.name, "")

    def filter(self, shown: ReviewFilter) -> None:
        """Make the queue anew; it goes on with the shown item where it passes, else with the first undecided one."""
        before = self.item
        self.shown = shown
        self.queue = [item for item in self.items if shown.admits(item, self.decisions)]
        waiting = (
            place for place, item in enumerate(self.queue) if item.name and item.name not in self.decisions
        )
        places = {id(item): place for place, item in enumerate(self.queue)}
        self.place = places.get(id(before), -1)
        if self.place < 0:
            self.place = next(waiting, 0)

    def go(self, step: int) -> bool:
        """Go `step` items on, at most to an end of the queue; whether another item is shown."""
        place = min(max(self.place + step, 0), max(len(self.queue) - 1, 0))
        moved, self.place = place != self.place, place
        return moved

    def find(self, name: str) -> bool:
        """Show the item of that record id, in the whole queue where the filter hides it; False where there is none."""
        if not any(item.name == name for item in self.queue):
            if not name or not any(item.name == name for item in self.items):
                return False
            self.filter(ReviewFilter())
        self.place = next(place for place, item in enumerate(self.queue) if item.name == name)
        return True

    def decide(self, decision: Decision | None) -> None:
        """Write the decision about the shown item, None to remove it; it can be undone.

        Raises ParameterError for an item without an id, for an edit of a dropped one, and for an edit that cannot be
        applied, DataEngineError where the file cannot be read or written.
        """
        item = self.item
        if item is None:
            return
        if not item.name:
            raise ParameterError("this row has no id of its own, so no decision about it can be written")
        if decision is not None and decision.decision == "edit" and item.record is None:
            raise ParameterError("it was dropped, so there is no QA to edit; correct the prompt or the check")
        before = self.decisions.get(item.name)
        if decision != before:
            self.decisions = write_decision(self.file, item.name, decision)
            self._undo.append((item.name, before))
            self._notes.pop(item.name, None)

    def undo(self) -> str:
        """Take back the last decision of this session and show its item; its id, empty where there is none."""
        if not self._undo:
            return ""
        name, before = self._undo[-1]
        self.decisions = write_decision(self.file, name, before)
        self._undo.pop()
        self.find(name)
        return name

    def write_note(self, note: str) -> None:
        """Keep the note: in the file where the item has a decision, else until it gets one."""
        if self.item is None or note == self.note:
            return
        if self.decision is not None:
            self.decisions = write_decision(
                self.file, self.item.name, msgspec.structs.replace(self.decision, note=note)
            )
        else:
            self._notes[self.item.name] = note

    def counts(self) -> dict[str, int]:
        """How many items are decided, by decision, and how many are not; rows without an id count nowhere."""
        named = [item.name for item in self.items if item.name]
        kinds: list[str] = [self.decisions[name].decision for name in named if name in self.decisions]
        return {kind: kinds.count(kind) for kind in DECISION_KINDS} | {"undecided": len(named) - len(kinds)}


def shown_fields(record: TrainRecord, decision: Decision | None) -> EditedFields:
    """The record's texts, changed by what was decided about it."""
    given = decision or Decision(decision="edit")
    right = given.correct_choice_idx
    return EditedFields(
        given.question or record.question,
        tuple(given.choices or record.choices),
        record.correct_choice_idx if right is None else right,
        given.short_answer or record.short_answer,
        tuple(record.rationales if given.rationales is None else given.rationales),
    )


def edit_of(record: TrainRecord, before: Decision | None, fields: EditedFields, note: str) -> Decision:
    """An edit with what the fields say that the record does not, beside what an earlier decision changed.

    Choices and rationales that name their letters are written together: neither is right beside other ones.
    """
    earlier = before or Decision(decision="edit")
    choices, right, reasons = list(fields.choices), fields.correct_choice_idx, list(fields.rationales)
    moved = (choices, right) != (record.choices, record.correct_choice_idx)
    reasoned = reasons != record.rationales
    # a rationale such as "(B) is a cat" is right beside one order of the choices only
    if (
        shows_options(record.answer_kind)
        and any(names_letters(text, len(choices)) for text in reasons)
        and (moved or reasoned or earlier.choices is not None or earlier.rationales is not None)
    ):
        moved = reasoned = True
    is_open = not record.choices
    return Decision(
        decision="edit",
        question=fields.question if fields.question != record.question else earlier.question,
        choices=choices if moved else earlier.choices,
        correct_choice_idx=right if moved else earlier.correct_choice_idx,
        rationales=reasons if reasoned else earlier.rationales,
        short_answer=(
            fields.short_answer
            if is_open and fields.short_answer != record.short_answer
            else earlier.short_answer
        ),
        note=note,
    )
