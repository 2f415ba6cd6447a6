"""Step 4: the result of a check on one record, and what follows from it: columns are set, failing QAs dropped."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate, CandidateOrReject, reject_candidate
from dataengine_lib.curation.counts import CheckCount
from dataengine_lib.curation.settings import CheckMode
from dataengine_lib.replies.drop_reasons import Reason


class CheckResult(NamedTuple):
    """What a check says about one record: the columns to set, whether it could judge it, if it fails, and why."""

    columns: Mapping[str, Any] = MappingProxyType({})
    judged: bool = True
    fails: bool = False
    why: str = ""


Judge = Callable[[Iterator[TrainRecord]], Iterator[CheckResult]]


def apply_check(
    items: Iterator[CandidateOrReject], judge: Judge, mode: CheckMode, reason: Reason, count: CheckCount
) -> Iterator[CandidateOrReject]:
    """The items with what `judge` says about the candidates, which gives one result per record, in order.

    With mode `drop`, candidates that fail become rejects with `reason`. `count` is brought up to date on the way.
    """
    read: deque[CandidateOrReject] = deque()  # items that the judge has not given a result for; few

    def records() -> Iterator[TrainRecord]:
        for item in items:
            read.append(item)
            if isinstance(item, Candidate):
                yield item.record

    for result in judge(records()):
        # rejects of earlier stages keep their place in the stream
        while not isinstance(item := read.popleft(), Candidate):
            yield item
        count.said += result.judged
        count.marked += result.fails
        if result.fails and mode == "drop":
            count.dropped += 1
            yield reject_candidate(item, reason.value, result.why)
        else:
            for column, value in result.columns.items():
                setattr(item.record, column, value)
            yield item
    for item in read:
        assert not isinstance(item, Candidate), "a judge gives one result per record"
        yield item
