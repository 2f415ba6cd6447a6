"""Lineage of a record: found by record id, query id or request key, in the folder of a round or a run."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dataengine_lib.cli import app
from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import Query, Result
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.trace import trace_lines
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

KEY = "3f2a" * 16
REPLY = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)


def make_round(folder: Path, number: int, **reply: Any) -> None:
    """Files of steps 1 to 4 for two queries: the first reply has two QAs, the second is skipped."""
    shared = {"question_type": "ocr", "template": "v1.j2", "example_ids": ["q1", "4"], "round": number}
    write_json(
        folder / "bad_case_aokvqa_classified.json",
        {"ocr": [{"question_id": "q1", "image_path": "a.jpg", "question": "What sign?", "choices": ["go", "stop"],
                  "correct_choice_idx": 1, "model_answer": "go"},
                 {"idx": 4, "image_id": 7, "prompt": "Question: Whose?"}]},
    )  # fmt: skip
    queries, replies = [], []
    for place, text in enumerate((REPLY + "\n\n" + REPLY.replace("Which?", "What?"), "Skip")):
        name = f"r{number}-{place}abcdef"
        queries.append(
            Query(
                image_id=place,
                image_path=f"{place}.jpg",
                prompt="…",
                query_id=name,
                prompt_sha256="99ff",
                neighbour=not place,
                similarity=0.9 if not place else None,
                anchor_image_path="a.jpg",
                **shared,
            )
        )
        replies.append(
            Result(
                image_id=place,
                raw_instructions=text,
                query_id=name,
                prompt_tokens=1200,
                request_key=KEY[place * 4 :] + str(number),
                finish_reason="stop",
                **({"model": "teacher-1"} | shared | reply),
            )
        )
    write_json(folder / "gptvqa_prompt.json", queries)
    write_jsonl(folder / "gptvqa_result.jsonl", replies)
    post_process(
        PostProcessConfig(input=folder / "gptvqa_result.jsonl", output=folder / "gptvqa_train_data.json")
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for number in (1, 2):
        make_round(tmp_path / f"round{number}", number)
    return tmp_path


def test_a_record_is_traced_back_to_its_evaluation(run: Path) -> None:
    lines = trace_lines("r2-0abcdef-2", run)
    text, place = "\n".join(lines), run / "round2"
    assert lines[0] == f"record r2-0abcdef-2 in {place / 'gptvqa_train_data.json'}"
    assert "What?" in lines[2] and "Which?" not in text
    for expected in (
        "ocr, round 2, image 0",
        f"reply in {place / 'gptvqa_result.jsonl'}",
        f"teacher teacher-1, request key {KEY}2",
        "tokens 1,200 in, 0 out; finish reason: stop",
        "query r2-0abcdef in",
        "prompt v1.j2, sha256 99ff",
        "drawn as a neighbour of a.jpg, cosine 0.900",
        "image a.jpg: What sign?",
        "right: stop; the student answered: go",
        "bad case 4 in",
        "image 7: Question: Whose?",
        "right: not known; the student answered: not known",
    ):
        assert expected in text
    assert "round1" not in text and text.index("record") < text.index("reply in") < text.index("query")


def test_a_query_shows_all_records_made_from_it(run: Path) -> None:
    for name in ("r1-0abcdef", "r1-0ab", f"{KEY}1"):
        lines = trace_lines(name, run)
        records = [line.split()[1] for line in lines if line.startswith("record ")]
        assert records == ["r1-0abcdef", "r1-0abcdef-2"] or (
            name == "r1-0abcdef" and records == ["r1-0abcdef"]
        )
        assert sum(line.startswith("query ") for line in lines) == 1
    assert trace_lines(f"{KEY}1", run / "round1") == trace_lines(f"{KEY}1", run)


def test_a_dropped_reply_shows_its_reason(run: Path) -> None:
    text = "\n".join(trace_lines("r1-1abcdef", run))
    assert "dropped r1-1abcdef in" in text and "reason: skipped by the teacher; line 2 of the replies" in text
    assert "drawn at random" in text and "record" not in text


def test_a_question_shows_its_queries_and_what_became_of_them(run: Path) -> None:
    lines = trace_lines("q1", run)
    assert "round 1: query r1-0abcdef shows it with its image as anchor; image 0.jpg, neighbour" in lines
    assert "round 2: query r2-1abcdef shows it as an example; image 1.jpg, random" in lines
    assert "  reply: answered" in lines and "  QA r1-0abcdef-2: kept What?" in lines
    assert "  QA r2-1abcdef: dropped (skipped by the teacher)" in lines


def test_nothing_found_is_one_line(run: Path) -> None:
    for name in ("nothing", "r1-0", ""):
        with pytest.raises(
            DataEngineError, match="no record, query, request or question of that name"
        ) as raised:
            trace_lines(name, run)
        assert "\n" not in str(raised.value)
    with pytest.raises(DataEngineError, match="is not a folder"):
        trace_lines("x", run / "missing")


def test_a_prefix_of_several_names_is_an_error(run: Path) -> None:
    with pytest.raises(
        DataEngineError, match="is the beginning of 4 names, among them r1-0abcdef, r1-1abcdef"
    ):
        trace_lines(KEY[:8], run)


def test_files_that_are_missing_or_old(run: Path) -> None:
    for name in ("gptvqa_prompt.json", "bad_case_aokvqa_classified.json", "rejects.jsonl"):
        (run / "round1" / name).unlink()
    text = "\n".join(trace_lines("r1-0abcdef", run))
    assert "record r1-0abcdef" in text and "bad case q1: not in" in text and "query " not in text
    assert f"query: not known, as {run / 'round1' / 'gptvqa_prompt.json'} is missing" in text
    assert f"evaluation: not known, as {run / 'round1' / 'metrics.json'} is missing" in text
    assert "reply: not" not in text


def test_gaps_of_a_trace_are_said(run: Path) -> None:
    (run / "round1" / "gptvqa_result.jsonl").unlink()
    write_json(run / "round1" / "gptvqa_prompt.json", [])
    lines = trace_lines("r1-0abcdef", run)
    assert f"reply: not known, as {run / 'round1' / 'gptvqa_result.jsonl'} is missing" in lines
    assert f"query: not in {run / 'round1' / 'gptvqa_prompt.json'}" in lines


def test_text_of_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    make_round(tmp_path, 1, model="\x1b[2J\x07teacher")
    text = "\n".join(trace_lines("r1-0abcdef", tmp_path))
    assert "teacher [2Jteacher" in text and "\x1b" not in text


def test_the_verb(run: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "r1-0abcdef", "--run", str(run)])
    assert done.exit_code == 0 and done.stdout.startswith("record r1-0abcdef in")


def test_the_cause_of_a_query_is_one_line(tmp_path: Path) -> None:
    query = Query(image_id=1, prompt="…", question_type="ocr", query_id="r1-0abcdef", cause="signs\nat night")
    write_json(tmp_path / "gptvqa_prompt.json", [query])
    assert "  cause: signs at night" in trace_lines("r1-0abcdef", tmp_path)


def test_a_spare_that_was_asked_is_in_a_file_of_its_own(tmp_path: Path) -> None:
    for number, name in enumerate(("gptvqa_prompt.json", "gptvqa_spare_asked.json")):
        query = Query(image_id=number, prompt="…", question_type="ocr", query_id=f"r{number}-abcdef")
        write_json(tmp_path / name, [query])
        assert f"query r{number}-abcdef in {tmp_path / name}" in trace_lines(f"r{number}-abcdef", tmp_path)
