"""Bad cases of all rounds (step 1) as a list: filtered, searched, sorted and cut into pages; what the browser shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dataengine_lib.core.text import caseless_composed, one_line
from dataengine_lib.frames.answers import BROKEN, FIXED, STILL_WRONG
from dataengine_lib.queries.examples.decisions import NEVER, USE, ExampleDecision
from dataengine_lib.report.names import cut_to_width, plain_name, without_turning

if TYPE_CHECKING:
    import pandas as pd

    from dataengine_lib.runs.opened.opened_run import OpenedRun

NOT_KNOWN = "not known"  # outcome of a case that no later evaluation asks about
CASE_OUTCOMES = (FIXED, STILL_WRONG, BROKEN, NOT_KNOWN)
UNDECIDED = "undecided"
DECISIONS = (USE, NEVER, UNDECIDED)
NO_LETTER = "none"  # of an answer that names no option, and of questions without options
# how cases are ordered: the name, its column, and whether the largest come first
_ORDERS = {
    "most confident first": ("confidence", False),
    "least confident first": ("confidence", True),
    "by question type": ("question_type", True),
    "as in the files": ("", True),
}
ORDERS = tuple(_ORDERS)
MOST_ROWS_SHOWN = 200  # cases on one page of the list
_SEARCHED = (
    "question",
    "right_answer",
    "model_answer",
    "question_id",
    "image_id",
    "image_path",
    "question_type",
)
_LABEL_WIDTH = 100  # columns of a row of the list
_MARKS: dict[str, str] = {USE: "★", NEVER: "⊘"}


class CaseKey(NamedTuple):
    """Which bad case of a run: its round, and its question's id."""

    round: int
    question_id: str


@dataclass(frozen=True)
class CaseFilter:
    """Which cases are listed, and in which order; empty texts and no round let all pass.

    `outcome` is one of CASE_OUTCOMES (broken: right in the evaluation before), `letter` the option that the student chose
    or `none`, `decision` one of DECISIONS; every word of `text` must be in a case's question, options, answers or ids.
    """

    round: int | None = None
    question_type: str = ""
    outcome: str = ""
    letter: str = ""
    decision: str = ""
    text: str = ""
    order: str = ORDERS[0]


class CaseList:
    """The bad cases of an opened run; `frame` has its rows, with `broken`: right in the evaluation before."""

    def __init__(self, run: "OpenedRun") -> None:
        self.frame = run.bad_cases
        self.frame["broken"] = _broken(self.frame, run.answers)
        rows = self.frame[[*_SEARCHED, "choices"]].to_dict("records")
        self._texts = [
            caseless_composed(" ".join([*(row[name] for name in _SEARCHED), *map(str, row["choices"])]))
            for row in rows
        ]
        self.rounds: list[int] = sorted(set(self.frame["round"].tolist()))
        self.types: list[str] = sorted(set(self.frame["question_type"].tolist()))
        self.letters: list[str] = sorted({letter or NO_LETTER for letter in self.frame["chosen_letter"]})

    def __len__(self) -> int:
        return len(self.frame)

    def select(
        self, wanted: CaseFilter, decisions: Mapping[str, ExampleDecision] | None = None
    ) -> "pd.DataFrame":
        """The rows that pass the filter, in its order; `decisions` are those of a person, by question id."""
        frame = self.frame
        mask = (
            frame["round"] == wanted.round if wanted.round is not None else frame["round"] == frame["round"]
        )
        if wanted.question_type:
            mask &= _is(frame["question_type"], wanted.question_type)
        if wanted.outcome == BROKEN:
            mask &= frame["broken"].to_numpy(dtype=bool)
        elif wanted.outcome:
            mask &= _is(frame["outcome"], "" if wanted.outcome == NOT_KNOWN else wanted.outcome)
        if wanted.letter:
            mask &= _is(frame["chosen_letter"], "" if wanted.letter == NO_LETTER else wanted.letter)
        if wanted.decision:
            known = decisions or {}
            mask &= np.array(
                [known.get(case, UNDECIDED) == wanted.decision for case in frame["question_id"]], dtype=bool
            )
        if words := caseless_composed(wanted.text).split():
            mask &= np.array([all(word in text for word in words) for text in self._texts], dtype=bool)
        column, ascending = _ORDERS[wanted.order]
        found = frame[mask]
        # stable, so that equal ones keep the order of the files; those without a confidence come last
        return found.sort_values(column, ascending=ascending, kind="stable") if column else found

    def case(self, key: CaseKey) -> dict[str, Any] | None:
        """The row of that case, None where there is none."""
        frame = self.frame
        found = frame[(frame["round"] == key.round) & (frame["question_id"] == key.question_id)]
        rows: list[dict[str, Any]] = found.to_dict("records")
        return rows[0] if rows else None


def case_label(case: Mapping[str, Any], decision: ExampleDecision | None = None) -> str:
    """One line about a case: the decision's mark, the confidence, the round, its type and the question."""
    confidence = case["confidence"]
    sure = f"{confidence:.2f}" if confidence == confidence else "  – "  # NaN is not itself
    parts = [sure, f"round {case['round']}", plain_name(case["question_type"]), one_line(case["question"])]
    text = without_turning(" · ".join(parts))
    return f"{_MARKS.get(decision or '', ' ')} {cut_to_width(text, _LABEL_WIDTH)}"


def outcome_text(case: Mapping[str, Any]) -> str:
    """What became of a case: `broken in this round, fixed in the next`; empty where nothing is known."""
    before = "right in the evaluation before" if case["broken"] else ""
    after = {FIXED: "fixed in the next evaluation", STILL_WRONG: "still wrong in the next evaluation"}
    return ", ".join(filter(None, [before, after.get(case["outcome"], "")]))


def _is(column: "pd.Series", value: str) -> np.ndarray:
    return np.array([one == value for one in column], dtype=bool)


def _broken(cases: "pd.DataFrame", answers: "pd.DataFrame") -> list[bool]:
    """Of each case, whether the evaluation before its own answered it rightly."""
    rounds = sorted(set(answers["round"]))
    before = dict(zip(rounds[1:], rounds, strict=False))
    right = answers[answers["correct"]]
    known = set(zip(right["round"], right["question_id"], strict=True))
    return [
        bool(case) and (before.get(number), case) in known
        for number, case in zip(cases["round"], cases["question_id"], strict=True)
    ]
