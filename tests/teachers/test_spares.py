"""Step 3 asks a spare query for each reply that skips, wave by wave, whenever it is killed and whatever fails."""

import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from killed.forked import forked

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.holdout_guard import check_holdout_not_shown
from dataengine_lib.playground.server import PlaygroundServer, serve
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.steps.generate_qa import GenerateQaConfig, GenerateQaResult, generate_qa, price_queries
from dataengine_lib.teachers.batch_api import BatchApi
from dataengine_lib.teachers.reply_files import LEDGER

QA = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
FILES = ("gptvqa_result.jsonl", "gptvqa_failed.jsonl", "usage.json", ASKED_SPARES_FILE)
# Main queries: m0 and m1 of `ocr` skip, m2 gives a QA; m3 of `style` skips, m4 gives a QA.
# Of the spares of `ocr`, s0 and s2 skip, and so on: those that end in "skip" do.
MAIN = ("ocr skip", "ocr skip", "ocr", "style skip", "style")
SPARES = ("style skip", "ocr skip", "ocr", "style skip", "ocr skip", "ocr", "ocr", "style", "style")
# two spares of `ocr` give a QA at places 2 and 5 of the file, one of `style` at place 7
ASKED = [0, 1, 2, 3, 4, 5, 7]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")


def rows(texts: tuple[str, ...], first: str) -> list[Query]:
    return [
        Query(
            image_id=1000 * (first == "s") + n,
            prompt=f"{first}{n} {text}",
            question_type=text.split()[0],
            query_id=f"{first}{n}",
            example_ids=[f"case {n}"],
        )
        for n, text in enumerate(texts)
    ]


def write_queries(folder: Path, main: tuple[str, ...] = MAIN, spares: tuple[str, ...] = SPARES) -> None:
    write_json(folder / "gptvqa_prompt.json", rows(main, "m"))
    write_json(folder / "gptvqa_spare.json", rows(spares, "s"))


def answer(messages: list[dict[str, Any]]) -> str:
    return "Skip: the image does not support it" if messages[-1]["content"].endswith("skip") else QA


def config(folder: Path, server: PlaygroundServer, **values: Any) -> GenerateQaConfig:
    given: dict[str, Any] = {
        "input": folder / "gptvqa_prompt.json", "output": folder / "gptvqa_result.jsonl",
        "spares": folder / "gptvqa_spare.json", "teacher": "openai:gpt-4o-mini", "base_url": server.base_url,
        "batch_poll_s": 0.02,
    }  # fmt: skip
    return GenerateQaConfig(**(given | values))


def generate(folder: Path, server: PlaygroundServer, **values: Any) -> GenerateQaResult:
    return generate_qa(config(folder, server, **values))


def asked(server: PlaygroundServer) -> Counter[str]:
    return Counter(body["messages"][-1]["content"] for body in server.requests)


def ids(folder: Path, name: str = "gptvqa_result.jsonl") -> list[str]:
    return [row["query_id"] for row in read_jsonl(folder / name)]


@pytest.mark.parametrize("settings", [{}, {"concurrency": 1}, {"budget_usd": 5.0}, {"reply_format": "text"}])
def test_as_many_spares_are_asked_as_replies_skipped(tmp_path: Path, settings: dict[str, Any]) -> None:
    write_queries(tmp_path)
    with serve(answer) as server:
        result = generate(tmp_path, server, **settings)
        sent = asked(server)
    wanted = [f"m{n}" for n in range(5)] + [f"s{n}" for n in ASKED]
    assert ids(tmp_path) == wanted == [row.query_id for row in result.results]
    assert sent.total() == len(sent) == len(wanted)
    assert [row["query_id"] for row in read_json(tmp_path / ASKED_SPARES_FILE)] == wanted[5:]
    assert (result.queries, result.unasked, result.failures) == (12, 0, [])
    assert "7 of 9 spare queries were asked in place of replies that skip" in result.notes
    assert not any("spare" in warning for warning in result.warnings)
    assert read_json(tmp_path / "usage.json")["requests"] == 12
    assert price_queries(config(tmp_path, server))[0].requests == 5, "the price is that of the main queries"


def test_waves_are_answered_before_the_next(tmp_path: Path) -> None:
    write_queries(tmp_path)
    with serve(answer) as server:
        generate(tmp_path, server)
        order = [body["messages"][-1]["content"].split()[0] for body in server.requests]
    # m: two skips of ocr and one of style; then 1 QA of ocr, none of style; and so on
    waves = [{"m0", "m1", "m2", "m3", "m4"}, {"s0", "s1", "s2"}, {"s3", "s4"}, {"s5", "s7"}]
    for wave in waves:
        assert set(order[: len(wave)]) == wave
        del order[: len(wave)]
    assert order == []


