"""`dataengine`: verbs, exit statuses and one line for each fault."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from project import PROJECT_ROOT

from dataengine_lib import __version__, cli, cli_steps
from dataengine_lib.cli_options import LIST_OPTIONS, repeat_list_options
from dataengine_lib.cli_steps import StepVerb, encoder_of_store
from dataengine_lib.embeddings.store import StoredImage, StoreMeta, write_store
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.steps.post_process import PostProcessConfig

REPLY = """Question: Which?
Choices: (A) dog (B) cat (C) cow (D) pig
Answer: The answer is (B): cat.
Explanation: It is."""
# The command lines that the design promises, by verb.
OPTIONS = {
    "run": "--rounds --from --to --set --force --out",
    "plan": "",
    "doctor": "--ask",
    "report": "",
    "notebooks": "--force",
    "classify-questions": "--input --image-root --output",
    "evaluate": "--questions --image-root --student --output-dir --split",
    "embed": "--image-root --annotations --encoder --output",
    "import-embeddings": "--output",
    "construct-queries": "--input --coco-dataset --coco-embedding --output --weight --maxnum --topk --seed",
    "generate-qa": "--input --output --teacher --base-url --budget-usd",
    "cancel-batches": "--input --output",
    "post-process": "--input --output --rejects",
    "fine-tune": "--student --train-data --output-dir",
    "compare-rounds": "--evaluations --output",
    "export": "--input --output --image-root",
}


def call(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`dataengine` in a process of its own."""
    code = "from dataengine_lib.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`dataengine` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["dataengine", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_verb_has_the_promised_options(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, verb, "--help") == 0
    shown = capsys.readouterr().out.split()
    assert [option for option in OPTIONS[verb].split() if option not in shown] == []


