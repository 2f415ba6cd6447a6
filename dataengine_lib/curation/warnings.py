"""What step 4 warns of: replies that were dropped, types that lost all, and checks that could not judge."""

from pathlib import Path

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.core.text import first_named
from dataengine_lib.curation.counts import PostProcessCounts
from dataengine_lib.errors import DataEngineError

_KEPT_SHARE = 0.5  # of all QAs and replies; a teacher that answers what it is asked keeps more
_FEW_RECORDS = 10  # training on fewer teaches a student these records, not a skill
_LOST_TYPE = 3  # dropped QAs of a type with none kept, from which it is named
_JUDGED_SHARE = 0.5  # of the QAs that reach a check with money in it


def check_any_kept(counts: PostProcessCounts, file: Path, rejects: Path) -> None:
    """Raise DataEngineError when there is no training record at all; `rejects` says why each reply was dropped."""
    if counts.kept:
        return
    raise DataEngineError(
        f"{file}: none of {counts.dropped:,} replies became a training record: {counted_reasons(counts.by_reason)}; "
        f"see {rejects}"
    )


def curation_warnings(counts: PostProcessCounts) -> list[str]:
    """A sentence for each way in which the training data is less than the replies promised."""
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
    for name in ("second_answer", "blind_answer"):
        check = counts.checks.checks.get(name)
        # dropped ones were judged; later checks may have dropped more, so this is a lower bound
        if check and check.said < _JUDGED_SHARE * (counts.kept + check.dropped):
            found.append(
                f"{name}: judged only {check.said:,} of at least {counts.kept + check.dropped:,} questions"
            )
    return found
