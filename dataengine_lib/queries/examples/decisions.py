"""Step 2: a person's decisions about bad cases as in-context examples, kept in a file: use one, or never use it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.files import UNDECODABLE, json_value, write_json
from dataengine_lib.core.json_rows import json_rows_or_object
from dataengine_lib.core.text import first_named, shown, shown_key
from dataengine_lib.errors import ParameterError
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.sampling import QueryDraft

ExampleDecision = Literal["use", "never"]
USE: ExampleDecision = "use"
NEVER: ExampleDecision = "never"
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder()
_FORM = 'decisions about examples are {"QUESTION_ID": "use" or "never"}'
_MOST_NAMED = 3  # ids in a warning


@dataclass(frozen=True)
class DecidedCases:
    """The bad cases by type that prompts may show, and in `used` the places of those to prefer; `never` are the others.

    `warnings` are sentences about decisions without a bad case, and about types that are left without any.
    """

    cases: dict[str, list[BadCase]]
    used: dict[str, list[int]] = field(default_factory=dict)
    never: list[BadCase] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_example_decisions(file: Path) -> dict[str, ExampleDecision]:
    """The decisions by the bad case's id, as queries name it in `example_ids`.

    Raises DataEngineError when the file is missing or cannot be read, and ParameterError, in one line, when it holds
    something else or a value that is neither use nor never.
    """
    rows = json_rows_or_object(file)
    if isinstance(rows, list):
        raise ParameterError(f"{file}: {_FORM}; it {looks_like(file)}")
    decisions: dict[str, ExampleDecision] = {}
    wrong: list[str] = []
    for case, raw in rows.items():
        try:
            value = json_value(raw, _ANY)
        except UNDECODABLE:
            value = bytes(raw).decode(errors="replace")
        if value == USE:
            decisions[case] = USE
        elif value == NEVER:
            decisions[case] = NEVER
        else:
            wrong.append(f"{shown_key(case)} has {shown(value, 40)}")
    if wrong and not decisions:
        raise ParameterError(f"{file}: {_FORM}; {wrong[0]}; it {looks_like(file)}")
    if wrong:
        more = f", and {len(wrong) - 1:,} more are wrong" if len(wrong) > 1 else ""
        raise ParameterError(f"{file}: {wrong[0]}{more}; {_FORM}; correct or remove what is neither")
    return decisions


def write_example_decision(
    file: Path, case: str, decision: ExampleDecision | None
) -> dict[str, ExampleDecision]:
    """Add the decision about one bad case to the file, or remove it with None; the others stay. Returns all decisions.

    A file that does not exist yet is made. Raises as `read_example_decisions` does; then nothing is written.
    """
    decisions = read_example_decisions(file) if file.exists() else {}
    decisions.pop(case, None)
    if decision is not None:
        decisions[case] = decision
    write_json(file, decisions)
    return decisions


def apply_example_decisions(cases: Mapping[str, Sequence[BadCase]], file: Path | None) -> DecidedCases:
    """The bad cases by type after the decisions in `file`; without a file all of them, and none is preferred.

    Raises as `read_example_decisions` does, and ParameterError when every bad case is never to be used.
    """
    if file is None:
        return DecidedCases({kind: list(of_type) for kind, of_type in cases.items()})
    decisions = read_example_decisions(file)
    decided = DecidedCases({})
    for kind, of_type in cases.items():
        kept = [case for case in of_type if decisions.get(case.key) != NEVER]
        decided.cases[kind] = kept
        decided.used[kind] = [place for place, case in enumerate(kept) if decisions.get(case.key) == USE]
        decided.never.extend(case for case in of_type if decisions.get(case.key) == NEVER)
        if of_type and not kept:
            decided.warnings.append(f"{file}: no bad case of {kind} may be used, so it gets no queries")
    if decided.never and not any(decided.cases.values()):
        raise ParameterError(
            f"{file}: no bad case may be used, so no query can be written; remove some of its {len(decided.never):,} never"
        )
    known = {case.key for of_type in cases.values() for case in of_type}
    if unknown := [shown_key(case) for case in decisions if case not in known]:
        decided.warnings.append(
            f"{file}: {len(unknown):,} of its {len(decisions):,} decisions are about no bad case of this round "
            f"({first_named(unknown, _MOST_NAMED)}) and change nothing"
        )
    return decided


def with_used_anchors(
    drafts: Sequence[QueryDraft],
    groups: Mapping[str, Sequence[str]],
    used: Mapping[str, Collection[int]],
    rng: Random,
) -> list[QueryDraft]:
    """The drafts; those with a single example have one of the `used` cases (places by type) in its place.

    It is of the same group (answer kind and cause), which `groups` has for each case by type.
    """
    found = []
    for draft in drafts:
        if len(draft.examples) == 1 and (places := _of_group(draft, groups, used)):
            draft = replace(draft, examples=(rng.choice(places),))
        found.append(draft)
    return found


def with_used_examples(
    drafts: Sequence[QueryDraft],
    groups: Mapping[str, Sequence[str]],
    used: Mapping[str, Collection[int]],
    rng: Random,
) -> list[QueryDraft]:
    """The drafts with `used` cases of the anchor's group after the anchor, as far as there are any, then their own.

    The anchor stays, so that queries go on to ask about all weaknesses of a type; so does the number of examples.
    """
    found = []
    for draft in drafts:
        anchor, *others = draft.examples
        places = [place for place in _of_group(draft, groups, used) if place != anchor]
        if others and places:
            first = rng.sample(places, min(len(others), len(places)))
            rest = [place for place in others if place not in first]
            draft = replace(draft, examples=(anchor, *[*first, *rest][: len(others)]))
        found.append(draft)
    return found


def _of_group(
    draft: QueryDraft, groups: Mapping[str, Sequence[str]], used: Mapping[str, Collection[int]]
) -> list[int]:
    """The places of the used cases in the group of the draft's anchor, in order."""
    of_type = groups[draft.question_type]
    group = of_type[draft.examples[0]]
    return [place for place in used.get(draft.question_type, ()) if of_type[place] == group]