def test_help_and_version_load_no_heavy_library() -> None:
    code = (
        "import sys; from dataengine_lib.cli import main; sys.argv = ['dataengine', '--help']\n"
        "try: main()\nexcept SystemExit: print([m for m in ('torch', 'numpy', 'papermill')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert all(verb in done.stdout for verb in OPTIONS)
    assert call("--version").stdout.strip() == __version__


def test_post_process_verb_does_its_work(tmp_path: Path) -> None:
    row = {"image_id": 1, "raw_instructions": REPLY, "question_type": "attribute_recognition"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    done = call("post-process", "--input", "r.jsonl", "--output", "t.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("t.json: 1 kept; rejects.jsonl: 0 dropped")
    (kept,) = json.loads((tmp_path / "t.json").read_text())
    assert kept["choices"][kept["correct_choice_idx"]] == "cat"


def test_wrong_usage_is_one_line_and_status_2(tmp_path: Path) -> None:
    for arguments, message in (
        (
            ("post-process", "--input", "x"),
            "dataengine: dataengine post-process: output is needed; give it\n",
        ),
        (
            ("run", "none.yaml"),
            "dataengine: none.yaml: cannot be read (No such file or directory); check the path\n",
        ),
        (
            ("report", "nowhere"),
            "dataengine: nowhere: no run.json here; give the folder of a run, such as reports/demo\n",
        ),
    ):
        done = call(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, message)
    assert call("post-process", "--inputt", "x").returncode == 2


def test_failed_work_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = call("post-process", "--input", "none.jsonl", "--output", "t.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("dataengine: none.jsonl: ") and len(done.stderr.splitlines()) == 1


def test_a_wrong_parameter_file_runs_nothing(tmp_path: Path) -> None:
    params = str(PROJECT_ROOT / "params" / "demo.yaml")
    done = call("run", params, "--set", "evaluate.studnt=x", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"dataengine: {params} with --set: evaluate: unknown key 'studnt'; nearest valid key: 'student'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_many_files_after_one_option() -> None:
    line = ["fine-tune", "--train-data", "a.json", "b.json", "--student", "s", "--train-data=c.json"]
    expected = [
        "fine-tune",
        "--train-data",
        "a.json",
        "--train-data",
        "b.json",
        "--student",
        "s",
        "--train-data=c.json",
    ]
    assert repeat_list_options(line) == expected


def test_targets_as_words_or_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[ConstructQueriesConfig] = []
    monkeypatch.setitem(
        cli_steps.STEP_VERBS,
        "construct-queries",
        StepVerb("construct_queries", "ConstructQueriesConfig", given.append),
    )
    monkeypatch.setattr(cli, "app", typer.Typer())
    line = [
        "construct-queries",
        "--input=b",
        "--coco-dataset=c",
        "--coco-embedding=e",
        "--output=o",
        "--encoder=x",
    ]
    expected = {"image_scene": 40, "image style": 2}
    for words in (
        ["--targets", "image_scene=40", "image style=2", "--seed", "1"],
        ["--targets", "image_scene=40", "--targets", "image style=2"],
        ["--targets", '{"image_scene": 40, "image style": 2}'],
    ):
        assert main(monkeypatch, *line, *words) == 0
        assert given.pop().targets == expected
    for words, message in (
        (["--targets", "image_scene"], "--targets: write NAME=VALUE, for example image_scene=40"),
        (["--targets", '{"a": '], "--targets: not valid JSON"),
        (["--targets", "a=many"], "dataengine construct-queries: targets.a: "),
        (["--targets", "a=9000"], "dataengine construct-queries: targets: 9000 queries in all"),
    ):
        assert main(monkeypatch, *line, *words) == 2
        assert message in capsys.readouterr().err


def test_lists_of_the_configs_may_be_given_at_once() -> None:
    from dataengine_lib.steps.compare_rounds import CompareRoundsConfig

    for config in (FineTuneConfig, CompareRoundsConfig, ConstructQueriesConfig):
        lists = [
            name
            for name, info in config.model_fields.items()
            if str(info.annotation).startswith(("list", "dict"))
        ]
        assert lists
        assert {"--" + name.replace("_", "-") for name in lists} <= LIST_OPTIONS


def test_help_is_the_docstring_below_the_field() -> None:
    assert PostProcessConfig.model_fields["output"].description == "gptvqa_train_data.json."
    assert "gptvqa_train_data.json." in call("post-process", "--help").stdout


def test_the_store_names_the_encoder(tmp_path: Path) -> None:
    store = tmp_path / "store"
    meta = StoreMeta(encoder="some/clip")
    write_store(store, meta, np.array([1]), np.ones((1, 1), dtype=np.float32), [StoredImage()])
    assert encoder_of_store({"coco_embedding": str(store)})["encoder"] == "some/clip"
    given = {"coco_embedding": str(store), "encoder": "mine"}
    assert encoder_of_store(given) == given
    assert encoder_of_store({"coco_embedding": str(tmp_path / "none")}) == {
        "coco_embedding": str(tmp_path / "none")
    }


def test_plan_spends_nothing_and_adds_up(tmp_path: Path) -> None:
    questions = [
        {"question": "Which?", "choices": ["a", "b", "c", "d"], "correct_choice_idx": 1, "image_id": n,
         "question_type": "image_scene"}
        for n in range(3)
    ]  # fmt: skip
    (tmp_path / "q.json").write_text(json.dumps(questions))
    sets = {
        "evaluate.questions": "q.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": "none",
        "generate_qa.teacher": "openai:gpt-4.1",
        "rounds": "2",
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
    assert rows["image_scene"][1] == "40"
    requests, prompt, reply, usd = (float(value.replace(",", "")) for value in rows["all"][1:])
    assert (requests, reply) == (720, 720 * 120)
    assert usd == pytest.approx(prompt / 1e6 * 2 + reply / 1e6 * 8, abs=0.01)
    assert "round1/1_evaluate: 3 questions" in done.stdout
    assert "requests to" not in done.stdout
    served = ["--set", "evaluate.student=api:gpt-4.1", "--set", "evaluate.rank=generate"]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, *served, cwd=tmp_path)
    assert "evaluate: 6 requests to api:gpt-4.1" in done.stdout, done.stderr  # with and without the options
    assert [path.name for path in tmp_path.iterdir()] == ["q.json"]


def test_plan_prices_readers_at_most(tmp_path: Path) -> None:
    sets = {
        "evaluate.questions": "none.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": str(PROJECT_ROOT / "data_demo"),
        "rounds": "2",
        "post_process.second_reader": "openai:gpt-4.1",
        "post_process.second_reader_image": "true",
        "post_process.blind_reader": "openai:mine",
        "post_process.budget_usd": "7.5",
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"second_reader: at most 720 requests to openai:gpt-4.1, ([\d,]+) prompt tokens, 3,800 for each image "
        r"\(prices as of [\d-]+: ([\d.]+) US dollars if each reply is a letter, ([\d.]+) if each takes",
        done.stdout,
    )
    tokens, usd, most = (float(number.replace(",", "")) for number in found.groups())
    assert tokens > 720 * (3800 + 400)  # the picture, the rules, captions and boxes
    assert usd == pytest.approx((tokens * 2 + 720 * 10 * 8) / 1e6, abs=0.01)
    assert most == pytest.approx((tokens * 2 + 720 * 2000 * 8) / 1e6, abs=0.01)
    blind = re.search(
        r"blind_reader: at most 720 requests to openai:mine, ([\d,]+) .*\(price not known\)", done.stdout
    )
    assert int(blind[1].replace(",", "")) < tokens / 10
    assert "post_process.budget_usd stops the readers of each round at 7.5" in done.stdout
    options = ["--set", "evaluate.questions=none.json", "--set", "post_process.budget_usd=7.5"]
    done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0 and "reader" not in done.stdout and "7.5" not in done.stdout


def test_plan_keeps_to_the_output_limit_and_the_steps_own_prices(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n  mine: {input: 1000, output: 1000}\n")
    sets = {
        "construct_queries.maxnum": "1000",
        "generate_qa.teacher": "openai:mine",
        "generate_qa.prices": str(prices),
        "generate_qa.max_output_tokens": "60",
        "classify_questions.questions": str(PROJECT_ROOT / "data_demo" / "aokvqa_v1p0_val_classified.json"),
        "classify_questions.teacher": "openai:mine",
        "classify_questions.prices": str(prices),
    }
    options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    done = call("plan", str(PROJECT_ROOT / "params" / "demo.yaml"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
    most = re.search(r"as max_output_tokens allows: ([\d,.]+) US dollars", done.stdout)
    requests, _, reply, usd = (float(value.replace(",", "")) for value in rows["all"][1:])
    assert reply == requests * 60 and usd == float(most[1].replace(",", ""))
    assert "replies are counted as 60 tokens" in done.stdout
    assert re.search(r"classify_questions: .* prompt tokens, [\d.,]+ US dollars", done.stdout)


def test_a_reader_without_its_key_is_found_before_step_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    params = str(PROJECT_ROOT / "params" / "local_llm.yaml")
    sets = ["--set", "generate_qa.teacher=annotations", "--set", "post_process.second_reader=openai:gpt-4.1"]
    done = call("run", params, *sets, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"dataengine: {params}: post_process: OPENAI_API_KEY is not set; export it, or give base_url"
        " (or OPENAI_BASE_URL) of another server\n"
    )
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_plan_counts_targets_and_pictures(tmp_path: Path) -> None:
    sets = {
        "evaluate.questions": "none.json",
        "construct_queries.maxnum": "360",
        "construct_queries.coco_dataset": "none",
        "construct_queries.targets": "{image_scene: 20, Image style: 0}",
        "generate_qa.teacher": "openai:gpt-4.1",
    }
    plans = {}
    for template in ("v2", "vision"):
        options = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        options += ["--set", f"construct_queries.template={template}"]
        done = call("plan", str(PROJECT_ROOT / "params" / "coco.yaml"), *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.count("  ") > 3}
        assert [rows[kind][1] for kind in ("image_scene", "image_style", "image_topic")] == ["20", "0", "21"]
        plans[template] = int(rows["image_scene"][2].replace(",", ""))
    assert plans["vision"] > 20 * 3800 > plans["v2"]
