"""Step 4: counts QAs while they stream by and keeps a small sample, so that memory does not grow with their number."""

from collections import Counter
from random import Random

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, Reject
from dataengine_lib.curation.counts import PostProcessCounts, TypeCount
from dataengine_lib.curation.reviews.decisions import Decisions

EXAMPLES = 3  # dropped replies shown per reason, of different types where there are any
SAMPLE = 3  # kept QAs shown per question type
UNKNOWN_TYPE = "unknown"  # where rows without a readable type are counted


class Tally:
    """Counts items as they come, and keeps a seeded sample of the kept QAs and a few rejects of every reason."""

    def __init__(self, seed: int = 0, decisions: Decisions | None = None) -> None:
        self.examples: dict[str, list[Reject]] = {}
        self._sample: dict[str, list[TrainRecord]] = {}
        self._by_type: dict[str, TypeCount] = {}
        self._rng = Random(seed)
        self._choices_stay = self._rationales_left_out = 0
        self._decisions = decisions or {}
        self._reviewed: dict[str, str] = {}  # outcome of each decision, by record id

    def add(self, item: CandidateOrReject) -> None:
        """Count one QA or reject."""
        if isinstance(item, Candidate):
            self._add_kept(item)
        else:
            self._add_dropped(item)

    def _type(self, name: str) -> TypeCount:
        count = self._by_type.get(name)
        if count is None:
            count = self._by_type[name] = TypeCount()
        return count

    def _add_kept(self, item: Candidate) -> None:
        record = item.record
        count = self._type(record.question_type)
        count.kept += 1
        count.add_answer(record, item.written_idx)
        self._choices_stay += item.choices_stay
        self._rationales_left_out += item.rationales_left_out
        if record.review:
            self._reviewed[record.record_id] = record.review
        shown = self._sample.setdefault(record.question_type, [])
        if len(shown) < SAMPLE:
            shown.append(record)
        elif (place := self._rng.randrange(count.kept)) < SAMPLE:  # reservoir sampling
            shown[place] = record

    def _add_dropped(self, item: Reject) -> None:
        count = self._type(item.question_type or UNKNOWN_TYPE)
        count.dropped += 1
        name = item.record_id or item.query_id  # for a whole reply, the query id is the id of its first QA
        if decision := self._decisions.get(name):
            agrees = decision.decision == "reject"
            self._reviewed.setdefault(name, "reject" if agrees else "dropped")
        count.by_reason[item.reason] = count.by_reason.get(item.reason, 0) + 1
        shown = self.examples.setdefault(item.reason, [])
        if len(shown) < EXAMPLES:
            shown.append(item)
            return
        # replace an example whose type is shown already by one of a type that is not
        types = [reject.question_type for reject in shown]
        if item.question_type not in types and len(set(types)) < len(types):
            # the last one that repeats a type; with three examples that is place 2 or 1
            shown[next(place for place in (2, 1) if types[place] in types[:place])] = item

    @property
    def sample(self) -> list[TrainRecord]:
        """Up to SAMPLE kept QAs of every type, drawn at random."""
        return [record for records in self._sample.values() for record in records]

    def counts(self) -> PostProcessCounts:
        """All counts so far; reasons in order of frequency."""
        by_type = {name: self._by_type[name] for name in sorted(self._by_type)}
        reasons: dict[str, int] = {}
        for count in by_type.values():
            count.by_reason = _by_frequency(count.by_reason)
            for reason, number in count.by_reason.items():
                reasons[reason] = reasons.get(reason, 0) + number
        unknown = len(self._decisions) - len(self._reviewed)
        return PostProcessCounts(
            kept=sum(count.kept for count in by_type.values()),
            dropped=sum(count.dropped for count in by_type.values()),
            by_reason=_by_frequency(reasons),
            by_type=by_type,
            choices_stay=self._choices_stay,
            rationales_left_out=self._rationales_left_out,
            reviewed=dict(Counter(self._reviewed.values())) | ({"unknown": unknown} if unknown else {}),
        )


def _by_frequency(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
