"""Step 4: the QAs, kept and dropped, as a frame."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dataengine_lib.core.records import CHOICE, TrainRecord, right_answer
from dataengine_lib.curation.boxes.check import REFUTED
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.counts import right_place
from dataengine_lib.curation.difficulty.band import both_wrong
from dataengine_lib.frames.answers import letter
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.frames.queries import query_columns
from dataengine_lib.frames.read_files import read_rows

if TYPE_CHECKING:
    import pandas as pd


class CuratedQas(NamedTuple):
    """What step 4 kept and what it dropped, of one round."""

    kept: Iterable[TrainRecord]
    dropped: Iterable[Reject]


def records_frame(rounds: Mapping[int, CuratedQas]) -> "pd.DataFrame":
    """The QAs by round: those kept, then those dropped, in the order of the files.

    What was dropped has its reason and the teacher's text, and no question of its own.
    """
    rows: list[dict[str, Any]] = []
    for number, qas in rounds.items():
        rows += [_kept(number, record) for record in qas.kept]
        rows += [
            query_columns(reject) | {"round": number, "reason": reject.reason, "detail": reject.detail}
            for reject in qas.dropped
        ]
    return make_frame("records", rows)


def step_records_frame(output: Path, rejects: Path) -> "pd.DataFrame":
    """The QAs of one run of step 4, read from its two files."""
    kept = read_rows(output, TrainRecord, [])
    # a reject does not say its round: it is that of the records
    number = max((record.round for record in kept), default=0)
    return records_frame({number: CuratedQas(kept, read_rows(rejects, Reject, []))})


def failed_checks(record: TrainRecord) -> list[str]:
    """The checks, by the parameter that sets their mode, that a record failed although it was kept (mode `mark`).

    `difficulty` and `blind_classifier` are not among them: what they allow is in the step's parameters.
    """
    right = right_place(record)
    failed = {
        "box_check": record.box_check == REFUTED,
        "leaks": bool(record.leak),
        "near_duplicates": bool(record.near_duplicate_of),
        "second_answer": record.second_answer not in (None, right),
        "blind_answer": record.blind_answer == right,
        "both_wrong": bool(both_wrong(record)),
    }
    return [check for check, fails in failed.items() if fails]


def _kept(number: int, record: TrainRecord) -> dict[str, Any]:
    kind = record.answer_kind or CHOICE
    # a wrong index, as files of other programs may have it, gives no answer and no error
    known = not record.choices or 0 <= record.correct_choice_idx < len(record.choices)
    return query_columns(record) | {
        "round": number,
        "kept": True,
        "marks": failed_checks(record),
        "question": record.question,
        "choices": record.choices,
        "right_letter": letter(record.correct_choice_idx, kind),
        "right_answer": right_answer(record) if known else "",
        "correct_choice_idx": record.correct_choice_idx,
        "rationales": record.rationales,
        "short_answer": record.short_answer,
        "answer_kind": kind,
        "review": record.review,
        "box_check": record.box_check,
        "student_answer": record.student_answer,
        "student_probability": record.student_probability,
        "second_answer": record.second_answer,
        "blind_answer": record.blind_answer,
        "blind_score": record.blind_score,
        "leak": record.leak,
        "near_duplicate_of": record.near_duplicate_of,
        "example_ids": record.example_ids,
        "cause": "" if isinstance(record.cause, msgspec.UnsetType) else record.cause,
        "model": record.model,
        "request_key": record.request_key,
    }
