"""Files and folders that parameters name: looked for beside the YAML, and named where they are missing."""

from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.parameter_paths import named_paths
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.precheck import check_paths
from dataengine_lib.runs.workflow import STEPS, plan


@pytest.mark.parametrize(
    ("step", "key", "value", "file"),
    [
        ("evaluate", "student", "recorded:mine/answers.jsonl", "mine/answers.jsonl"),
        ("generate_qa", "teacher", "replay:replies.jsonl", "replies.jsonl"),
        ("generate_qa", "teacher", "local:models/own.gguf", "models/own.gguf"),
        ("construct_queries", "encoder", "clip:own.pt", "own.pt"),
        ("evaluate", "adapter", "lora/adapter_config.json", "lora/adapter_config.json"),
        ("evaluate", "adapter", "lora", "lora"),
        ("evaluate", "student", "llava", "llava"),
    ],
)
@pytest.mark.parametrize("folder", ["", "params"])
def test_files_inside_texts_are_found_beside_the_yaml(
    step: str, key: str, value: str, file: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    yaml = tmp_path / folder / "my.yaml"
    text = demo_experiment().file.read_text(encoding="utf-8")
    yaml.write_text(text, encoding="utf-8")
    experiment = read_experiment(yaml, [one.name for one in STEPS], [f"{step}.{key}={value}"])
    item = next(one for one in plan(experiment, tmp_path / "run") if one.step.name == step)
    prefix = value.partition(":")[0] + ":" if ":" in value else ""
    assert getattr(item.config, key) == f"{prefix}{tmp_path / file}"


@pytest.mark.parametrize(
    ("setting", "subject", "missing"),
    [
        ("evaluate.student=recorded:gone.jsonl", "evaluate.student", "gone.jsonl"),
        ("generate_qa.teacher=replay:gone.jsonl", "generate_qa.teacher", "gone.jsonl"),
        ("construct_queries.encoder=clip:gone.pt", "construct_queries.encoder", "gone.pt"),
        ("evaluate.adapter=lora", "evaluate.adapter", "lora"),
        ("evaluate.adapter=./lora", "evaluate.adapter", "lora"),
    ],
)
def test_files_inside_texts_that_are_missing_are_named(
    setting: str, subject: str, missing: str, tmp_path: Path
) -> None:
    planned = plan(demo_experiment(setting), tmp_path)
    with pytest.raises(ParameterError) as caught:
        check_paths(Path("my.yaml"), planned, 0, len(planned) - 1)
    assert f"my.yaml: {subject}: {missing} does not exist; check the path" in str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", "clip:ViT-B/32"),
        ("encoder", "openai/clip-vit-base-patch32"),
        ("student", "api:owner/model"),
        ("student", "llava-hf/llava-1.5-7b-hf"),
        ("adapter", "owner/lora"),
        ("adapter", None),
        ("teacher", "openai:gpt-4.1"),
        ("teacher", "local:own.gguf"),
    ],
)
def test_names_of_models_are_no_paths(name: str, value: str | None) -> None:
    assert named_paths(name, value) == []