def test_the_same_in_batches(tmp_path: Path) -> None:
    for name in ("live", "batch"):
        (tmp_path / name).mkdir()
        write_queries(tmp_path / name)
    with serve(answer) as server:
        generate(tmp_path / "live", server)
        generate(tmp_path / "batch", server, mode="batch")
    assert ids(tmp_path / "batch") == ids(tmp_path / "live")
    assert read_json(tmp_path / "batch" / "usage.json")["requests"] == 12
    # a second run has nothing to send
    with serve(answer) as server:
        generate(tmp_path / "batch", server, mode="batch")
        assert not server.requests and not server.batches.files


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_a_wave_in_a_batch_that_was_not_collected_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wave: int
) -> None:
    for name in ("live", "batch"):
        (tmp_path / name).mkdir()
        write_queries(tmp_path / name)
    folder, looks = tmp_path / "batch", BatchApi.retrieve

    async def retrieve(api: BatchApi, batch_id: str) -> Any:
        if len(server.batches.batches) > wave:
            raise TeacherStop("the connection is gone")
        return await looks(api, batch_id)

    with serve(answer) as server:
        generate(tmp_path / "live", server)
        with monkeypatch.context() as patch, pytest.raises(DataEngineError, match="the connection is gone"):
            patch.setattr(BatchApi, "retrieve", retrieve)
            generate(folder, server, mode="batch")
        assert len(ids(folder)) == (5, 8, 10)[wave - 1]
        generate(folder, server, mode="batch")
        assert len(server.batches.batches) == 4, "one of the queries and one of each wave"
    assert ids(folder) == ids(tmp_path / "live")
    assert read_json(folder / "usage.json")["requests"] == 12
    assert read_json(folder / ASKED_SPARES_FILE) == read_json(tmp_path / "live" / ASKED_SPARES_FILE)


def test_a_second_run_sends_nothing_and_writes_the_same(tmp_path: Path) -> None:
    write_queries(tmp_path)
    with serve(answer) as server:
        generate(tmp_path, server)
        before, sent = [(tmp_path / name).read_bytes() for name in FILES], len(server.requests)
        result = generate(tmp_path, server)
        assert len(server.requests) == sent and result.earlier == 12
    assert [(tmp_path / name).read_bytes() for name in FILES] == before


