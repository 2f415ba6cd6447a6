"""`dataengine`: verbs, exit statuses and one line for each fault."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from experiments import call
from project import PROJECT_ROOT
from typer.main import get_command

from dataengine_lib import __version__, cli, cli_steps
from dataengine_lib.cli_steps import StepVerb, encoder_of_store
from dataengine_lib.cli_terminal import LIST_OPTIONS, repeat_list_options
from dataengine_lib.embeddings.store import StoredImage, StoreMeta, write_store
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.fine_tune import FineTuneConfig
from dataengine_lib.steps.post_process import PostProcessConfig
from dataengine_lib.training.base_data import base_files

REPLY = """Question: Which?
Choices: (A) dog (B) cat (C) cow (D) pig
Answer: The answer is (B): cat.
Explanation: It is."""
# The command lines that the design promises, by verb.
OPTIONS = {
    "run": "--rounds --from --to --set --force --out --watch --open",
    "study": "--set --parallel --out --open",
    "init": "--questions --image-root --student --coco-dataset --teacher --budget-usd --maxnum --out",
    "plan": "",
    "doctor": "--ask",
    "report": "--open",
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
    "optimize-prompt": "--input --output --template --without-rules --rounds --budget-usd",
    "export": "--input --output --image-root",
    "merge-reviews": "--output",
    "import-label-studio": "--output",
    "trace": "--run",
    "compare": "--split --output --open",
    "bundle": "--output --data --pdf",
}


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


# `dataengine` several times in one process; after each the heavy libraries that it has loaded.
START = """
import sys
from dataengine_lib.cli import main
HEAVY = ("torch", "transformers", "peft", "ray", "pandas", "scipy", "numpy", "pydantic", "papermill", "tqdm")
for words in (["--help"], ["plan", "params/demo.yaml"], ["doctor", "params/demo.yaml"]):
    if words[0] == "doctor":
        from dataengine_lib.runs import doctor
        doctor._ASK_TORCH = "print('device: none')"  # which another process would load
    sys.argv = ["dataengine", *words]
    try:
        main()
    except SystemExit as ended:
        print("loaded", ended.code, *[name for name in HEAVY if name in sys.modules])
"""


def test_help_loads_no_heavy_library_and_plan_and_doctor_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    loaded = [line.split() for line in done.stdout.splitlines() if line.startswith("loaded ")]
    assert loaded[0] == ["loaded", "0"] and len(loaded) == 3
    assert not {"torch", "transformers", "peft", "ray"} & {*loaded[1], *loaded[2]}
    assert "prompt tokens are an upper estimate" in done.stdout and "device: none" in done.stdout
    shown = done.stdout.partition("loaded ")[0]
    assert all(verb in shown for verb in OPTIONS)
    assert OPTIONS.keys() == {one.name for one in cli.app.registered_commands} | cli_steps.STEP_VERBS.keys()
    assert call("--version").stdout.strip() == __version__


@pytest.mark.parametrize("verb", ["", *OPTIONS])
def test_help_shows_whole_descriptions_at_any_width(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer(cls=cli.app.info.cls, rich_markup_mode=None)
    app.registered_commands = list(cli.app.registered_commands)
    cli_steps.add_step_verbs(app, verb)
    group: Any = get_command(app)
    context = group.make_context("dataengine", [verb] if verb else [], resilient_parsing=True)
    command = group.get_command(context, verb) if verb else group
    if verb:
        described = [command.help, *(one.help for one in command.params if getattr(one, "help", None))]
    else:
        described = [one.help.split("\n\n")[0].split(". ")[0] for one in group.commands.values()]
    for width in range(60, 201) if not verb else (60, 80, 100, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        # lines are broken at spaces and hyphens
        shown = "".join(command.get_help(context).split())
        assert [text for text in described if "".join(text.split()) not in shown] == [], width


def test_post_process_verb_does_its_work(tmp_path: Path) -> None:
    row = {"image_id": 1, "raw_instructions": REPLY, "question_type": "attribute_recognition"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    done = call("post-process", "--input", "r.jsonl", "--output", "t.json", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: not done, as files are not given: box_check (needs coco_dataset), leaks (needs questions)",
        "warning: only 1 training record: too few to learn from",
    ]
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

    def take(config: ConstructQueriesConfig) -> list[str]:
        given.append(config)
        return []

    verb = StepVerb("construct_queries", "ConstructQueriesConfig", take)
    monkeypatch.setitem(cli_steps.STEP_VERBS, "construct-queries", verb)
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


def test_base_data_as_a_file_or_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[FineTuneConfig] = []

    def take(config: FineTuneConfig) -> list[str]:
        given.append(config)
        return []

    verb = StepVerb("fine_tune", "FineTuneConfig", take)
    monkeypatch.setitem(cli_steps.STEP_VERBS, "fine-tune", verb)
    monkeypatch.setattr(cli, "app", typer.Typer())
    line = ["fine-tune", "--student=s", "--train-data=t", "--image-root=i", "--output-dir=o"]
    assert main(monkeypatch, *line, "--base-data", "a.json") == 0
    assert given.pop().base_data == Path("a.json")
    assert main(monkeypatch, *line, "--base-data", '[{"file": "a.json", "share": 0.3}, "b.json"]') == 0
    first, second = base_files(given.pop().base_data)
    assert (first.file, first.share, second.file) == (Path("a.json"), 0.3, Path("b.json"))
    for words, message in (
        ('[{"file": ', "--base-data: not valid JSON"),
        (
            '[{"file": "a", "shar": 1}]',
            "dataengine fine-tune: unknown key 'base_data.0.shar'; nearest valid key: ",
        ),
    ):
        assert main(monkeypatch, *line, "--base-data", words) == 2
        assert message in capsys.readouterr().err


def test_several_readers_are_given_as_names_or_objects(monkeypatch, tmp_path, capsys) -> None:
    words = ["post-process", "--input", "in", "--output", str(tmp_path / "out.json"), "--second-reader"]
    given = ["openai:a", '{"model": "openai:a", "base_url": "http://b/v1"}']
    assert main(monkeypatch, *words, *given) == 1
    assert "in: cannot be read" in capsys.readouterr().err  # both were read
    assert main(monkeypatch, *words, "openai:a", "openai:a") == 2
    assert "second_reader: names openai:a twice" in capsys.readouterr().err


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
