"""Step 4: a person's decisions about single records, kept in a file so that every run applies them."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import msgspec

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value, write_json
from dataengine_lib.core.json_rows import json_rows_or_object
from dataengine_lib.core.records import CHOICE, MOST_CHOICES, OPEN, YES_NO, TrainRecord
from dataengine_lib.core.text import choice_key, shown_key
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, reject_candidate
from dataengine_lib.curation.counts import right_place
from dataengine_lib.curation.difficulty.band import both_wrong
from dataengine_lib.errors import ParameterError
from dataengine_lib.replies.boxes_in_text import has_box, mentions_boxes
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.letter_mentions import names_letters


class Decision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One value of the review file, `{record_id: {"decision": …}}`; an edit gives the fields that it changes.

    `choices` and `correct_choice_idx` come together, since an index means something only beside its choices. An edit of
    `rationales` that names letters needs both as well. Of a yes/no QA the choices are yes and no; of an open-ended one
    `short_answer` is the answer.
    """

    decision: Literal["accept", "reject", "edit"]
    question: str | None = None
    choices: list[str] | None = None
    correct_choice_idx: int | None = None
    rationales: list[str] | None = None
    short_answer: str | None = None
    note: str = ""


Decisions = Mapping[str, Decision]
_DECISION = msgspec.json.Decoder(Decision)
_NOT_A_REVIEW = 'no decisions; a review file is {"RECORD_ID": {"decision": "accept", "reject" or "edit"}}'
_MOST_NAMED = 5  # wrong decisions that the error names
_EDITABLE = ("question", "choices", "correct_choice_idx", "rationales", "short_answer")


def read_review(path: Path) -> dict[str, Decision]:
    """All decisions of the file; none if it does not exist yet.

    Raises ParameterError when the file holds something else, or with a line for each of the first invalid decisions
    that names the file and the record: none is passed over, since the record would be trained on.
    """
    if not Path(path).exists():
        return {}
    values = json_rows_or_object(path)
    if isinstance(values, list):
        raise ParameterError(f"{path}: {_NOT_A_REVIEW}; it {looks_like(path)}")
    decisions: dict[str, Decision] = {}
    wrong = []
    for name, value in values.items():
        try:
            decisions[name] = json_value(value, _DECISION)
            fault = decision_fault(decisions[name])
        except UNDECODABLE as error:
            fault = shown_key(decode_fault(error))
        if fault:
            wrong.append(f"{path}: {shown_key(name)}: {fault}; correct or remove this decision")
    # decisions of a person have one wrong here and there; without a single right one it is another file
    if len(wrong) == len(values) > 1 and not decisions:
        raise ParameterError(f"{path}: {_NOT_A_REVIEW}; it {looks_like(path)}")
    if wrong:
        more = [f"{path}: {len(wrong) - _MOST_NAMED:,} more decisions are wrong"] * (len(wrong) > _MOST_NAMED)
        raise ParameterError("\n".join([*wrong[:_MOST_NAMED], *more]))
    return decisions


def decision_fault(decision: Decision) -> str:
    """Why the decision cannot be applied, or empty: an edit has to result in a valid record."""
    given = [name for name in _EDITABLE if getattr(decision, name) is not None]
    if decision.decision != "edit":
        return f"{given[0]}: only an edit changes this" if given else ""
    if not given:
        return f"an edit changes one of {', '.join(_EDITABLE)}"
    question, choices, correct = decision.question, decision.choices, decision.correct_choice_idx
    if question is not None and not _has_words(question):
        return "question: is empty"
    if (choices is None) != (correct is None):
        return "choices and correct_choice_idx: an edit gives both or none"
    if choices is not None and correct is not None:
        count = len(choices)
        if not 2 <= count <= MOST_CHOICES or not all(map(_has_words, choices)):
            return f"choices: 2 to {MOST_CHOICES} non-empty ones are needed"
        if len({choice_key(choice) for choice in choices}) < count:
            return "choices: two say the same"
        if not 0 <= correct < count:
            return f"correct_choice_idx: {correct} is not an index of the choices, 0 to {count - 1}"
    if decision.short_answer is not None and not _has_words(decision.short_answer):
        return "short_answer: is empty"
    if not all(map(_has_words, decision.rationales or [])):
        return "rationales: one is empty"
    if names := _names_letters(decision):
        return names
    # the rule for a teacher's replies holds here too: students never see boxes
    texts = [("question", question or ""), ("short_answer", decision.short_answer or "")]
    for name, text in (*texts, *(("choices", choice) for choice in choices or [])):
        if has_box(text) or mentions_boxes(text):
            return f"{name}: {Reason.BOXES.value}"
    return ""


