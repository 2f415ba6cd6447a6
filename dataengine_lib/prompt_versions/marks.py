"""Prompt studio: what was wrong with a version's QAs, by checks and by people, as the teacher of rules gets it."""

from collections.abc import Mapping

from dataengine_lib.prompt_versions.trials import PersonMark, QueryOutcome, Trial
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.teachers.prompt_rules.prompts import MarkGroup

_EXAMPLES = 3  # of a reason, that the request shows
_MOST_GROUPS = 12
_BY_PERSON = "wrong, says a person"
# Nothing that rules should prevent: a skip is right where an image supports no question of the type.
_NO_FAULT = {Reason.SKIPPED.value}


def mark_groups(trial: Trial, marks: Mapping[str, PersonMark] | None = None) -> list[MarkGroup]:
    """What was wrong with the trial's QAs, the most frequent first; skips are no fault.

    A QA that a person calls right is not marked by a check, and one that a person calls wrong only by the person.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in trial.outcomes:
        mark = (marks or {}).get(one.query_id)
        if mark is not None:
            if mark.wrong:
                groups.setdefault(_BY_PERSON, []).append((reply_text(one), mark.why))
        elif one.reason and one.reason not in _NO_FAULT:
            detail = one.reject.detail if one.reject is not None else ""
            groups.setdefault(one.reason, []).append((reply_text(one), detail))
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [MarkGroup(wrong, len(shown), shown[:_EXAMPLES]) for wrong, shown in ordered[:_MOST_GROUPS]]


def reply_text(outcome: QueryOutcome) -> str:
    """The reply that an outcome comes from; empty where there was none."""
    row = outcome.record or outcome.reject
    return row.raw_instructions if row is not None else ""
