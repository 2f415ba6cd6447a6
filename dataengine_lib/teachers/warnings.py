"""What step 3 warns of: queries without a reply, and replies that no training record can come from."""

from collections import Counter
from collections.abc import Sequence

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.core.records import Query, Result
from dataengine_lib.core.text import first_named, shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.teachers.reply_files import Failure

_UNUSABLE_SHARE = (
    0.5  # of the replies, from which the prompt or the teacher is at fault more than single images
)


def check_answered(results: int, failures: Sequence[Failure], max_share: float, file: object) -> None:
    """Raise DataEngineError when a larger share than `max_share` of the queries asked got no usable reply.

    `file` holds the failures, for the message; replies that came are kept, so the next run asks for the rest alone.
    """
    asked = results + len(failures)
    if not failures or (results and len(failures) <= max_share * asked):
        return
    number = f"none of {asked:,}" if not results else f"only {results:,} of {asked:,}"
    remedy = f"; correct that and run once more, or raise max_failed_share ({max_share})" if results else ""
    raise DataEngineError(f"{file}: {number} queries got a usable reply; first: {failures[0].reason}{remedy}")


def reply_warnings(
    queries: Sequence[Query], results: Sequence[Result], failures: Sequence[Failure], stopped: str
) -> list[str]:
    """A sentence for each way in which the replies to `queries` are fewer, or worth less, than was asked for.

    `stopped` says why the rest was not asked, as with a budget that is used up.
    """
    found = []
    if failures:
        found.append(
            f"{len(failures):,} of {len(queries):,} queries got no usable reply, the first: "
            f"{shown(failures[0].reason, 200)}"
        )
    if unasked := len(queries) - len(results) - len(failures):
        found.append(
            f"{unasked:,} of {len(queries):,} queries were not asked{'; ' if stopped else ''}{stopped}"
        )
    dropped = [(row, reason) for row in results if isinstance(reason := parse_result(row), Reason)]
    if len(dropped) > _UNUSABLE_SHARE * len(results):
        reasons = Counter(str(reason) for _, reason in dropped)
        found.append(
            f"no question can be read from {len(dropped):,} of {len(results):,} replies: {counted_reasons(reasons)}"
        )
    if skipped := _skipped_types(results, dropped):
        types = f"{len(skipped)} type{'' if len(skipped) == 1 else 's'}"
        found.append(f"the teacher skips every query of {types}: {first_named(skipped)}")
    return found


def _skipped_types(results: Sequence[Result], dropped: Sequence[tuple[Result, Reason]]) -> list[str]:
    """Types of which every reply is a Skip; a type with one reply says nothing."""
    replies = Counter(row.question_type for row in results)
    skips = Counter(row.question_type for row, reason in dropped if reason is Reason.SKIPPED)
    return sorted(name for name, number in replies.items() if skips[name] == number > 1)