def _names_letters(decision: Decision, count: int = 4) -> str:
    """Why the decision's rationales need choices beside them, or empty; `count` choices, or four where it is unknown."""
    if decision.choices is None and any(names_letters(text, count) for text in decision.rationales or []):
        # the letters of a record's choices change with the seed and with the replies before it
        return "rationales: one names choices by letter or position; add choices and correct_choice_idx that go with it"
    return ""


def disagreement(record: TrainRecord) -> float:
    """The share of the pairs among the teacher and its second readers that name different choices; 0 without readers.

    Source: one minus the extent of agreement on one subject, Fleiss 1971.
    """
    named = [right_place(record), *record.second_answers.values()]
    pairs = list(combinations(named, 2))
    return sum(one != other for one, other in pairs) / len(pairs) if pairs else 0.0


def doubt(record: TrainRecord) -> float:
    """How early a person should see the record: its disagreement, and one more where neither student nor readers agree.

    0 where nothing speaks against the teacher's answer.
    """
    return disagreement(record) + bool(both_wrong(record))


def _has_words(text: str) -> bool:
    return bool(re.search(r"\w", text))


def write_decision(path: Path, record_id: str, decision: Decision | None) -> dict[str, Decision]:
    """Add one decision to the file, or remove it with None; the others stay. Returns all decisions.

    Raises ParameterError when the decision cannot be applied; then nothing is written.
    """
    if decision is not None and (fault := decision_fault(decision)):
        raise ParameterError(f"{path}: {record_id}: {fault}")
    decisions = read_review(path)
    decisions.pop(record_id, None)
    if decision is not None:
        decisions[record_id] = decision
    write_json(path, decisions)
    return decisions


def apply_review(items: Iterator[CandidateOrReject], decisions: Decisions) -> Iterator[CandidateOrReject]:
    """The items after the person's decisions: rejected QAs become rejects, edited ones are changed.

    Raises ParameterError for an edit that does not fit the kind of its record.
    """
    for item in items:
        decision = decisions.get(item.record.record_id) if isinstance(item, Candidate) else None
        if decision is None or not isinstance(item, Candidate):
            yield item
        elif decision.decision == "reject":
            yield reject_candidate(item, Reason.REVIEWER.value, decision.note)
        elif fault := _kind_fault(item.record, decision):
            raise ParameterError(f"review: {item.record.record_id}: {fault}; correct or remove this decision")
        else:
            record = msgspec.structs.replace(_edited(item.record, decision), review=decision.decision)
            yield msgspec.structs.replace(item, record=record)


def _kind_fault(record: TrainRecord, decision: Decision) -> str:
    """Why an edit does not fit the kind of its record, or empty."""
    kind = record.answer_kind or CHOICE
    if decision.choices is not None:
        if kind == OPEN:
            return "choices: the question is open-ended; edit its short_answer"
        if kind == YES_NO and decision.choices != record.choices:
            return "choices: the answer is yes or no; edit correct_choice_idx beside choices yes and no"
        if len(decision.choices) != len(record.choices):
            return f"choices: the record has {len(record.choices)}"
    if decision.short_answer is not None and kind != OPEN:
        return "short_answer: is edited of open-ended questions alone"
    # a decision alone does not show that there is a choice (E)
    return _names_letters(decision, len(record.choices))


def _edited(record: TrainRecord, decision: Decision) -> TrainRecord:
    """The record with the changes of the decision; a short answer that no longer fits the right choice is removed."""
    changes: dict[str, Any] = {
        name: value for name in _EDITABLE if (value := getattr(decision, name)) is not None
    }
    if changes.keys() - {"rationales"}:  # the checks judged the words that the edit replaces
        changes |= {"box_check": "", "second_answer": None, "blind_answer": None, "blind_score": None}
        changes |= {"second_answers": {}, "student_answer": None, "student_probability": None}
    if decision.choices is not None and decision.correct_choice_idx is not None:
        right = decision.choices[decision.correct_choice_idx]
        if choice_key(record.short_answer) != choice_key(right):
            changes["short_answer"] = ""
    return msgspec.structs.replace(record, **changes)