@pytest.mark.parametrize("seen", [7, 9, 11])
def test_a_run_killed_in_a_wave_goes_on(tmp_path: Path, seen: int) -> None:
    """The server has seen so many requests at the kill: the main queries are 5, the waves after them 3, 2 and 2."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        write_queries(tmp_path / name)
    folder = tmp_path / "killed"
    with serve(answer) as server:
        generate(tmp_path / "whole", server)
    hold = True

    def slow(messages: list[dict[str, Any]]) -> str:
        # the last request that is let through has no reply at the kill
        while hold and len(server.requests) >= seen:
            time.sleep(0.01)
        return answer(messages)

    environment = {"OPENAI_API_KEY": "sk-secret-1234"}
    with serve(slow) as server:
        log = tmp_path / "log.txt"
        process = forked(generate_qa, config(folder, server, concurrency=1), log=log, environment=environment)
        process.start()
        while len(server.requests) < seen and process.is_alive():
            time.sleep(0.01)
        # every reply but the held one has to be on the disk
        while sum("request" in row for row in read_jsonl(folder / LEDGER, torn_tail=True)) < seen - 1:
            time.sleep(0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, log.read_text()
        hold = False
        first = asked(server)
        generate(folder, server)
        sent = asked(server)
    assert all((folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes() for name in FILES)
    # only the request that had no reply is sent a second time
    assert first.total() == seen and sent.total() == 12 + 1 and sent.most_common(1)[0][1] == 2


def test_a_spare_that_fails_is_no_qa_and_another_takes_its_place(tmp_path: Path) -> None:
    write_queries(tmp_path, ("ocr skip", "ocr"), ("ocr", "ocr", "ocr"))

    def fault(body: dict[str, Any]) -> str | None:
        return "refusal" if body["messages"][-1]["content"].startswith("s0") else None

    with serve(answer, fault) as server:
        result = generate(tmp_path, server)
        assert ids(tmp_path) == ["m0", "m1", "s1"] and ids(tmp_path, "gptvqa_failed.jsonl") == ["s0"]
        assert [one.query_id for one in result.failures] == ["s0"] and result.unasked == 0
        # it was shown to the teacher, so its image is used
        assert [row["query_id"] for row in read_json(tmp_path / ASKED_SPARES_FILE)] == ["s0", "s1"]
        before, sent = [(tmp_path / name).read_bytes() for name in FILES], len(server.requests)
        generate(tmp_path, server)
        assert len(server.requests) == sent, "a failed spare is not asked again"
    assert [(tmp_path / name).read_bytes() for name in FILES] == before


def test_spares_that_are_used_up_are_a_warning(tmp_path: Path) -> None:
    write_queries(tmp_path, ("ocr skip", "ocr skip", "style skip"), ("ocr skip", "style"))
    with serve(answer) as server:
        result = generate(tmp_path, server)
    assert any(
        "2 replies that skip have no spare query left, of 1 type: ocr; write more" in one
        for one in result.warnings
    )
    assert ids(tmp_path) == ["m0", "m1", "m2", "s0", "s1"]


def test_a_budget_that_ends_leaves_spares_unasked_and_they_are_no_failures(tmp_path: Path) -> None:
    write_queries(tmp_path)
    with serve(answer) as server:
        generate(tmp_path, server, spares=None)
        spent = read_json(tmp_path / "usage.json")["cost_usd"]
        # one at a time, until what is left is less than one more request may cost
        most = price_queries(config(tmp_path, server))[0].most_usd
        assert most is not None
        left = most / len(MAIN) + 2.5 * spent / len(MAIN)
        result = generate(tmp_path, server, budget_usd=spent + left, concurrency=1)
        assert result.stopped and result.failures == [] and result.unasked == 0
        number = len(result.results) - 5
        assert 0 < number < 7 and f"{number} of 9 spare queries were asked" in " ".join(result.notes)
        assert len(read_json(tmp_path / ASKED_SPARES_FILE)) == number
        generate(tmp_path, server)
        assert asked(server).most_common(1)[0][1] == 1
    assert ids(tmp_path)[5:] == [f"s{n}" for n in ASKED]


def test_without_skips_no_spare_is_asked_and_no_file_left(tmp_path: Path) -> None:
    write_queries(tmp_path, ("ocr", "style"))
    write_json(tmp_path / ASKED_SPARES_FILE, rows(SPARES, "s"))
    with serve(answer) as server:
        assert len(generate(tmp_path, server).results) == 2
    assert not (tmp_path / ASKED_SPARES_FILE).exists()
    # a pool that ran out leaves an empty list
    write_json(tmp_path / "gptvqa_spare.json", [])
    with serve(answer) as server:
        assert generate(tmp_path, server).warnings == []


def test_queries_that_are_the_same_request_are_sent_once(tmp_path: Path) -> None:
    main = rows(("ocr skip", "ocr"), "m")
    same = [
        Query(image_id=50 + n, prompt=main[n].prompt, question_type="ocr", query_id=f"s{n}") for n in (0, 1)
    ]
    write_json(tmp_path / "gptvqa_prompt.json", main)
    write_json(tmp_path / "gptvqa_spare.json", [*same, *rows(("ocr", "ocr", "ocr"), "s")[2:]])
    with serve(answer) as server:
        generate(tmp_path, server)
        generate(tmp_path, server)
        assert asked(server).total() == 2
    # s0 is the request that skipped, s1 the one that gave a QA, and makes up for the skip
    assert ids(tmp_path) == ["m0", "m1", "s0", "s1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "gptvqa_spare.json"),
        ("{", "gptvqa_spare.json"),
        ('{"a": 1}', "missing required field"),
        ('["<script>", 7]', "gptvqa_spare.json"),
        ('[{"image_id": 1, "prompt": "p", "question_type": "ocr", "query_id": "m0"}]', "a query of input"),
    ],
)
def test_a_file_that_holds_no_spares_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    write_queries(tmp_path)
    file = tmp_path / "gptvqa_spare.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with serve(answer) as server, pytest.raises(DataEngineError) as caught:
        generate(tmp_path, server)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not server.requests, "nothing is sent before the file is read"


def test_asked_spares_may_not_show_a_holdout_question(tmp_path: Path) -> None:
    from dataengine_lib.core.records import Question

    write_queries(tmp_path)
    holdout = [Question(question="?", choices=[], correct_choice_idx=-1, image_id=1007, question_id="q")]
    file = tmp_path / "gptvqa_prompt.json"
    assert check_holdout_not_shown(holdout, [file]) == []
    with serve(answer) as server:
        generate(tmp_path, server)
    with pytest.raises(DataEngineError, match=rf"{ASKED_SPARES_FILE}: query s7 asks about the image of"):
        check_holdout_not_shown(holdout, [file])
    # s8 was not asked
    holdout[0].image_id = 1008
    assert check_holdout_not_shown(holdout, [file]) == []
