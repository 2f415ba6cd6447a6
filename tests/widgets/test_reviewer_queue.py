"""The Reviewer's queue and session without widgets: which records, in which order, what is written and undone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from reviewing.review_records import record, reject

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.curation.reviews.decisions import Decision, read_review
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.widgets.review.queue import (
    DROPPED,
    KEPT,
    ReviewFilter,
    ReviewItem,
    read_review_items,
    reason_counts,
    review_items,
    type_counts,
)
from dataengine_lib.widgets.review.session import ReviewSession

ACCEPT, REJECT = Decision(decision="accept"), Decision(decision="reject")


def items() -> list[ReviewItem]:
    kept = [
        record(0),
        record(1, second_answers={"a": 1, "b": 0, "c": 1}, second_answer=1),
        record(2, second_answers={"a": 0, "b": 2}, second_answer=-1, student_answer=3, question_type="color"),
        record(3, blind_answer=1),
        record(4, blind_score=0.9, leak="image 7"),
        record(5, blind_score=0.4, box_check="supported", student_answer=0),
    ]
    dropped = [
        reject("q-6", Reason.LEAK.value, detail="the image"),
        reject("q-7", Reason.SECOND_READER.value, detail="says 'oak'"),
        reject("q-8", Reason.BLIND.value),
        reject("", Reason.SKIPPED.value, query_id="q-9"),
        reject("", Reason.MALFORMED.value, question_type=""),
        reject("", Reason.DUPLICATE.value, query_id="q-1"),  # of another reply to the same query
    ]
    return review_items(kept, dropped)


def names(found: list[ReviewItem]) -> list[str]:
    return [item.name for item in found]


def test_most_disagreement_comes_first_and_dropped_ones_last() -> None:
    found = items()
    assert names(found) == ["q-2", "q-1", "q-0", "q-3", "q-4", "q-5", "q-7", "q-6", "q-8", "q-9", "", ""]
    assert [item.doubt for item in found[:3]] == [2.0, 0.5, 0.0]
    assert type_counts(found) == {"": 1, "color": 1, "ocr": 10}
    assert sum(reason_counts(found).values()) == 6


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (ReviewFilter(question_type="color"), "q-2"),
        (ReviewFilter(state=KEPT), "q-2 q-1 q-0 q-3 q-4 q-5"),
        (ReviewFilter(state=DROPPED, question_type="ocr"), "q-7 q-6 q-8 q-9 "),
        (ReviewFilter(state=Reason.LEAK.value), "q-6"),
        (ReviewFilter(undecided=True), "q-2 q-1 q-4 q-5 q-7 q-8 q-9"),
        (ReviewFilter(marked=True), "q-2 q-3 q-4 q-7 q-6 q-8"),
        (ReviewFilter(blind=True), "q-3 q-4 q-8"),
        (ReviewFilter(disputed=True), "q-2 q-1 q-7"),
        (ReviewFilter(state=KEPT, marked=True, blind=True, undecided=True), "q-4"),
    ],
)
def test_filters(shown: ReviewFilter, expected: str) -> None:
    decisions = {"q-0": ACCEPT, "q-3": REJECT, "q-6": ACCEPT}
    assert " ".join(names([item for item in items() if shown.admits(item, decisions)])) == expected


def test_all_records_of_the_files_are_there_also_beside_a_damaged_row(tmp_path: Path) -> None:
    rows = [*(record(number) for number in range(300)), {"question": "no record"}]
    write_json(tmp_path / "train.json", rows)
    write_jsonl(tmp_path / "rejects.jsonl", [reject(f"r-{number}", "no answer") for number in range(200)])
    warnings: list[str] = []
    found = read_review_items(tmp_path / "train.json", tmp_path / "rejects.jsonl", warnings)
    assert names(found) == [*(f"q-{n}" for n in range(300)), *(f"r-{n}" for n in range(200))]
    assert len(warnings) == 1 and "train.json" in warnings[0]


def test_the_way_through_a_queue(tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    file.write_text('{"q-2": {"decision": "accept"}, "of another step": {"decision": "reject"}}')
    session = ReviewSession(items(), file)
    assert session.item and session.item.name == "q-1", "the first undecided one"
    session.write_note("blurred")
    assert list(read_review(file)) == ["q-2", "of another step"] and session.note == "blurred"
    session.decide(Decision(decision="reject", note=session.note))
    session.write_note("very blurred")
    assert read_review(file)["q-1"] == Decision(decision="reject", note="very blurred")
    assert session.counts() == {"accept": 1, "reject": 1, "edit": 0, "undecided": 8}
    assert session.go(-1) and session.item.name == "q-2" and not session.go(-1)
    assert session.find("q-8") and session.item.name == "q-8" and not session.find("q-99")
    session.decide(ACCEPT)
    with pytest.raises(ParameterError, match="dropped, so there is no QA to edit"):
        session.decide(Decision(decision="edit", question="What?"))
    session.filter(ReviewFilter(state=KEPT, undecided=True))
    assert session.item.name == "q-0" and len(session.queue) == 4
    session.decide(REJECT)
    assert len(session.queue) == 4, "the queue stays until a filter changes"
    assert [session.undo() for _ in range(4)] == ["q-0", "q-8", "q-1", ""]
    assert session.item.name == "q-1" and session.shown == ReviewFilter(), "an undone record is shown"
    assert read_review(file) == {"q-2": ACCEPT, "of another step": REJECT}
    session.go(99)
    assert session.item.name == ""
    with pytest.raises(ParameterError, match="no id of its own"):
        session.decide(ACCEPT)
    session.filter(ReviewFilter(question_type="color", disputed=True, blind=True))
    assert session.item is None and session.note == ""
    session.decide(ACCEPT)
    session.write_note("nothing")
    assert read_review(file) == {"q-2": ACCEPT, "of another step": REJECT}


def test_a_decision_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    session = ReviewSession(items(), tmp_path / "review.json")
    session.decide(ACCEPT)
    (tmp_path / "review.json").write_text('{"q-2": ')
    with pytest.raises(DataEngineError, match=r"review\.json"):
        session.decide(REJECT)
    assert session.decision == ACCEPT and (tmp_path / "review.json").read_text() == '{"q-2": '


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kernel_that_is_killed_loses_no_decision(tmp_path: Path) -> None:
    """Killed right after a decision, and in the middle of writing the next one."""
    script = """
import os, signal, sys
from pathlib import Path
from reviewing.review_records import record
from dataengine_lib.curation.reviews.decisions import Decision
from dataengine_lib.widgets.review.queue import review_items
from dataengine_lib.widgets.review.session import ReviewSession
session = ReviewSession(review_items([record(n) for n in range(9)], []), Path(sys.argv[1]))
for number in range(5):
    session.decide(Decision(decision="accept", note=f"{number}"))
    session.go(1)
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
session.decide(Decision(decision="reject"))
"""
    file = tmp_path / "review.json"
    here = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "helpers"), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", script, str(file)], env=here, check=False)
    assert done.returncode == -signal.SIGKILL
    assert {name: one["note"] for name, one in json.loads(file.read_text()).items()} == {
        f"q-{number}": f"{number}" for number in range(5)
    }
    session = ReviewSession(review_items([record(n) for n in range(9)], []), file)
    session.decide(REJECT)
    assert len(read_review(file)) == 6 and [path.name for path in tmp_path.iterdir()] == ["review.json"]
