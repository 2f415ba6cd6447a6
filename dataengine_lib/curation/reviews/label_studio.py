"""Step 4: what a team decided in Label Studio about tasks of `export label-studio`, read into a review file.

Source: Label Studio's documentation, guide "Label Studio Task Format"; its export "JSON".
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value, write_json
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import one_line, shown
from dataengine_lib.curation.reviews.decisions import Decision, decision_fault, read_review
from dataengine_lib.curation.reviews.merge import merged_decision
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.label_studio import (
    DECISION,
    NEW_ANSWER,
    NEW_CHOICE,
    NEW_QUESTION,
    NEW_RATIONALES,
    NEW_RIGHT,
    NOTE,
)

_WANTED = "give what Label Studio exports as JSON of tasks that export label-studio wrote"


class _Region(msgspec.Struct):
    """The result of one control."""

    from_name: str = ""
    value: dict[str, Any] = {}


class _Annotation(msgspec.Struct):
    result: list[_Region] = []
    was_cancelled: bool = False


class _Data(msgspec.Struct):
    """The part of a task's data by which a result becomes a decision."""

    record_id: str
    choices: list[str] = []
    correct_choice_idx: int = -1


class _Task(msgspec.Struct):
    data: _Data
    annotations: list[_Annotation]


_TASK = msgspec.json.Decoder(_Task)


class LabelStudioReview(NamedTuple):
    """The decisions of an export, the number of tasks without one, and lines about those that cannot be applied."""

    decisions: dict[str, Decision]
    undecided: int
    faults: list[str]


def read_label_studio(file: Path) -> LabelStudioReview:
    """The decisions in an export of Label Studio; a task that several people decide differently stays undecided.

    Cancelled annotations do not count. Raises DataEngineError when the file cannot be read or is no such export.
    """
    decisions: dict[str, Decision] = {}
    undecided, faults, tasks = 0, [], 0
    for row in json_rows(file):
        tasks += 1
        try:
            task = json_value(row.raw, _TASK)
        except UNDECODABLE as error:
            raise DataEngineError(
                f"{file}: {row.where}: {decode_fault(error)}; it {looks_like(file)}; {_WANTED}"
            ) from error
        name, found = task.data.record_id, _answers(task)
        fault = next(filter(None, map(decision_fault, found)), "")
        decision = _common(found)
        if fault or (found and decision is None):
            faults.append(
                f"{one_line(name)}: {fault or 'is decided differently by several people'}; left undecided"
            )
        if fault or decision is None:
            undecided += 1
        else:
            decisions[name] = decision
    if not tasks:
        raise DataEngineError(f"{file}: has no tasks; {_WANTED}")
    return LabelStudioReview(decisions, undecided, faults)


def _answers(task: _Task) -> list[Decision]:
    """The decision of each annotation that has one."""
    found = []
    for annotation in task.annotations:
        values = {region.from_name: region.value for region in annotation.result}
        kind = _chosen(values, DECISION)
        if kind and not annotation.was_cancelled:
            found.append(_decision(kind, values, task.data))
    return found


def _decision(kind: str, values: Mapping[str, Mapping[str, Any]], data: _Data) -> Decision:
    """A decision as the controls say it; fields of an edit that were left empty change nothing."""
    note = _text(values, NOTE)
    if kind in ("accept", "reject"):
        return Decision(decision=kind, note=note)  # type: ignore[arg-type]  # mypy does not narrow a str by `in`
    if kind != "edit":
        raise ParameterError(f"{shown(data.record_id)}: unknown decision {shown(kind)}; {_WANTED}")
    letters = LETTERS[: len(data.choices)]
    choices = [_text(values, NEW_CHOICE + letter) for letter in letters]
    choices = [new or old for new, old in zip(choices, data.choices, strict=True)]
    chosen = _chosen(values, NEW_RIGHT)
    # a letter that this record has not is an index outside its choices, which is a fault of the decision
    right = LETTERS.find(chosen) if chosen else data.correct_choice_idx
    reasons = [line.strip() for line in _text(values, NEW_RATIONALES).splitlines() if line.strip()]
    moved = (choices, right) != (data.choices, data.correct_choice_idx)
    edit = Decision(
        decision="edit",
        question=_text(values, NEW_QUESTION) or None,
        choices=choices if moved else None,
        correct_choice_idx=right if moved else None,
        rationales=reasons or None,
        short_answer=_text(values, NEW_ANSWER) or None,
        note=note,
    )
    # rationales that name letters are right beside these choices only
    if data.choices and not moved and decision_fault(edit).startswith("rationales"):
        return msgspec.structs.replace(edit, choices=choices, correct_choice_idx=right)
    return edit


def _common(found: list[Decision]) -> Decision | None:
    """The one decision of several people; None where there is none or they differ."""
    common = found[0] if found else None
    for other in found[1:]:
        common = common and merged_decision(common, other)
    return common


def _chosen(values: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """The choice of a control; empty for none."""
    chosen = values.get(name, {}).get("choices")
    return str(chosen[0]) if isinstance(chosen, list) and chosen else ""


def _text(values: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """What was written into a control; empty for nothing."""
    text = values.get(name, {}).get("text")
    lines = text if isinstance(text, list) else [text]
    return "\n".join(line for line in lines if isinstance(line, str)).strip()


def import_lines(file: Path, output: Path) -> Iterator[str]:
    """Add the decisions of an export of Label Studio to the review file `output`; yields what was added.

    Decisions about other records stay; those about the same records are replaced, and counted.
    """
    if file.resolve() == output.resolve():
        raise ParameterError(f"{output}: is the export itself; give the review file another name")
    found = read_label_studio(file)
    if not found.decisions:
        why = f"; {found.faults[0]}" if found.faults else ""
        raise DataEngineError(f"{file}: no task has a decision that can be applied{why}")
    before = read_review(output)
    other = sum(before.get(name, one) != one for name, one in found.decisions.items())
    write_json(output, {**before, **found.decisions})
    yield (
        f"{output}: {len(found.decisions):,} decisions read, {other:,} of them in place of other ones; "
        f"{found.undecided:,} tasks are undecided"
    )
    yield from found.faults
