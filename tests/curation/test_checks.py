"""Step 4 with its checks: columns, reasons, counts, modes, and that readers' answers follow the shuffled choices."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from made_records import Planted, candidate_of, planted_records
from reading_qas.checked_step import kept, run

from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import LETTERS, TrainRecord, options_text
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.option_order import OptionOrder
from dataengine_lib.embeddings.store import StoredImage, StoreMeta, write_store
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.playground.server import serve
from dataengine_lib.playground.teacher import reply, structured_reply
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.report.post_process import blind_sentence, blind_table, checks_table
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted_records(tmp_path_factory.mktemp("planted"), images=60, per_image=10)


def test_defaults_drop_by_boxes_and_measure_blind_accuracy(planted: Planted, tmp_path: Path) -> None:
    result = run(tmp_path, planted)
    checks = result.counts.checks
    records = kept(result)
    wrong = dict(zip((one.query_id for one in planted.records), planted.wrong, strict=True))
    rejects = read_jsonl(result.rejects_path, Reject)
    refuted = [one for one in rejects if one.reason == Reason.REFUTED]
    assert list(checks.checks) == ["box_check", "near_duplicates", "blind_classifier"]
    assert checks.checks["box_check"].dropped == len(refuted) > 5
    assert checks.checks["box_check"].said > len(refuted) and all(wrong[one.query_id] for one in refuted)
    assert all(one.detail for one in refuted)
    assert {one.box_check for one in records} == {"", "supported"}
    assert all(0 <= one.blind_score <= 1 for one in records)
    assert checks.blind_classifier.all.total == len(records) and checks.after_dropping is None
    assert "chance is 25.0 %" in blind_sentence(checks)
    assert "boxes contradict the answer" in checks_table(checks).text and "all" in blind_table(checks).text
    second = run(tmp_path / "again", planted)
    assert second.output.read_bytes() == result.output.read_bytes()


def test_off_and_mark(planted: Planted, tmp_path: Path) -> None:
    off = {"box_check": "off", "near_duplicates": "off", "blind_classifier": "off"}
    plain = run(tmp_path / "off", planted, **off)
    assert plain.counts.checks.checks == {} and plain.counts.kept == len(planted.records)
    assert {(one.box_check, one.blind_score) for one in kept(plain)} == {("", None)}
    marked = run(tmp_path / "mark", planted, **off | {"box_check": "mark"})
    assert marked.counts.kept == len(planted.records)
    assert (
        sum(one.box_check == "refuted" for one in kept(marked))
        == marked.counts.checks.checks["box_check"].marked
    )
    assert blind_sentence(plain.counts.checks) == ""
    with pytest.raises(ParameterError, match="box_check"):
        run(tmp_path / "x", planted, box_check="on")


def test_readers_answers_follow_their_choices(planted: Planted, tmp_path: Path) -> None:
    readers = {"second_reader": "playground", "blind_reader": "playground"}
    result = run(tmp_path, planted, **readers)
    wrong = dict(zip((one.query_id for one in planted.records), planted.wrong, strict=True))
    records = kept(result)
    assert not any(wrong[one.query_id] for one in records)
    assert all(
        one.second_answer == one.correct_choice_idx for one in records
    )  # after the choices were shuffled
    assert result.counts.by_reason[Reason.SECOND_READER] > 0
    written = {one.query_id: one.choices for one in planted.records}
    moved = [one for one in records if one.choices != written[one.query_id]]
    assert len(moved) > len(records) / 2
    right = sum(one.blind_answer == one.correct_choice_idx for one in records)
    figure = result.counts.checks.blind_reader.all
    assert figure.found == right and figure.total == len(records)
    counts = result.counts.checks.readers
    assert [(name, one.shown) for name, one in counts.items()] == [
        ("playground", "captions and boxes"),
        ("playground, blind", "nothing"),
    ]
    assert counts["playground"].usage.replies > counts["playground, blind"].usage.replies > 0
    assert counts["playground, blind"].agrees == right and result.counts.checks.agreement == {}
    assert all(one.second_answers == {"playground": one.second_answer} for one in records)
    ledger = (tmp_path / "readers_ledger.jsonl").read_bytes()
    run(tmp_path, planted, **readers)
    assert (tmp_path / "readers_ledger.jsonl").read_bytes() == ledger


def test_a_killed_run_leaves_its_answers_and_no_half_output(planted: Planted, tmp_path: Path) -> None:
    server_options = {"second_reader": "openai:any", "concurrency": 1}
    with serve(reply, faults=[None] * 20 + ["401"] * 9, structured=structured_reply) as server:
        with pytest.raises(DataEngineError, match="key was refused"):
            run(tmp_path, planted, base_url=server.base_url, **server_options)
        assert not (tmp_path / "out.json").exists()
        asked = len(server.requests)
        server._faults = iter([None] * 10_000)
        result = run(tmp_path, planted, base_url=server.base_url, **server_options)
        assert len(server.requests) - asked == result.counts.checks.readers["openai:any"].usage.replies - 20


def test_leaks_and_repeats_are_dropped(planted: Planted, tmp_path: Path) -> None:
    first, second, third = (one for one in planted.records[:60:20])
    questions = tmp_path / "questions.json"
    asked = {
        "image_id": first.image_id,
        "question": "Is it so?",
        "choices": ["a", "b"],
        "correct_choice_idx": 0,
    }
    questions.write_text(json.dumps([asked | {"question_id": "1", "direct_answers": ["a"]}]))
    before = tmp_path / "round1"
    run(before, planted, [second], box_check="off")
    options = {"box_check": "off", "questions": questions, "earlier": [before / "out.json"]}
    result = run(tmp_path, planted, [first, second, third], **options)
    rejects = {one.query_id: one for one in read_jsonl(result.rejects_path, Reject)}
    assert rejects[first.query_id].reason == Reason.LEAK
    assert rejects[first.query_id].detail == "evaluation image"
    assert rejects[second.query_id].reason == Reason.NEAR_DUPLICATE
    assert rejects[second.query_id].detail == f"round1/{second.query_id}"
    assert [one.query_id for one in kept(result)] == [third.query_id]
    marks = run(tmp_path, planted, [first, second, third], leaks="mark", near_duplicates="mark", **options)
    columns = {one.query_id: (one.leak, one.near_duplicate_of) for one in kept(marks)}
    assert columns == {
        first.query_id: ("evaluation image", ""),
        second.query_id: ("", f"round1/{second.query_id}"),
        third.query_id: ("", ""),
    }


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"choices": ["a", "b"], "correct_choice_idx": 2}, "correct_choice_idx 2 is outside the 2 choices"),
        ({"choices": None}, "missing required field `choices`"),
        ({"image_id": 2**70}, "has more than 64 bits"),
    ],
)
def test_odd_rows_of_earlier_rounds_are_left_out(
    planted: Planted, tmp_path: Path, odd: dict[str, Any], reason: str
) -> None:
    before = tmp_path / "round1"
    run(before, planted, planted.records[:30], box_check="off")
    rows = read_json(before / "out.json")
    options = {"box_check": "off", "earlier": [before / "out.json"]}
    (before / "out.json").write_text("\n".join(json.dumps(row) for row in [rows[0] | odd, *rows]))
    result = run(tmp_path, planted, planted.records[:31], **options)
    assert [one.query_id for one in kept(result)] == [planted.records[30].query_id]
    (warning,) = [one for one in result.warnings if "round1" in one]
    assert "1 of 31 rows left out: malformed row (1); first: line 1: " in warning and reason in warning
    with pytest.raises(DataEngineError, match=r"1 of 31 rows .*check earlier, or raise max_bad_share"):
        run(tmp_path, planted, planted.records[:31], max_bad_share=0, **options)


def test_pictures_that_look_the_same_count_as_one(planted: Planted, tmp_path: Path) -> None:
    first, second, third = (one for one in planted.records[:60:20])
    twin = msgspec.structs.replace(first, image_id=second.image_id, image_path="", query_id="twin")
    ids = [one.image_id for one in (first, second, third)]
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1]]
    write_store(tmp_path / "s", StoreMeta(encoder="any"), np.array(ids), vectors, [StoredImage()] * 3)
    evaluation = np.eye(4, dtype=np.float32)[[1]]
    write_store(
        tmp_path / "s/evaluation", StoreMeta(encoder="any"), np.array([9]), evaluation, [StoredImage()]
    )
    asked = {"question": "Who?", "choices": ["a", "b"], "correct_choice_idx": 0, "image_id": 999_999}
    write_json(tmp_path / "questions.json", [asked])
    options = {"box_check": "off", "questions": tmp_path / "questions.json"}
    result = run(tmp_path, planted, [first, twin, third], coco_embedding=tmp_path / "s", **options)
    rejects = {one.query_id: one.detail for one in read_jsonl(result.rejects_path, Reject)}
    assert rejects == {"twin": first.query_id, third.query_id: "near-duplicate of an evaluation image"}
    without = run(tmp_path, planted, [first, twin, third], coco_embedding=tmp_path / "none", **options)
    assert without.counts.kept == 3 and any("no embeddings" in one for one in without.warnings)


def test_words_are_dropped_down_to_chance(planted: Planted, tmp_path: Path) -> None:
    """A teacher that writes more words into the right choice, in every second reply."""
    records = []
    for number, one in enumerate(planted.records):
        place = one.correct_choice_idx
        choices = [
            f"{text} as it seems" if number % 2 and at == place else text
            for at, text in enumerate(one.choices)
        ]
        raw = (
            f"Question: {one.question}\nChoices: {options_text(choices)}\n"
            f"Answer: The answer is ({LETTERS[place]}): {choices[place]}.\nExplanation: It is."
        )
        records.append(msgspec.structs.replace(one, raw_instructions=raw))
    result = run(tmp_path, planted, records, blind_classifier="drop", box_check="off")
    checks = result.counts.checks
    assert not checks.blind_classifier.all.at_chance and checks.after_dropping.all.at_chance
    assert checks.after_dropping.all.total == result.counts.kept
    assert result.counts.by_reason[Reason.BLIND] == checks.checks["blind_classifier"].dropped > 0
    assert "no better than chance" in blind_sentence(checks)


def test_a_sample_of_many_questions_is_scored(planted: Planted, tmp_path: Path) -> None:
    def scored(name: str, **options: Any) -> tuple[PostProcessResult, set[str]]:
        result = run(tmp_path / name, planted, box_check="off", **options)
        return result, {one.record_id for one in kept(result) if one.blind_score is not None}

    result, some = scored("some", blind_sample=200)
    checks, total = result.counts.checks, len(planted.records)
    assert len(some) == checks.blind_classifier.all.total == checks.checks["blind_classifier"].said == 200
    assert len({one.image_id for one in kept(result) if one.record_id in some}) > 50  # of 60: spread evenly
    note = f"200 of {total} questions were scored"
    assert any(note in one for one in result.notes)
    assert f"a sample of {total}" in blind_table(checks).text
    assert f"200 questions, a sample of {total:,}," in blind_sentence(checks)
    assert read_json(result.counts_path)["checks"]["blind_drawn_from"] == total
    second, _ = scored("again", blind_sample=200)
    assert second.output.read_bytes() == result.output.read_bytes()
    assert scored("other", blind_sample=200, seed=1)[1] != some

    whole, everything = scored("whole")  # no more than the sample's size
    assert len(everything) == total and not whole.notes
    assert "blind_drawn_from" not in read_json(whole.counts_path)["checks"]
    for name, most in (("zero", 0), ("just", total)):
        same, _ = scored(name, blind_sample=most)
        assert same.output.read_bytes() == whole.output.read_bytes()
        assert same.counts_path.read_bytes() == whole.counts_path.read_bytes()
    dropped = run(tmp_path / "drop", planted, box_check="off", blind_classifier="drop", blind_sample=200)
    assert dropped.counts.checks.blind_classifier == whole.counts.checks.blind_classifier
    assert all(one.blind_score is not None for one in kept(dropped))


def test_one_record_is_no_error_and_none_is_one(planted: Planted, tmp_path: Path) -> None:
    options = {"second_reader": "playground", "blind_classifier": "drop"}
    with pytest.raises(
        DataEngineError, match=r"in\.jsonl: has no rows, so there is nothing to train on; check input"
    ):
        run(tmp_path, planted, [], **options)
    assert run(tmp_path, planted, planted.records[:1], **options).counts.checks.blind_classifier is None


@pytest.mark.parametrize("reader", ["second_reader", "blind_reader"])
def test_too_many_malformed_rows_stop_it_before_a_reader_is_asked(
    reader: str, planted: Planted, tmp_path: Path
) -> None:
    run(tmp_path, planted, planted.records[:40], **{reader: "playground"})
    assert (tmp_path / "readers_ledger.jsonl").is_file()  # so that the assertion below means something
    lines = (tmp_path / "in.jsonl").read_bytes()
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "in.jsonl").write_bytes(lines + b"no JSON\n" * 10)  # at the end, as those of a cut file are
    options = {"coco_dataset": planted.pool.root, reader: "playground"}
    with pytest.raises(DataEngineError, match="10 of 50 rows cannot be used: correct them"):
        post_process(
            PostProcessConfig.read(
                {"input": folder / "in.jsonl", "output": folder / "out.json", **options}, "test"
            )
        )
    assert [file.name for file in folder.iterdir() if file.stat().st_size] == ["in.jsonl"]


def test_wrong_readers_are_errors_before_anything_is_read(planted: Planted, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"second_reader: .*openai:MODEL or playground"):
        run(tmp_path, planted, second_reader="annotations")
    with pytest.raises(ParameterError, match="coco_dataset"):
        run(tmp_path, planted, second_reader="playground", coco_dataset=None)


def test_reader_answers_without_a_choice_stay_when_choices_are_shuffled() -> None:
    record = TrainRecord(
        image_id=1, raw_instructions="", question_type="t", question="Which?", choices=["k", "l", "m", "n"],
        correct_choice_idx=2, second_answer=-1, blind_answer=0,
    )  # fmt: skip
    orders = OptionOrder(3)
    for _ in range(20):
        new = orders.shuffle(candidate_of(record, 2)).record
        assert new.second_answer == -1 and new.choices[new.blind_answer] == "k"
