"""Tests that a question which the teacher was shown may not be scored as holdout."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataengine_lib.core.records import Query, Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.holdout_guard import check_holdout_not_shown


def question(key: str = "q1", image_id: int = -1, image_path: str = "") -> Question:
    return Question(
        question="?",
        choices=["a", "b"],
        correct_choice_idx=0,
        question_id=key,
        image_id=image_id,
        image_path=image_path,
    )


def query(**fields: Any) -> Query:
    return Query(**{"image_id": 900, "prompt": "…", "question_type": "t", "query_id": "r-1", **fields})


def file_of(folder: Path, *queries: Query, name: str = "gptvqa_prompt.json") -> Path:
    file = folder / name
    file.write_bytes(msgspec.json.encode(list(queries)))
    return file


def test_a_file_of_another_encoding_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "gptvqa_prompt.json"
    file.write_bytes(b'[{"image_id": 1, "image_path": "caf\xe9.jpg"}]')
    with pytest.raises(DataEngineError, match=r"gptvqa_prompt\.json: .*not saved as UTF-8"):
        check_holdout_not_shown([], [file])


def test_an_example_shown_to_the_teacher_may_not_be_scored(tmp_path: Path) -> None:
    clean = file_of(tmp_path, query(), name="round1.json")
    file = file_of(tmp_path, query(), query(query_id="r-{2}", example_ids=["q8", "q9"]))
    check_holdout_not_shown([question("q1"), question("q2")], [clean, file])
    with pytest.raises(DataEngineError) as caught:
        check_holdout_not_shown([question("q1"), question("q9"), question("q8")], [clean, file])
    assert str(caught.value) == (
        f"{file}: query r-{{2}} shows the teacher, as an example, holdout question q9; remove it from holdout, or "
        "remove the file from teacher_queries if it is about other data (2 of 3 questions)"
    )


@pytest.mark.parametrize(
    ("shown", "scored"),
    [
        ({"image_id": 5}, (5, "")),
        ({"image_id": 5}, (-1, "val2017/000000000005.jpg")),
        ({"image_id": 5, "image_path": "train2017/000000000005.jpg"}, (-1, "COCO_val2014_000000000005.jpg")),
        ({"image_id": 5, "image_path": "own/cat.jpg"}, (5, "cat.jpg")),
        ({"image_id": 5, "image_path": "own/cat.jpg"}, (5, "")),
        ({"image_id": 5, "image_path": "own/cat.jpg"}, (-1, "set/own/cat.jpg")),
        ({"anchor_image_id": 5}, (5, "")),
        ({"anchor_image_id": -1, "anchor_image_path": "scene7.jpg"}, (-1, "images/scene7.jpg")),
    ],
)
def test_the_image_of_a_query_may_not_be_scored(
    tmp_path: Path, shown: dict[str, Any], scored: tuple[int, str]
) -> None:
    file = file_of(tmp_path, query(**shown))
    role = "starts from" if "anchor_image_id" in shown else "asks about"
    with pytest.raises(
        DataEngineError, match=f"query r-1 {role} the image of holdout question q1; "
    ) as caught:
        check_holdout_not_shown([question("q0", 77), question("q1", *scored)], [file])
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "scored"),
    [
        ({"image_id": 5}, (6, "")),
        ({"image_id": 5, "image_path": "a.jpg"}, (5, "b.jpg")),  # the same id in another data set
        ({"image_id": -1, "image_path": "a/1.jpg"}, (-1, "b/1.jpg")),
        ({"image_id": -1, "image_path": "a/1.jpg"}, (-1, "a/11.jpg")),
        ({"image_id": -1, "image_path": "", "example_ids": ["q8"]}, (-1, "")),
        ({"image_id": 5, "image_path": "x/000000000005.jpg"}, (-1, "000000000050.jpg")),
    ],
)
def test_another_image_is_allowed(tmp_path: Path, shown: dict[str, Any], scored: tuple[int, str]) -> None:
    check_holdout_not_shown([question("q1", *scored)], [file_of(tmp_path, query(**shown))])


def test_query_files_of_mllm_dataengine_are_read(tmp_path: Path) -> None:
    file = tmp_path / "gptvqa_prompt.json"
    file.write_text(json.dumps([{"image_id": "7", "prompt": "…", "question_type": "t"}]))
    check_holdout_not_shown([question("q1", 8)], [file])
    with pytest.raises(DataEngineError, match="query row 0 asks about the image of holdout question q1"):
        check_holdout_not_shown([question("q1", 7)], [file])


def test_no_files_nothing_to_check_and_a_broken_one_is_named(tmp_path: Path) -> None:
    check_holdout_not_shown([question()], [])
    check_holdout_not_shown([], [file_of(tmp_path, query())])
    with pytest.raises(DataEngineError, match=r"missing\.json"):
        check_holdout_not_shown([question()], [tmp_path / "missing.json"])
    (tmp_path / "broken.json").write_text('[{"image_id": [1]}]')
    with pytest.raises(DataEngineError, match=r"broken\.json: not a format that this step reads: .*image_id"):
        check_holdout_not_shown([question()], [tmp_path / "broken.json"])


GOOD = [{"image_id": number, "prompt": "…", "question_type": "t"} for number in range(900, 929)]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"image_id": 2**70}, "has more than 64 bits"),
        ({"image_id": None, "prompt": "…"}, "a query names an image or examples"),
        ({"image_id": {"id": 1}}, "Expected `int | str`"),
        ("text", "Expected `object`"),
        ({"image_id": 1, "example_ids": "q1"}, "Expected `array`"),
    ],
)
def test_one_odd_query_is_left_out_and_the_others_are_compared(tmp_path: Path, odd: Any, reason: str) -> None:
    file = tmp_path / "gptvqa_prompt.json"
    file.write_text(json.dumps([odd, *GOOD]))
    (warning,) = check_holdout_not_shown([question("q1", 8)], [file])
    assert warning.startswith(f"{file}: 1 of 30 rows left out: malformed row (1); first: row 0: ")
    assert reason in warning
    with pytest.raises(DataEngineError, match="query row 7 asks about the image of holdout question q1"):
        check_holdout_not_shown([question("q1", 906)], [file])
    with pytest.raises(
        DataEngineError, match=r"1 of 30 rows cannot be used: .*teacher_queries, or raise max_bad"
    ):
        check_holdout_not_shown([question("q1", 8)], [file], max_bad_share=0)


def test_lines_and_packed_files_of_queries_are_compared(tmp_path: Path) -> None:
    lines = "\r\n".join(json.dumps(row) for row in GOOD).encode()
    for name, content in {
        "a.jsonl": b"\xef\xbb\xbf" + lines,
        "a.json.gz": gzip.compress(json.dumps(GOOD).encode()),
        "b.jsonl.gz": gzip.compress(lines),
        "utf16.json": json.dumps(GOOD).encode("utf-16"),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataEngineError, match="asks about the image of holdout question q1"):
            check_holdout_not_shown([question("q1", 906)], [tmp_path / name])
        assert check_holdout_not_shown([question("q1", 8)], [tmp_path / name]) == []


def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "llava.json"
    chat = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "a"}]
    file.write_text(json.dumps([{"id": "1", "image": "a.jpg", "conversations": chat}]))
    with pytest.raises(
        DataEngineError, match=r"looks like LLaVA.*give gptvqa_prompt\.json of construct-queries"
    ):
        check_holdout_not_shown([question()], [file])


def test_ids_that_are_numbers_are_compared_as_texts(tmp_path: Path) -> None:
    file = tmp_path / "gptvqa_prompt.json"
    file.write_text(json.dumps([{"image_id": 900, "query_id": 5, "example_ids": [12, "q9"]}]))
    with pytest.raises(
        DataEngineError, match="query 5 shows the teacher, as an example, holdout question 12"
    ):
        check_holdout_not_shown([question("12")], [file])


def test_one_among_thousands_of_queries_is_found(tmp_path: Path) -> None:
    prompt = "word " * 800
    queries = [
        query(image_id=i, prompt=prompt, example_ids=[f"e{i}", "e0"], anchor_image_id=3) for i in range(6000)
    ]
    file = file_of(tmp_path, *queries)
    questions = [question(f"q{i}", 10_000 + i) for i in range(20_000)]
    check_holdout_not_shown(questions, [file])
    with pytest.raises(DataEngineError, match="holdout question e4711"):
        check_holdout_not_shown([*questions, question("e4711", 9_999_999)], [file])
