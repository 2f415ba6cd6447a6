"""Step 4: two people's review files as one, and how well they agree; what they decide differently stays undecided."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataengine_lib.core.files import write_json
from dataengine_lib.core.text import one_line, shown, shown_key
from dataengine_lib.curation.reviews.decisions import Decision, Decisions, read_review
from dataengine_lib.errors import DataEngineError, ParameterError

_NOTE = 60  # characters of a note in a line


class ReviewAgreement(NamedTuple):
    """How two people agree about the `both` records that both decided: `same` are those with the same kind of decision.

    `kappa` is Cohen's of accept, reject and edit: 1 for full agreement, 0 for that of chance. It is None where nothing was
    decided by both, and where both gave all records one and the same decision: chance alone would then agree always.
    """

    both: int
    same: int
    kappa: float | None

    def sentence(self) -> str:
        """The agreement in words."""
        if not self.both:
            return "No record was decided by both, so their agreement is not known."
        same, both = f"{self.same:,}", f"{self.both:,}"
        share = (
            f"{same} of {both} records that both decided got the same decision ({self.same / self.both:.1%})"
        )
        if self.kappa is None:
            return f"{share}. Cohen's kappa is not defined: each gave all of them that one decision."
        return f"{share}. Cohen's kappa is {self.kappa:.2f} (0: chance, 1: full agreement)."


class Conflict(NamedTuple):
    """A record that two people decide differently, or edit differently."""

    record_id: str
    first: Decision
    second: Decision


class MergedReview(NamedTuple):
    """The decisions on which two people agree or that one alone made, and the conflicts, which are not among them."""

    decisions: dict[str, Decision]
    conflicts: list[Conflict]
    agreement: ReviewAgreement


def merge_reviews(first: Decisions, second: Decisions) -> MergedReview:
    """Two people's decisions as one review, in the order of the first file, then of the second."""
    merged: dict[str, Decision] = {}
    conflicts = []
    for name in [*first, *(name for name in second if name not in first)]:
        one, other = first.get(name), second.get(name)
        if one is not None and other is not None:
            found = merged_decision(one, other)
            if found is None:
                conflicts.append(Conflict(name, one, other))
                continue
        else:
            found = one or other
        if found is not None:
            merged[name] = found
    return MergedReview(merged, conflicts, review_agreement(first, second))


def merged_decision(first: Decision, second: Decision) -> Decision | None:
    """The one decision of two people, with both notes; None where they differ."""
    same = msgspec.structs.replace(first, note="") == msgspec.structs.replace(second, note="")
    notes = " / ".join(dict.fromkeys(filter(None, (first.note, second.note))))
    return msgspec.structs.replace(first, note=notes) if same else None


def review_agreement(first: Decisions, second: Decisions) -> ReviewAgreement:
    """How two people agree about the records that both decided.

    Source: Cohen 1960, A coefficient of agreement for nominal scales; computed by scikit-learn.
    """
    from sklearn.metrics import cohen_kappa_score

    shared = [name for name in first if name in second]
    pairs = [(first[name].decision, second[name].decision) for name in shared]
    same = sum(one == other for one, other in pairs)
    if len({kind for pair in pairs for kind in pair}) < 2:
        return ReviewAgreement(len(pairs), same, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a kappa that is not a number is dealt with above
        kappa = cohen_kappa_score([one for one, _ in pairs], [other for _, other in pairs])
    return ReviewAgreement(len(pairs), same, float(kappa))


def merge_lines(first: Path, second: Path, output: Path) -> Iterator[str]:
    """Write the merged decisions of two review files to `output`; yields what was merged, and a line for each conflict.

    Raises ParameterError for an output that is one of the files or holds decisions that would be lost, DataEngineError for
    a file without decisions.
    """
    if output.resolve() in (first.resolve(), second.resolve()):
        raise ParameterError(f"{output}: is one of the two files; give the merged review another name")
    if first.resolve() == second.resolve():
        raise ParameterError(f"{first}: is given twice; give two people's review files")
    reviews = []
    for file in (first, second):
        reviews.append(read_review(file))
        if not reviews[-1]:
            raise DataEngineError(
                f"{file}: {'holds no decisions' if file.exists() else 'no such file'}; give a review file of step 4"
            )
    merged = merge_reviews(*reviews)
    if lost := [name for name, one in read_review(output).items() if merged.decisions.get(name) != one]:
        raise ParameterError(
            f"{output}: holds {len(lost):,} decisions that the merged review does not, first {shown_key(lost[0])}; "
            "choose another output"
        )
    write_json(output, merged.decisions)
    both = len(reviews[0].keys() & reviews[1].keys())
    alone = [len(review) - both for review in reviews]
    yield (
        f"{output}: {len(merged.decisions):,} decisions, {len(merged.decisions) - sum(alone):,} by both, {alone[0]:,} by "
        f"{first.name} alone, {alone[1]:,} by {second.name} alone"
    )
    yield merged.agreement.sentence()
    if merged.conflicts:
        yield f"{len(merged.conflicts):,} conflicts, left undecided:"
    for one in merged.conflicts:
        yield f"  {one_line(one.record_id)}: {_said(first, one.first)}; {_said(second, one.second)}"


def _said(file: Path, decision: Decision) -> str:
    note = f" ({shown(one_line(decision.note), _NOTE)})" if decision.note else ""
    return f"{file.name} {decision.decision}{note}"
