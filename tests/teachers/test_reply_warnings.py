"""What step 3 warns of, and how many failures stop it."""

import pytest

from dataengine_lib.core.records import Query, Result
from dataengine_lib.errors import DataEngineError
from dataengine_lib.teachers.reply_files import Failure
from dataengine_lib.teachers.warnings import check_answered, reply_warnings

REPLY = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
QUERIES = [Query(image_id=n, prompt="p", question_type="ocr", query_id=f"r-{n}") for n in range(8)]


def replies(*texts: str, kind: str = "ocr") -> list[Result]:
    return [Result(image_id=n, raw_instructions=text, question_type=kind) for n, text in enumerate(texts)]


def failures(number: int) -> list[Failure]:
    return [
        Failure(
            image_id=n, kind="error", query_id=f"r-{n}", question_type="ocr", reason="Error code: 500 " * 40
        )
        for n in range(number)
    ]


def test_good_replies_have_no_warnings() -> None:
    assert reply_warnings(QUERIES, replies(*[REPLY] * 8), [], "") == []


def test_failures_unasked_queries_and_replies_without_a_question_are_warned_of() -> None:
    found = reply_warnings(QUERIES, replies(REPLY, "Hello", "", "Hi"), failures(2), "budget_usd 1: used up")
    assert found[0].startswith("2 of 8 queries got no usable reply, the first: 'Error code: 500 ")
    assert len(found[0]) < 300, "a long reason is cut"
    assert found[1] == "2 of 8 queries were not asked; budget_usd 1: used up"
    assert found[2] == "no question can be read from 3 of 4 replies: no question (3)"
    assert len(found) == 3


def test_types_that_the_teacher_always_skips_are_named() -> None:
    skip = "Question: Skip"
    rows = replies(skip, skip) + replies(*[REPLY] * 6, kind="image_scene") + replies(skip, kind="image_style")
    assert reply_warnings(QUERIES, rows, [], "")[-1] == "the teacher skips every query of 1 type: ocr"


def test_most_failures_stop_the_step() -> None:
    check_answered(5, failures(5), 0.5, "f.jsonl")
    check_answered(0, [], 0.5, "f.jsonl")
    check_answered(1, failures(99), 1, "f.jsonl")
    with pytest.raises(
        DataEngineError, match=r"f.jsonl: only 4 of 10 queries .*raise max_failed_share \(0.5\)"
    ):
        check_answered(4, failures(6), 0.5, "f.jsonl")
    with pytest.raises(DataEngineError, match=r"f.jsonl: none of 3 queries got a usable reply; first: Error"):
        check_answered(0, failures(3), 1, "f.jsonl")
