"""Every verb that asks a server which repeats secrets: no file and no printed line holds one, in any form."""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from echoing.server import ANSWERS, GIVEN, KEY, QA, Given, echo_server, leaks
from project import PROJECT_ROOT

from dataengine_lib import cli

DEMO = PROJECT_ROOT / "data_demo"
# By step: the options of its verb; {folder} is where its files lie.
VERBS = {
    "step 0": "classify-questions --input {folder}/questions.json --output {folder}/out/classified.json"
    " --teacher openai:m --max-attempts 1",
    "step 1": "evaluate --questions {folder}/questions.json --image-root {demo} --student api:m --rank generate"
    " --output-dir {folder}/out --no-direct-answers --max-bad-share 1",
    "step 3": "generate-qa --input {folder}/queries.json --output {folder}/out/result.jsonl --teacher openai:m"
    " --max-attempts 1",
    "step 4": "post-process --input {folder}/replies.jsonl --output {folder}/out/train.json --image-root {demo}"
    " --second-answer mark --second-reader openai:m --blind-answer mark --blind-reader openai:m2"
    " --coco-dataset {demo} --box-check off --near-duplicates off --blind-classifier off",
}
KEPT = ("in the reply", "refused", "page")


def write_inputs(folder: Path) -> None:
    questions = json.loads((DEMO / "aokvqa_v1p0_val_classified.json").read_text())
    rows = [row for kind in questions.values() for row in kind][:3]
    (folder / "questions.json").write_text(json.dumps([{**row, "question_type": ""} for row in rows]))
    queries = json.loads((DEMO / "gptvqa_prompt.json").read_text())[:2]
    (folder / "queries.json").write_text(json.dumps(queries))
    replies = [{**query, "raw_instructions": QA} for query in queries]
    (folder / "replies.jsonl").write_text("\n".join(json.dumps(row) for row in replies))


def printed_by(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> str:
    """What a verb prints, with the traceback of whatever ends it."""
    arguments = [word.format(folder=folder, demo=DEMO) for word in words.split()]
    monkeypatch.setattr(sys, "argv", ["dataengine", *arguments])
    ended = ""
    try:
        cli.main()
    except SystemExit as error:
        assert error.code in (0, 1), capfd.readouterr()
        # as a notebook keeps it: with all errors that it was raised from
        ended = "".join(traceback.format_exception(error))
    out = capfd.readouterr()
    return out.out + out.err + ended


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: given.name)
@pytest.mark.parametrize("step", VERBS)
def test_no_step_stores_or_prints_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, step: str, given: Given
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    for number, (name, status, body) in enumerate(ANSWERS):
        if name not in KEPT:  # the others end as one of these do, after retries
            continue
        with echo_server(status, body) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", given.url(server.server_port))
            words = VERBS[step].replace("/out", f"/out{number}")
            printed = printed_by(words, tmp_path, monkeypatch, capfd)
        assert server.paths and all(path.startswith("/v1/chat/completions") for path in server.paths), printed
        assert leaks(tmp_path, given, printed) == [], name
    files = [file for file in tmp_path.rglob("out*/*") if file.is_file()]
    assert any(b"***" in file.read_bytes() for file in files), "what the server said is kept"


@pytest.mark.parametrize(
    "option", ["http://me:canary@host/v1", "http://canary@host/v1", "http://host/v1?key=canary"]
)
@pytest.mark.parametrize("step", VERBS)
def test_a_secret_in_base_url_is_refused_by_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, step: str, option: str
) -> None:
    write_inputs(tmp_path)
    arguments = [word.format(folder=tmp_path, demo=DEMO) for word in VERBS[step].split()]
    monkeypatch.setattr(sys, "argv", ["dataengine", *arguments, "--base-url", option])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, line = capfd.readouterr()
    assert (ended.value.code, out) == (2, "") and "canary" not in line
    assert line.startswith(f"dataengine: dataengine {arguments[0]}: base_url: looks like a secret")
    assert not (tmp_path / "out").exists() and len(line.splitlines()) == 1


def test_papermill_is_refused_a_secret_and_the_error_does_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parameters cell of the notebook itself is papermill's; the step sends nothing and writes no file."""
    from dataengine_lib.steps.generate_qa import GenerateQaConfig

    monkeypatch.chdir(PROJECT_ROOT)
    names = {
        "input": "data_demo/gptvqa_prompt.json",
        "output": str(tmp_path / "r.jsonl"),
        "teacher": "openai:m",
    }
    with pytest.raises(Exception, match="the parameters cell: base_url: looks like a secret") as caught:
        GenerateQaConfig.from_notebook({**names, "base_url": "http://me:canary@host/v1"})
    assert "canary" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "http://me:canary@host/v1"),
        ("api_key", "sk-canary-abcdefghijklmnop"),  # no parameter of the step
        ("hf_token", "canary"),
        ("extra", {"headers": ["Bearer sk-canary-abcdefghijklmnop"]}),
    ],
)
def test_papermills_own_notebook_holds_a_secret_and_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked_kernels: None, name: str, value: object
) -> None:
    """papermill writes the notebook from its own memory after each cell: a step can only say that it must go."""
    from papermill import PapermillExecutionError, execute_notebook

    monkeypatch.chdir(PROJECT_ROOT)
    given = {name: value, "output": str(tmp_path / "out" / "r.jsonl")}
    with pytest.raises(PapermillExecutionError) as caught:
        execute_notebook(
            "notebooks/3_generate_qa.ipynb", str(tmp_path / "n.ipynb"), given, progress_bar=False
        )
    assert caught.value.evalue.startswith(f"the parameters cell: {name}") and "canary" not in str(
        caught.value
    )
    assert caught.value.evalue.endswith(
        "; the notebook that papermill writes holds it all the same: delete that file"
    )
    assert "canary" in (tmp_path / "n.ipynb").read_text() and not (tmp_path / "out").exists()
