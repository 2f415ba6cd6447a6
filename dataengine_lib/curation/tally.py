"""Step 4: what is counted and kept as a sample while QAs stream by, so that memory does not grow with their number."""

from collections import Counter
from random import Random

import msgspec

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate, Item, Reject
from dataengine_lib.curation.check_counts import ChecksSummary
from dataengine_lib.curation.option_order import CHOICES
from dataengine_lib.curation.review import Decisions

EXAMPLES = 3  # dropped replies shown per reason, of different types where there are any
SAMPLE = 3  # kept QAs shown per question type
NO_TYPE = "unknown"  # where rows without a readable type are counted


class TypeCount(msgspec.Struct):
    """QAs kept and replies or QAs dropped of one question type, and why.

    `letters_before` and `letters_after` count the kept QAs by their right letter, A to D, as the teacher wrote them
    and as they are.
    """

    kept: int = 0
    dropped: int = 0
    by_reason: dict[str, int] = {}
    letters_before: list[int] = msgspec.field(default_factory=lambda: [0] * CHOICES)
    letters_after: list[int] = msgspec.field(default_factory=lambda: [0] * CHOICES)


class Counts(msgspec.Struct):
    """`post_process.json`. `kept` counts QAs; `dropped` replies, and QAs that were dropped after they were read.

    Of the kept QAs, `choices_stay` could not change the places of their choices, and `rationales_left_out` counts
    rationales whose letters could not be told. `reviewed` counts decisions by kind; those that accept or edit what a
    filter or a check had dropped are "dropped", "unknown" ones name no record. `checks` is what the checks beyond
    format found.
    """

    kept: int
    dropped: int
    by_reason: dict[str, int]
    by_type: dict[str, TypeCount]
    choices_stay: int = 0
    rationales_left_out: int = 0
    reviewed: dict[str, int] = {}
    checks: ChecksSummary = msgspec.field(default_factory=ChecksSummary)


class Tally:
    """Counts items as they come, and keeps a seeded sample of the kept QAs and a few rejects of every reason."""

    def __init__(self, seed: int = 0, decisions: Decisions | None = None) -> None:
        self.examples: dict[str, list[Reject]] = {}
        self._sample: dict[str, list[TrainRecord]] = {}
        self._by_type: dict[str, TypeCount] = {}
        self._rng = Random(seed)
        self._choices_stay = self._rationales_left_out = 0
        self._decisions = decisions or {}
        self._reviewed: dict[str, str] = {}  # what became of a decision, by its record's id

    def add(self, item: Item) -> None:
        """Count one more QA or reject."""
        if isinstance(item, Candidate):
            self._kept(item)
        else:
            self._dropped(item)

    def _type(self, name: str) -> TypeCount:
        count = self._by_type.get(name)
        if count is None:
            count = self._by_type[name] = TypeCount()
        return count

    def _kept(self, item: Candidate) -> None:
        record = item.record
        count = self._type(record.question_type)
        count.kept += 1
        count.letters_before[item.written_idx] += 1
        count.letters_after[record.correct_choice_idx] += 1
        self._choices_stay += item.choices_stay
        self._rationales_left_out += item.rationales_left_out
        if record.review:
            self._reviewed[record.record_id] = record.review
        shown = self._sample.setdefault(record.question_type, [])
        if len(shown) < SAMPLE:
            shown.append(record)
        elif (place := self._rng.randrange(count.kept)) < SAMPLE:  # every QA of the type is as likely
            shown[place] = record

    def _dropped(self, item: Reject) -> None:
        count = self._type(item.question_type or NO_TYPE)
        count.dropped += 1
        name = item.record_id or item.query_id  # a whole reply's query is the id of its first QA
        if decision := self._decisions.get(name):
            rejected = decision.decision == "reject"
            self._reviewed.setdefault(name, "reject" if rejected else "dropped")
        count.by_reason[item.reason] = count.by_reason.get(item.reason, 0) + 1
        shown = self.examples.setdefault(item.reason, [])
        if len(shown) < EXAMPLES:
            shown.append(item)
            return
        types = [reject.question_type for reject in shown]
        if item.question_type not in types and len(set(types)) < len(types):
            shown[next(place for place in (2, 1) if types[place] in types[:place])] = item

    @property
    def sample(self) -> list[TrainRecord]:
        """Up to SAMPLE kept QAs of every type, drawn at random."""
        return [record for records in self._sample.values() for record in records]

    def counts(self) -> Counts:
        """All counts so far, reasons from the most frequent on."""
        by_type = {name: self._by_type[name] for name in sorted(self._by_type)}
        reasons: dict[str, int] = {}
        for count in by_type.values():
            count.by_reason = _by_number(count.by_reason)
            for reason, number in count.by_reason.items():
                reasons[reason] = reasons.get(reason, 0) + number
        unknown = len(self._decisions) - len(self._reviewed)
        return Counts(
            kept=sum(count.kept for count in by_type.values()),
            dropped=sum(count.dropped for count in by_type.values()),
            by_reason=_by_number(reasons),
            by_type=by_type,
            choices_stay=self._choices_stay,
            rationales_left_out=self._rationales_left_out,
            reviewed=dict(Counter(self._reviewed.values())) | ({"unknown": unknown} if unknown else {}),
        )


def _by_number(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
