"""Step 4 as a whole: files, counts, malformed rows, repeats."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.progress import bar
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.tally import EXAMPLES, SAMPLE, UNKNOWN_TYPE
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process

REPLY = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)


def row(**fields: object) -> bytes:
    return json.dumps(
        {"image_id": 7, "raw_instructions": REPLY, "question_type": "image_topic"} | fields
    ).encode()


def run(folder: Path, *lines: bytes, **options: Any) -> PostProcessResult:
    """Step 4 on these lines, without the checks beyond format and with choices in their written order."""
    source = folder / "gptvqa_result.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    config = {
        "input": source,
        "output": folder / "gptvqa_train_data.json",
        "shuffle_choices": False,
        "near_duplicates": "off",
        "blind_classifier": "off",
    }
    return post_process(PostProcessConfig.read(config | options, "test"))


def kept(result: PostProcessResult) -> list[TrainRecord]:
    records: list[TrainRecord] = read_json(result.output, list[TrainRecord])
    return records


def dropped(result: PostProcessResult) -> list[Reject]:
    return read_jsonl(result.rejects_path, Reject)


def test_files_and_fields(tmp_path: Path) -> None:
    two = REPLY + "\n\n" + REPLY.replace("Which?", "What?")
    result = run(
        tmp_path,
        row(
            query_id="r-1", image_path="a.jpg", model="m", completion_tokens=3, request_key="k",
            template="v1.j2", example_ids=["b-1", "b-2"], round=2,
        ),
        row(image_id="000000000042", raw_instructions=two, question_type="ocr"),
        row(raw_instructions="skip"),
        row(raw_instructions="skip", question_type="ocr"),
    )  # fmt: skip
    rows = read_json(tmp_path / "gptvqa_train_data.json")
    assert list(rows[0])[:7] == [
        "image_id",
        "raw_instructions",
        "question_type",
        "question",
        "choices",
        "correct_choice_idx",
        "rationales",
    ]
    assert rows[0] | {"raw_instructions": ""} == {
        "image_id": 7,
        "raw_instructions": "",
        "question_type": "image_topic",
        "question": "Which?",
        "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": 1,
        "rationales": ["It is a cat."],
        "query_id": "r-1",
        "image_path": "a.jpg",
        "short_answer": "",
        "model": "m",
        "request_key": "k",
        "template": "v1.j2",
        "prompt_sha256": "",
        "example_ids": ["b-1", "b-2"],
        "round": 2,
        "record_id": "r-1",
        "review": "",
        "box_check": "",
        "student_answer": None,
        "student_probability": None,
        "second_answer": None,
        "second_answers": {},
        "blind_answer": None,
        "blind_score": None,
        "leak": "",
        "near_duplicate_of": "",
        "answer_kind": "",
    }
    assert [r.image_id for r in kept(result)] == [7, 42, 42]
    assert sorted(result.sample, key=lambda r: r.record_id) == sorted(kept(result), key=lambda r: r.record_id)
    skipped, letters = (
        {"skipped by the teacher": 1},
        {"letters_before": [0, 1, 0, 0], "letters_after": [0, 1, 0, 0]},
    )
    two_letters = {"letters_before": [0, 2, 0, 0], "letters_after": [0, 2, 0, 0]}
    assert read_json(tmp_path / "post_process.json") == {
        "kept": 3,
        "dropped": 2,
        "by_reason": {"skipped by the teacher": 2},
        "by_type": {
            "image_topic": {"kept": 1, "dropped": 1, "by_reason": skipped, **letters},
            "ocr": {"kept": 2, "dropped": 1, "by_reason": skipped, **two_letters},
        },
        "choices_stay": 0,
        "rationales_left_out": 0,
        "reviewed": {},
        "checks": {
            "checks": {},
            "difficulty": None,
            "blind_classifier": None,
            "after_dropping": None,
            "blind_reader": None,
            "readers": {},
            "agreement": {},
        },
    }
    rejects = read_jsonl(tmp_path / "rejects.jsonl")
    assert [(r["line"], r["reason"], r["raw_instructions"]) for r in rejects] == [
        (3, "skipped by the teacher", "skip"),
        (4, "skipped by the teacher", "skip"),
    ]


MALFORMED = [
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'"x"',
    b"[" * 200_000,
    b'{"image_id": 1, "x": ' + b"[" * 200_000,
    row(image_id=-3),
    row(image_id=None),
    row(image_id=True),
    row(image_id=1.5),
    row(raw_instructions=None),
    row(raw_instructions=["x"]),
    row(question_type=""),
    b'{"image_id": 1, "question_type": "t"}',
    row()[:-5],
]


def test_the_cause_of_a_query_stays_with_its_qa_and_no_other_row_has_one(tmp_path: Path) -> None:
    of_another_program = row(image_id=8, cause="sides", round=None)
    run(tmp_path, row(cause="colors"), of_another_program, row(image_id=9), row(image_id=10, cause=None))
    rows = read_json(tmp_path / "gptvqa_train_data.json")
    assert [one.get("cause", "absent") for one in rows] == ["colors", "sides", "absent", "absent"]


def test_malformed_rows_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    text_ids = [row(image_id=text) for text in ("cat", "٣", "1" * 40)]
    result = run(tmp_path, *MALFORMED, b"", row(), *text_ids, max_bad_share=1)
    assert [record.image_id for record in kept(result)][1:] == ["cat", "٣", "1" * 40]
    assert result.counts.by_reason == {Reason.MALFORMED: len(MALFORMED)}
    assert result.counts.by_type[UNKNOWN_TYPE].dropped == len(MALFORMED)
    assert all(reject.detail and reject.image_id is None for reject in dropped(result))
    assert [reject.line for reject in dropped(result)] == list(range(1, len(MALFORMED) + 1))
    assert len(result.examples[Reason.MALFORMED]) == EXAMPLES


def test_repeats_on_the_same_image_are_dropped(tmp_path: Path) -> None:
    other_order = REPLY.replace("(A) dog (B) cat", "(A) cat (B) dog").replace("(B): cat", "(A): cat")
    other_answer = REPLY.replace("(B): cat", "(A): dog")
    lines = [
        row(),
        row(),
        row(image_id="7"),
        row(raw_instructions=other_order),
        row(image_id=8),
        row(raw_instructions=other_answer),
        row(raw_instructions=REPLY + "\n" + REPLY, image_id=9),
        row(raw_instructions=REPLY.replace("Which?", "What?") + "\n" + REPLY),
        row(raw_instructions=REPLY.replace("Which?", "What?")),
    ]
    result = run(tmp_path, *lines)
    assert [record.image_id for record in kept(result)] == [7, 8, 7, 9, 7]
    assert [(r.line, r.reason) for r in dropped(result)] == [(n, Reason.DUPLICATE) for n in (2, 3, 4, 8)]


def test_cut_off_reply_keeps_its_question(tmp_path: Path) -> None:
    result = run(tmp_path, row(finish_reason="length"), row(image_id=8, finish_reason=None))
    assert [record.rationales for record in kept(result)] == [[], ["It is a cat."]]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = run(tmp_path / name, *MALFORMED, row(), row(), row(raw_instructions="skip"), max_bad_share=1)
        written.append(
            [path.read_bytes() for path in (result.output, result.rejects_path, result.counts_path)]
        )
    assert written[0] == written[1]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"missing\.jsonl: cannot be read"):
        post_process(PostProcessConfig(input=tmp_path / "missing.jsonl", output=tmp_path / "o.json"))
    with pytest.raises(DataEngineError, match=r"gptvqa_result\.jsonl: has no rows, so there is nothing"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gptvqa_result.jsonl"], (
        "nothing that looks finished"
    )


def test_no_record_at_all_stops_the_step_and_keeps_the_reasons(tmp_path: Path) -> None:
    skips = [row(image_id=n, raw_instructions="Question: Skip") for n in range(3)]
    with pytest.raises(
        DataEngineError, match=r"none of 4 replies .*: skipped by the teacher \(3\), .*rejects\.jsonl"
    ):
        run(tmp_path, *skips, row(raw_instructions="Hello"))
    assert not (tmp_path / "gptvqa_train_data.json").exists()
    assert len(read_jsonl(tmp_path / "rejects.jsonl", Reject)) == 4
    assert read_json(tmp_path / "post_process.json")["dropped"] == 4


def test_few_records_and_checks_without_their_files_are_warned_of(tmp_path: Path) -> None:
    skips = [row(image_id=n, raw_instructions="Question: Skip", question_type="ocr") for n in range(3)]
    result = run(tmp_path, row(), *skips)
    assert result.warnings == [
        "not done, as files are not given: box_check (needs coco_dataset), leaks (needs questions)",
        "only 1 of 4 became training records; dropped: skipped by the teacher (3)",
        "only 1 training record: too few to learn from",
        "no record is kept of 1 type: ocr",
    ]
    enough = [row(image_id=n, raw_instructions=REPLY.replace("Which?", f"{n}?")) for n in range(10)]
    assert run(tmp_path, *enough, box_check="off", leaks="off").warnings == []


def test_outputs_do_not_overwrite_one_another(tmp_path: Path) -> None:
    source = tmp_path / "r.jsonl"
    source.write_bytes(row())
    for options in (
        {"output": source},
        {"output": tmp_path / "o.json", "rejects": source},
        {"output": tmp_path / "post_process.json"},
    ):
        with pytest.raises(ParameterError, match="choose other names"):
            post_process(PostProcessConfig.read({"input": source, **options}, "test"))
    assert source.read_bytes() == row()


def test_every_record_has_a_unique_id(tmp_path: Path) -> None:
    two = REPLY + "\n" + REPLY.replace("Which?", "What?")
    other = REPLY.replace("Which?", "Who?")
    lines = [
        row(query_id="r-1", raw_instructions=two),
        row(query_id="r-1", raw_instructions=other),
        row(image_id=8),
        row(image_id=9),
        row(image_id=9, question_type="ocr", raw_instructions=other),
    ]
    ids = [record.record_id for record in kept(run(tmp_path, *lines))]
    assert ids[:2] == ["r-1", "r-1-2"] and ids[2].startswith("r-1-")
    assert len({*ids}) == 6 and all(name.startswith("h-") for name in ids[3:])
    rest = [record.record_id for record in kept(run(tmp_path, *lines[2:]))]
    assert rest == ids[3:]


def test_the_sample_shown_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    lines = [row(image_id=n, question_type=f"t{n % 2}") for n in range(50)]
    lines += [row(image_id=n, question_type=f"t{n % 4}", raw_instructions="skip") for n in range(50)]
    result = run(tmp_path, *lines)
    assert [record.question_type for record in result.sample] == ["t0"] * SAMPLE + ["t1"] * SAMPLE
    assert {record.image_id for record in result.sample} != set(range(2 * SAMPLE))
    assert [record.image_id for record in result.sample] == [r.image_id for r in run(tmp_path, *lines).sample]
    shown = result.examples["skipped by the teacher"]
    assert len(shown) == EXAMPLES == len({reject.question_type for reject in shown})


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    source = tmp_path / "gptvqa_result.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + row() + b"\r\n\r\n" + row(image_id=8))
    result = post_process(PostProcessConfig(input=source, output=tmp_path / "train.json"))
    assert [record.image_id for record in kept(result)] == [7, 8]


def test_a_failed_run_keeps_the_files_of_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(tmp_path, row(), row(raw_instructions="skip"))
    before = [path.read_bytes() for path in (result.output, result.rejects_path, result.counts_path)]

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dataengine_lib.curation.parsing.parsed_replies.parse_result", broken)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, row(image_id=9))
    assert [path.read_bytes() for path in (result.output, result.rejects_path, result.counts_path)] == before
    assert len(list(tmp_path.iterdir())) == 4


def test_qas_of_other_projects_are_checked_and_converted_like_replies(tmp_path: Path) -> None:
    v2 = [
        {"instruction": "What runs?", "answer": "a dog", "short_answer": "dog", "options": ["dog", "cat", "cow", "pig"],
         "choice_answer": "A", "image": "a.jpg", "qtype": 7},
        {"instruction": "What?", "answer": "x", "short_answer": "x", "options": ["cat", "cat", "cow", "pig"],
         "choide_answer": "B", "image": "b.jpg", "qtype": 2},
    ]  # fmt: skip
    (tmp_path / "v2.json").write_text(json.dumps(v2))
    result = post_process(PostProcessConfig(input=tmp_path / "v2.json", output=tmp_path / "out.json"))
    (record,) = read_json(tmp_path / "out.json", list[TrainRecord])
    assert (record.question, record.choices[record.correct_choice_idx], record.image_path) == (
        "What runs?", "dog", "a.jpg",
    )  # fmt: skip
    assert result.counts.by_reason == {"equal choices": 1}
    turns = [
        {"from": "human", "value": "<image>\nWhat runs?\nA. dog\nB. cat\nC. cow\nD. pig\nAnswer with the letter."},
        {"from": "gpt", "value": "B"},
        {"from": "human", "value": "Describe it."},
        {"from": "gpt", "value": "A cat runs."},
    ]  # fmt: skip
    (tmp_path / "llava.json").write_text(json.dumps([{"id": "7", "image": "7.jpg", "conversations": turns}]))
    result = post_process(PostProcessConfig(input=tmp_path / "llava.json", output=tmp_path / "out.json"))
    (record,) = read_json(tmp_path / "out.json", list[TrainRecord])
    assert record.choices[record.correct_choice_idx] == "cat" and record.question_type == "unclassified"
    assert result.counts.by_reason == {"no choices": 1}


def test_a_log_says_how_many_replies_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bar, "_LOG_SECONDS", 0.0)
    run(tmp_path, row(), row(raw_instructions="skip"), b"{half", max_bad_share=0.5)
    lines = capfd.readouterr().err.splitlines()
    begins = [line.partition(", ")[0] for line in lines]
    assert begins == [
        f"checking replies {done} of 3 ({done / 3:.0%})".replace("%", " %") for done in (1, 2, 3)
    ]
