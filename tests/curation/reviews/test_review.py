"""Step 4: a person's decisions are applied last and kept across runs; an invalid one is one clear line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.reviews.decisions import Decision, read_review, write_decision
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process

REPLY = (
    "Question: Which?\nShort answer: cat\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
OTHER = {"choices": ["oak", "elm", "fir", "yew"], "correct_choice_idx": 2}


def run(folder: Path, decisions: Any = None, rows: int = 4, **options: Any) -> PostProcessResult:
    source, output = folder / "gptvqa_result.jsonl", folder / "gptvqa_train_data.json"
    lines = [
        {"image_id": n, "raw_instructions": REPLY, "question_type": "ocr", "query_id": f"q-{n}"}
        for n in range(rows)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if decisions is not None:
        (folder / "review.json").write_text(json.dumps(decisions))
    return post_process(PostProcessConfig(input=source, output=output, **options))


def kept(result: PostProcessResult) -> dict[str, TrainRecord]:
    records: list[TrainRecord] = read_json(result.output, list[TrainRecord])
    return {record.record_id: record for record in records}


def test_accept_reject_and_edit(tmp_path: Path) -> None:
    before = kept(run(tmp_path))
    result = run(
        tmp_path,
        {
            "q-0": {"decision": "accept", "note": "good"},
            "q-1": {"decision": "reject", "note": "no such animal"},
            "q-2": {"decision": "edit", "question": "What?", "rationales": []},
            "q-3": {"decision": "edit", **OTHER},
            "q-9": {"decision": "reject"},
        },
    )
    records = kept(result)
    assert list(records) == ["q-0", "q-2", "q-3"]
    assert [record.review for record in records.values()] == ["accept", "edit", "edit"]
    assert (records["q-0"].question, records["q-0"].choices) == ("Which?", before["q-0"].choices)
    assert (records["q-2"].question, records["q-2"].rationales) == ("What?", [])
    assert records["q-2"].choices == before["q-2"].choices and records["q-2"].short_answer == "cat"
    assert (records["q-3"].choices, records["q-3"].correct_choice_idx) == (OTHER["choices"], 2)
    assert records["q-3"].short_answer == ""  # cat is not one of the trees
    (reject,) = read_jsonl(result.rejects_path, Reject)
    assert (reject.reason, reject.detail, reject.record_id, reject.line) == (
        "rejected by a reviewer", "no such animal", "q-1", 2,
    )  # fmt: skip
    assert result.counts.reviewed == {"accept": 1, "reject": 1, "edit": 2, "unknown": 1}
    assert result.notes == []
    assert any("1 decisions are about records that do not exist here" in one for one in result.warnings)


def test_decisions_about_dropped_or_unknown_records_are_noted(tmp_path: Path) -> None:
    """A check drops near-duplicates, a filter replies without choices; only the check has a mode mark."""
    source, output = tmp_path / "gptvqa_result.jsonl", tmp_path / "gptvqa_train_data.json"
    replies = [
        REPLY,
        REPLY.replace("Which?", "Which ?!"),
        "Question: Which?",
        REPLY.replace("Which?", "Which, now?"),
    ]
    lines = [
        {"image_id": 1, "raw_instructions": reply, "question_type": "ocr", "query_id": f"q-{number}"}
        for number, reply in enumerate(replies)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    decisions = {f"q-{number}": {"decision": "accept"} for number in (0, 1, 2, 9)} | {
        "q-3": {"decision": "reject"}
    }
    (tmp_path / "review.json").write_text(json.dumps(decisions))
    config = PostProcessConfig(input=source, output=output, near_question=0.3)
    result = post_process(config)
    assert list(kept(result)) == ["q-0"]
    assert {reject.query_id for reject in read_jsonl(result.rejects_path, Reject)} == {"q-1", "q-2", "q-3"}
    assert result.counts.reviewed == {"accept": 1, "dropped": 2, "reject": 1, "unknown": 1}
    (dropped,) = [note for note in result.notes if "decisions" in note]
    (unknown,) = [one for one in result.warnings if "decisions" in one]
    assert "2 decisions accept or edit QAs that a filter or a check had dropped" in dropped
    assert "rejects.jsonl" in dropped and "mode mark" in dropped and "1 decisions are about" in unknown
    marked = post_process(config.model_copy(update={"near_duplicates": "mark"}))
    assert list(kept(marked)) == ["q-0", "q-1"]
    assert marked.counts.reviewed == {"accept": 2, "dropped": 1, "reject": 1, "unknown": 1}


def test_decisions_hold_on_every_run_and_come_last(tmp_path: Path) -> None:
    decisions = {"q-1": {"decision": "edit", **OTHER}}
    first = run(tmp_path, decisions)
    written = first.output.read_bytes()
    assert run(tmp_path).output.read_bytes() == written
    assert json.loads(first.review_path.read_text()) == decisions  # only a person changes the file
    for seed in range(5):  # with any order of choices, an edit stays as it was written
        record = kept(run(tmp_path, seed=seed))["q-1"]
        assert (record.choices, record.correct_choice_idx) == (OTHER["choices"], 2)


def test_an_edited_rationale_with_a_letter_keeps_to_its_choices(tmp_path: Path) -> None:
    edit = {"decision": "edit", **OTHER, "rationales": ["(C) is a fir, (A) is none.", "A fir."]}
    for seed in range(5):
        for rows in (2, 4):
            record = kept(run(tmp_path, {"q-1": edit}, rows, seed=seed))["q-1"]
            assert (record.choices, record.correct_choice_idx) == (OTHER["choices"], 2)
            assert record.rationales == edit["rationales"]


def test_the_review_may_be_another_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.json"
    own.write_text(json.dumps({"q-0": {"decision": "reject"}}))
    result = run(tmp_path, {"q-1": {"decision": "reject"}}, review=own)
    assert list(kept(result)) == ["q-1", "q-2", "q-3"] and result.review_path == own


@pytest.mark.parametrize(
    ("decision", "fault"),
    [
        ({"decision": "perhaps"}, "Invalid enum value 'perhaps'"),
        ({}, "missing required field `decision`"),
        ("reject", "Expected `object`, got `str`"),
        ({"decision": "edit", "qestion": "?"}, "unknown field `qestion`"),
        ({"decision": "edit"}, "an edit changes one of"),
        ({"decision": "accept", "question": "What?"}, "only an edit changes this"),
        ({"decision": "edit", "question": " ? "}, "question: is empty"),
        ({"decision": "edit", "choices": OTHER["choices"]}, "both or none"),
        ({"decision": "edit", "correct_choice_idx": 1}, "both or none"),
        ({"decision": "edit", **OTHER, "choices": ["a"]}, "2 to 10 non-empty ones"),
        ({"decision": "edit", **OTHER, "choices": ["oak", "elm", "fir", " "]}, "2 to 10 non-empty ones"),
        ({"decision": "edit", **OTHER, "choices": ["oak", "elm", "fir", "An Oak."]}, "two say the same"),
        ({"decision": "edit", **OTHER, "correct_choice_idx": 4}, "4 is not an index of the choices"),
        ({"decision": "edit", **OTHER, "correct_choice_idx": -1}, "-1 is not an index of the choices"),
        ({"decision": "edit", "rationales": ["Yes.", ""]}, "rationales: one is empty"),
        ({"decision": "edit", "rationales": ["Yes.", "(B) is it."]}, "add choices and correct_choice_idx"),
        ({"decision": "edit", "rationales": ["The last option."]}, "add choices and correct_choice_idx"),
        ({"decision": "edit", "question": "What is at [0.1, 0.2, 0.3, 0.4]?"}, "boxes or coordinates"),
    ],
)
def test_a_wrong_decision_is_one_line_and_nothing_is_written(
    tmp_path: Path, decision: Any, fault: str
) -> None:
    with pytest.raises(ParameterError) as raised:
        run(tmp_path, {"q-0": decision, "q-1": {"decision": "accept"}})
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{tmp_path / 'review.json'}: q-0: ") and fault in line
    assert not (tmp_path / "gptvqa_train_data.json").exists()


def test_every_wrong_decision_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as raised:
        run(tmp_path, {"q-0": {}, "q-1": {"decision": "edit"}, "q-2": {"decision": "reject"}})
    assert [line.split(": ")[1] for line in str(raised.value).splitlines()] == ["q-0", "q-1"]


def test_decisions_are_written_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "review.json"
    write_decision(file, "q-0", Decision(decision="reject"))
    write_decision(file, "q-1", Decision(decision="edit", question="What?"))
    assert json.loads(file.read_text()) == {
        "q-0": {"decision": "reject"},
        "q-1": {"decision": "edit", "question": "What?"},
    }
    assert list(write_decision(file, "q-0", None)) == ["q-1"] == list(read_review(file))
    with pytest.raises(ParameterError, match="question: is empty"):
        write_decision(file, "q-1", Decision(decision="edit", question=""))
    assert read_review(file)["q-1"].question == "What?"
    assert [path.name for path in file.parent.iterdir()] == ["review.json"]


def test_the_review_file_must_not_be_an_output(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="choose other names"):
        run(tmp_path, review=tmp_path / "gptvqa_train_data.json")


def test_the_letters_of_a_run_are_even(tmp_path: Path) -> None:
    count = run(tmp_path, rows=42).counts.by_type["ocr"]
    assert count.letters_before == [0, 42, 0, 0]
    assert sorted(count.letters_after) == [10, 10, 11, 11]
    as_written = run(tmp_path, rows=42, shuffle_choices=False).counts.by_type["ocr"]
    assert as_written.letters_after == as_written.letters_before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [{"record_id": "q-1", "decision": "reject"}],
            "review.json: no decisions; a review file is .*; it looks like",
        ),
        (None, "review.json: "),
        ("reject", "review.json: "),
        ({"q-1": None}, "q-1: Expected `object`, got `null`; correct or remove"),
        ({"q-1": "reject"}, "q-1: Expected `object`, got `str`; correct or remove"),
        ({"q-1": {"decision": "Reject"}}, "q-1: Invalid enum value 'Reject'"),
        ({"q-1": {"decision": None}}, "q-1: Expected `str`, got `null`"),
        ({"q-1": {"verdict": "reject"}}, "q-1: Object contains unknown field `verdict`"),
        ({"what": 0.5, "image_scene": 1.0}, "no decisions; .*; it looks like weights by question type"),
        (
            {"splits": {}, "weights": {}, "skipped": {}},
            "no decisions; .*; it looks like the figures of evaluate",
        ),
        ({"x" * 5000: {"decision": "y" * 5000}}, "x{80}…: Invalid enum value 'y+…"),
    ],
)
def test_what_is_no_decision_is_one_bounded_line(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "review.json").write_text(json.dumps(content))
    with pytest.raises(DataEngineError, match=message) as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert not (tmp_path / "gptvqa_train_data.json").exists()


def test_a_decision_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "review.json").write_text('{"q-1": {"decision": "reject"}, "q-1": {"decision": "accept"}}')
    with pytest.raises(DataEngineError, match=r"review\.json: the key 'q-1' is there twice"):
        run(tmp_path)


def test_of_many_wrong_decisions_the_first_are_named(tmp_path: Path) -> None:
    wrong = {f"q-{number}": {"decision": "drop"} for number in range(1000)}
    with pytest.raises(ParameterError) as caught:
        run(tmp_path, {"q-0": {"decision": "accept"}} | {f"x{name}": one for name, one in wrong.items()})
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and lines[0].endswith("correct or remove this decision")
    assert lines[-1] == f"{tmp_path / 'review.json'}: 995 more decisions are wrong"


def test_a_packed_review_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "review.json").write_bytes(b"\xef\xbb\xbf" + b'{"q-1": {"decision": "reject"}}\r\n')
    assert list(kept(run(tmp_path))) == ["q-0", "q-2", "q-3"]
    (tmp_path / "r.json.gz").write_bytes(gzip.compress(b'{"q-2": {"decision": "reject"}}'))
    assert list(kept(run(tmp_path, review=tmp_path / "r.json.gz"))) == ["q-0", "q-1", "q-3"]


def test_a_named_review_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    result = run(tmp_path, review=tmp_path / "reviews.json")
    assert f"{tmp_path / 'reviews.json'}: no such file, so no decisions were applied" in result.warnings
    assert not any("no such file" in one for one in run(tmp_path).warnings)
