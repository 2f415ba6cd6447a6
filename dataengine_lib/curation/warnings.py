"""What step 4 warns of: replies that were dropped, types that lost all, and checks that could not judge."""

from pathlib import Path

import msgspec

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.core.statistics import wilson
from dataengine_lib.core.text import first_named
from dataengine_lib.curation.counts import PostProcessCounts, TypeCount
from dataengine_lib.errors import DataEngineError

_KEPT_SHARE = 0.5  # of all QAs and replies; a smaller share says that the teacher or a check does not fit
_FEW_RECORDS = 10  # training on fewer teaches a student these records, not a skill
_LOST_TYPE = 3  # dropped QAs of a type with none kept, from which it is named
_JUDGED_SHARE = 0.5  # of the QAs that reach a check that costs money


_EVEN = (0.4, 0.6)  # share of yes that teaches no preference
_MOST_NAMED = 5  # types with their share of yes


def _yes_share(count: TypeCount) -> float:
    return count.yes_no[0] / sum(count.yes_no) if count.yes_no is not msgspec.UNSET else 0.5


def _is_uneven(count: TypeCount) -> bool:
    """Whether the share of yes is out of `_EVEN`, and not by chance: an even share lies outside its interval."""
    if count.yes_no is msgspec.UNSET or _EVEN[0] <= _yes_share(count) <= _EVEN[1]:
        return False
    interval = wilson(count.yes_no[0], sum(count.yes_no))
    return not interval.low <= 0.5 <= interval.high


def check_any_kept(counts: PostProcessCounts, file: Path, rejects: Path) -> None:
    """Raise DataEngineError when there is no training record at all; `rejects` says why each reply was dropped."""
    if counts.kept:
        return
    raise DataEngineError(
        f"{file}: none of {counts.dropped:,} replies became a training record: {counted_reasons(counts.by_reason)}; "
        f"see {rejects}"
    )


def curation_warnings(counts: PostProcessCounts) -> list[str]:
    """A sentence for each kind of loss between the replies and the training data, and for uneven answers."""
    found = []
    total = counts.kept + counts.dropped
    if counts.kept < _KEPT_SHARE * total:
        found.append(
            f"only {counts.kept:,} of {total:,} became training records; dropped: {counted_reasons(counts.by_reason)}"
        )
    if counts.kept < _FEW_RECORDS:
        found.append(
            f"only {counts.kept} training record{'' if counts.kept == 1 else 's'}: too few to learn from"
        )
    lost = [name for name, count in counts.by_type.items() if not count.kept and count.dropped >= _LOST_TYPE]
    if lost:
        types = f"{len(lost)} type{'' if len(lost) == 1 else 's'}"
        found.append(f"no record is kept of {types}: {first_named(lost)}")
    uneven = [name for name, count in counts.by_type.items() if _is_uneven(count)]
    if uneven:
        share = ", ".join(f"{name} {_yes_share(counts.by_type[name]):.0%}" for name in uneven[:_MOST_NAMED])
        found.append(
            f"the answer of the yes/no questions is yes or no too often in {len(uneven)} type"
            f"{'' if len(uneven) == 1 else 's'}, from which a student learns to give it always; share of yes: {share}"
        )
    for name in ("second_answer", "blind_answer"):
        check = counts.checks.checks.get(name)
        # dropped ones were judged; later checks may have dropped more, so this is a lower bound
        if check and check.said < _JUDGED_SHARE * (counts.kept + check.dropped):
            found.append(
                f"{name}: judged only {check.said:,} of at least {counts.kept + check.dropped:,} questions"
            )
    return found
