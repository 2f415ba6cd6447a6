"""Prompt studio: what came of a version's queries, with intervals, and two versions on the same queries."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from dataengine_lib.core.records import ImageId, Query, TrainRecord, image_name
from dataengine_lib.core.statistics import Gain, Interval, PairedGains, wilson
from dataengine_lib.curation.boxes.check import REFUTED, SUPPORTED
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.counts import right_place
from dataengine_lib.replies.drop_reasons import Reason

_REFUTED_BY = {Reason.REFUTED.value, Reason.SECOND_READER.value}


class PersonMark(msgspec.Struct, frozen=True):
    """What a person says of a query's QA: wrong and why, or right."""

    wrong: bool
    why: str = ""


class QueryOutcome(msgspec.Struct, kw_only=True):
    """A query of step 2, by its id there, with the QA that was kept, or what was dropped; `failure`: no usable reply."""

    query_id: str
    question_type: str
    image_id: ImageId
    image_path: str = ""
    record: TrainRecord | None = None
    reject: Reject | None = None
    failure: str = ""

    @property
    def image(self) -> str:
        """A name of its image."""
        return image_name(self.image_id, self.image_path)

    @property
    def kept(self) -> bool:
        """Whether a QA of it passes the checks."""
        return self.record is not None

    @property
    def reason(self) -> str:
        """Why there is none, in the words of step 4; empty for a kept one."""
        if self.record is not None:
            return ""
        return self.reject.reason if self.reject is not None else self.failure

    def right(self, mark: PersonMark | None = None) -> bool | None:
        """Whether the answer is right: by a person, else the second readers, else the boxes; None: not known."""
        if mark is not None:
            return not mark.wrong
        if self.record is None:
            return False if self.reason in _REFUTED_BY else None
        if self.record.second_answer is not None:
            return self.record.second_answer == right_place(self.record)
        return {SUPPORTED: True, REFUTED: False}.get(self.record.box_check)


class Trial(msgspec.Struct, kw_only=True):
    """A version's QAs to some queries, and what the teacher's replies cost; None where a price is unknown."""

    version: str
    queries: str  # the name of the set of queries
    outcomes: list[QueryOutcome]
    cost_usd: float | None = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    made_with: str = ""  # a key of its prompts and settings

    @property
    def kept(self) -> int:
        """How many queries gave a QA that passes the checks."""
        return sum(one.kept for one in self.outcomes)


class TrialFigures(NamedTuple):
    """Shares of a trial's queries with 95 % Wilson intervals; `right` is of the QAs that somebody or a check can judge."""

    queries: int
    kept: int
    kept_interval: Interval
    judged: int
    right: int
    right_interval: Interval
    usd_per_kept: float | None


def trial_figures(trial: Trial, marks: Mapping[str, PersonMark] | None = None) -> TrialFigures:
    """The figures of a trial; `marks` of a person count before checks as to what is right."""
    judged = [one.right((marks or {}).get(one.query_id)) for one in trial.outcomes]
    known = [right for right in judged if right is not None]
    kept, queries = trial.kept, len(trial.outcomes)
    per_kept = None if trial.cost_usd is None or not kept else trial.cost_usd / kept
    return TrialFigures(
        queries,
        kept,
        wilson(kept, queries),
        len(known),
        sum(known),
        wilson(sum(known), len(known)),
        per_kept,
    )


def kept_rate(trial: Trial) -> str:
    """How many of a trial's queries give a kept QA, in words, with the share's 95 % Wilson interval."""
    found = trial_figures(trial)
    rate, low, high = (100 * share for share in (found.kept / max(1, found.queries), *found.kept_interval))
    return f"{found.kept} of {found.queries} held-out queries ({rate:.1f} %, 95 % interval {low:.1f} to {high:.1f})"


class TrialComparison(NamedTuple):
    """Two versions on the same queries: QAs kept only after or only before, the gain of the keep rate, and its p-value."""

    queries: int
    fixed: int
    broken: int
    gain: Gain
    p_value: float


def compare_trials(before: Trial, after: Trial, seed: int = 0) -> TrialComparison:
    """By the queries that both have; interval and p-value are by images, which queries may share.

    Sources: the sign-flip test and the bootstrap of PairedGains; with one query an image the test is McNemar's exact one.
    """
    earlier = {one.query_id: one for one in before.outcomes}
    pairs = [(earlier[one.query_id], one) for one in after.outcomes if one.query_id in earlier]
    changes = np.array([float(new.kept) - float(old.kept) for old, new in pairs])
    fixed, broken = int((changes > 0).sum()), int((changes < 0).sum())
    if pairs:
        images = [new.image for _, new in pairs]
        gains = PairedGains({"all": np.ones(len(pairs), bool)}, changes, images, seed=seed)
        gain, tested = gains.gain("all"), gains.p_value(["all"])
    else:
        gain, tested = Gain(0.0, -1.0, 1.0, 0, 0), 1.0
    return TrialComparison(len(pairs), fixed, broken, gain, tested)


def query_outcome(
    query: Query, records: Sequence[TrainRecord], rejects: Sequence[Reject], failure: str = ""
) -> QueryOutcome:
    """A query's outcome from step 4's rows of its reply; of several QAs the first that was kept, else the first."""
    return QueryOutcome(
        query_id=query.query_id,
        question_type=query.question_type,
        image_id=query.image_id,
        image_path=query.image_path,
        record=records[0] if records else None,
        reject=rejects[0] if rejects and not records else None,
        failure=failure if not records and not rejects else "",
    )
