"""Step 4 against mangled replies: nothing raises, every reply ends in one place, what is kept is valid."""

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_replies import PIECES, check_kept, reply, row

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.replies.boxes_in_text import mentions_boxes
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.headings import _HEADING, _Found, _found, _headings, plain_text
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

FIELDS = {
    "image_id",
    "raw_instructions",
    "question_type",
    "question",
    "choices",
    "correct_choice_idx",
    "rationales",
}


def mangled(rng: Random) -> str:
    """A reply with pieces put in, taken out, moved and repeated, or one made of pieces alone."""
    if rng.random() < 0.2:
        return rng.choice(["", " ", "\n"]).join(rng.choices(PIECES, k=rng.randint(0, 40)))
    text = reply(rng)
    for _ in range(rng.randint(1, 6)):
        begin, length = rng.randrange(len(text) + 1), rng.randint(0, 30)
        part, piece = text[begin : begin + length], rng.choice(PIECES)
        new = rng.choice(
            [piece, part + piece, part * 2, part[::-1], part.upper(), part.replace("\n", " "), ""]
        )
        text = text[:begin] + new + text[begin + length :]
    return text


def test_ten_thousand_mangled_replies(tmp_path: Path) -> None:
    rng, source = Random(2), tmp_path / "gptvqa_result.jsonl"
    lines = []
    for number in range(10_000):
        fields = row(rng, number) | {"raw_instructions": mangled(rng), "image_id": number % 2_000}
        line = json.dumps(fields, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.03:
            cut = rng.randrange(1, len(line))
            line = rng.choice(
                [line[:cut], line[cut:], line[:cut] + "\0" + line[cut:], "[" * 5_000, "null", "{}"]
            )
        lines.append(line)
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = post_process(PostProcessConfig(input=source, output=tmp_path / "gptvqa_train_data.json"))
    records: list[TrainRecord] = read_json(result.output, list[TrainRecord])
    rejects = read_jsonl(result.rejects_path, Reject)
    for record in records:
        check_kept(record)
    assert len({record.record_id for record in records}) == len(records)
    written = {json.loads(line)["query_id"]: place for place, line in enumerate(lines, 1) if _is_row(line)}
    kept = {written[record.query_id] for record in records}
    dropped = [reject.line for reject in rejects]
    assert len(set(dropped)) == len(dropped)  # one reason for each
    assert kept.isdisjoint(dropped) and kept | set(dropped) == set(range(1, len(lines) + 1))
    assert {reject.reason for reject in rejects} <= set(Reason)
    assert (result.counts.kept, result.counts.dropped) == (len(records), len(rejects))
    assert (
        len(records) > 1_500 and len({reject.reason for reject in rejects}) > 12
    )  # the mangling leaves some of all
    assert all(set(fields) >= FIELDS for fields in read_json(result.output))
    for count in result.counts.by_type.values():
        assert (
            max(count.letters_after) - min(count.letters_after) <= 1 + count.kept * result.counts.choices_stay
        )


def _is_row(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict) and "query_id" in json.loads(line)
    except (ValueError, RecursionError):
        return False


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join)),
    st.booleans(),
)
def test_any_text_is_parsed_or_dropped(raw: str, truncated: bool) -> None:
    parsed = parse_reply(raw, truncated=truncated)
    if isinstance(parsed, Reason):
        return
    assert parsed
    for qa in parsed:
        check_kept(qa)


# a choice that is a forbidden word, as `bbox`, is dropped by right
WORDS = st.text(alphabet="bcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8).filter(
    lambda word: word != "skip" and not mentions_boxes(word)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=4, max_size=4, unique=True), st.integers(0, 3), st.booleans(), st.data())
def test_what_was_written_is_what_is_read(
    words: list[str], right: int, lines: bool, data: st.DataObject
) -> None:
    heads = [
        data.draw(st.sampled_from(names))
        for names in (
            ["Question:", "**Question:**", "QUESTION:", "1. Question:"],
            ["Choices:", "**Choices**:", "Options:"],
            ["Answer:", "**Answer:**", "Correct answer:"],
            ["Explanation:", "Reason:", "lecture:", "**Rationale:**"],
        )
    ]
    choices = " ".join(f"({letter}) {word}" for letter, word in zip("ABCD", words, strict=True))
    if lines:
        choices = "\n" + choices.replace(" (", "\n(")
    raw = (
        f"{heads[0]} Which of the four?\n{heads[1]} {choices}\n"
        f"{heads[2]} The answer is ({'ABCD'[right]}): {words[right]}.\n{heads[3]} So it seems."
    )
    assert parse_reply(raw) == [
        Qa(
            question="Which of the four?",
            choices=words,
            correct_choice_idx=right,
            rationales=["So it seems."],
        )
    ]


@pytest.mark.parametrize("word", ["bbox", "bboxes", "BBox", "bounding box"])
def test_a_choice_that_names_a_box_is_dropped(word: str) -> None:
    raw = f"Question: Which?\nChoices: (A) cat (B) {word} (C) cow (D) pig\nAnswer: The answer is (A): cat."
    assert parse_reply(raw) == Reason.BOXES


def test_headings_are_found_where_the_pattern_finds_them() -> None:
    """The quick search may leave out only "answer is" inside a line and other names before "is": no headings."""

    def real(found: Iterable[_Found]) -> list[_Found]:
        return [one for one in found if not one[0].verb or (one[0].on_line and one[0].name)]

    rng = Random(7)
    for _ in range(20_000):
        text = plain_text(mangled(rng))
        assert real(_headings(text)) == real(map(_found, _HEADING.finditer(text))), text
