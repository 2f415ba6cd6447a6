"""Two people's review files: what is merged, what stays undecided, and how well the two agree."""

import json
from pathlib import Path

import pytest

from dataengine_lib.curation.reviews.decisions import Decision, read_review
from dataengine_lib.curation.reviews.merge import merge_lines, merge_reviews, review_agreement
from dataengine_lib.errors import DataEngineError, ParameterError

A, R = Decision(decision="accept"), Decision(decision="reject")


def edit(question: str, note: str = "") -> Decision:
    return Decision(decision="edit", question=question, note=note)


def review(kinds: str) -> dict[str, Decision]:
    """`ar-` is: q-0 accepted, q-1 rejected, q-2 not decided."""
    known = {"a": A, "r": R, "e": edit("What?")}
    return {f"q-{place}": known[kind] for place, kind in enumerate(kinds) if kind != "-"}


def test_same_decisions_and_those_of_one_person_are_merged() -> None:
    first = {
        "q-1": A,
        "q-2": Decision(decision="reject", note="blurred"),
        "q-3": A,
        "q-4": edit("What?", "x"),
        "q-5": edit("What?"),
    }
    second = {
        "q-9": R,
        "q-5": edit("Why?"),
        "q-4": edit("What?", "x"),
        "q-3": R,
        "q-2": Decision(decision="reject", note="dark"),
    }
    merged = merge_reviews(first, second)
    assert merged.decisions == {
        "q-1": A,
        "q-2": Decision(decision="reject", note="blurred / dark"),
        "q-4": edit("What?", "x"),
        "q-9": R,
    }
    assert list(merged.decisions) == ["q-1", "q-2", "q-4", "q-9"]
    assert [one.record_id for one in merged.conflicts] == ["q-3", "q-5"]
    # two edits are the same kind of decision, whatever they change
    assert (merged.agreement.both, merged.agreement.same) == (4, 3)


def test_kappa_of_a_table_by_hand() -> None:
    """Observed 7 of 10; by chance 0.5 × 0.6 + 0.4 × 0.3 + 0.1 × 0.1 = 0.43; so (0.70 - 0.43) / 0.57."""
    found = review_agreement(review("aaaaarrrre--"), review("aaaarrraae-r"))
    assert (found.both, found.same) == (10, 7) and found.kappa == pytest.approx(0.27 / 0.57)
    assert "7 of 10 records that both decided got the same decision (70.0%)" in found.sentence()
    assert "Cohen's kappa is 0.47" in found.sentence()
    # one who accepts everything agrees as chance does
    assert review_agreement(review("aaaa"), review("aarr")).kappa == 0


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("aa--", "--rr", "No record was decided by both"),
        ("aaa", "aa-", "kappa is not defined: each gave all"),
    ],
)
def test_where_kappa_is_not_defined_it_says_so(first: str, second: str, text: str) -> None:
    found = review_agreement(review(first), review(second))
    assert found.kappa is None and text in found.sentence()


def write(file: Path, decisions: dict[str, object]) -> Path:
    file.write_text(json.dumps(decisions))
    return file


def test_the_files_are_merged_and_conflicts_listed(tmp_path: Path) -> None:
    anna = write(tmp_path / "anna.json", {"q-1": {"decision": "accept"}, "q-2": {"decision": "accept"}})
    two = {"q-2": {"decision": "reject", "note": "no\x1b[31m such\nanimal"}, "q-3": {"decision": "reject"}}
    ben, output = write(tmp_path / "ben.json", two), tmp_path / "merged.json"
    lines = list(merge_lines(anna, ben, output))
    assert read_review(output) == {"q-1": A, "q-3": R}
    assert lines == [
        f"{output}: 2 decisions, 0 by both, 1 by anna.json alone, 1 by ben.json alone",
        "0 of 1 records that both decided got the same decision (0.0%). "
        "Cohen's kappa is 0.00 (0: chance, 1: full agreement).",
        "1 conflicts, left undecided:",
        lines[-1],
    ]
    assert lines[-1].startswith("  q-2: anna.json accept; ben.json reject (") and "\n" not in lines[-1]
    assert list(merge_lines(anna, ben, output)) == lines, "again, with the same result"
    write(output, {"q-2": {"decision": "accept"}})  # a conflict that was decided since
    with pytest.raises(
        ParameterError, match=r"merged\.json: holds 1 decisions that the merged review does not"
    ):
        list(merge_lines(anna, ben, output))
    assert read_review(output) == {"q-2": A}


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    anna = write(tmp_path / "anna.json", {"q-1": {"decision": "accept"}})
    for files, message in (
        ((anna, anna, tmp_path / "m.json"), "is given twice"),
        ((anna, tmp_path / "ben.json", tmp_path / "m.json"), r"ben\.json: no such file"),
        ((anna, write(tmp_path / "empty.json", {}), tmp_path / "m.json"), r"empty\.json: holds no decisions"),
        (
            (anna, write(tmp_path / "b.json", {"q-1": {"decision": "reject"}}), anna),
            "is one of the two files",
        ),
    ):
        with pytest.raises(DataEngineError, match=message):
            list(merge_lines(*files))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna.json", "b.json", "empty.json"]
