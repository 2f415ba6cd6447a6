"""Files and folders that parameters name: looked for beside the YAML, and named where they are missing."""

import json
from pathlib import Path
from typing import Any

import pytest
from experiments import demo_experiment
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.manifest import FileHashes
from dataengine_lib.runs.parameter_paths import named_paths, read_with, settings_beside_paths
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.precheck import check_paths
from dataengine_lib.runs.reuse.current import current_manifest
from dataengine_lib.runs.workflow import STEPS, Planned, plan


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
        ("student", ""),
        ("adapter", "owner/lora"),
        ("adapter", None),
        ("teacher", "openai:gpt-4.1"),
        ("teacher", "local:own.gguf"),
    ],
)
def test_names_of_models_are_no_paths(name: str, value: str | None) -> None:
    assert named_paths(name, value) == []


def base_list(*names: str) -> str:
    """A `--set` of base data with these files, and `images` as the root of the first."""
    return (
        f"fine_tune.base_data=[{{file: {names[0]}, image_root: images, share: 0.2}}, {', '.join(names[1:])}]"
    )


def of_fine_tune(planned: list[Planned]) -> Planned:
    return next(one for one in planned if one.step.name == "fine_tune")


def test_files_in_a_list_of_base_data_are_found_beside_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("a.json", "b.json"):
        (tmp_path / name).touch()
    yaml = tmp_path / "my.yaml"
    yaml.write_text(demo_experiment().file.read_text(encoding="utf-8"), encoding="utf-8")
    sets = [base_list("a.json", "b.json", "'{playground}/c.json'"), "fine_tune.base_share=null"]
    monkeypatch.chdir(tmp_path / "elsewhere")
    item = of_fine_tune(
        plan(read_experiment(yaml, [one.name for one in STEPS], sets), tmp_path / "run", "../drawn")
    )
    first, second, drawn = item.config.base_data  # type: ignore[attr-defined]
    assert (first.file, first.image_root) == (tmp_path / "a.json", tmp_path / "images")
    assert (second.file, second.image_root, drawn.file) == (
        tmp_path / "b.json",
        None,
        Path("../drawn/c.json"),
    )
    assert item.inputs()["base_data"] == [first.file, first.image_root, second.file, drawn.file]


def test_files_in_a_list_of_base_data_that_are_missing_are_named(tmp_path: Path) -> None:
    given = base_list("gone.json", "data_demo/gone.json")
    planned = plan(demo_experiment(given, "fine_tune.base_share=null"), tmp_path)
    with pytest.raises(ParameterError) as caught:
        check_paths(Path("my.yaml"), planned, 0, len(planned) - 1)
    lines = str(caught.value).splitlines()
    assert "my.yaml: fine_tune.base_data: gone.json does not exist; check the path" in lines
    assert "my.yaml: fine_tune.base_data: images does not exist; check the path" in lines
    assert any(
        line.startswith("my.yaml: fine_tune.base_data: data_demo/gone.json does not exist; data_demo")
        for line in lines
    )


def test_a_share_in_a_list_of_base_data_is_a_setting_and_its_paths_are_not(tmp_path: Path) -> None:
    """A run does the step anew when a share is changed, and not when files are moved."""

    def settings(**given: Any) -> Any:
        entry = {"file": "a.json", "image_root": "images"} | given
        planned = plan(
            demo_experiment(
                f"fine_tune.base_data={json.dumps([entry])}",
                "fine_tune.base_share=null",
                "fine_tune.weight_decay=0.25",
            ),
            tmp_path,
        )
        return of_fine_tune(planned).settings()

    assert settings() == settings(file="moved/a.json") == settings(image_root="elsewhere")
    changes: list[dict[str, Any]] = [
        {"share": 0.2},
        {"samples": 3},
        {"text_formats": ["letter"]},
        {"image_root": None},
    ]
    assert all(settings(**change) != settings() for change in changes)
    assert "train_data" not in settings() and "output_dir" not in settings()
    assert settings()["weight_decay"] == 0.25


@pytest.mark.parametrize("named_by", ["questions", "panel"])
def test_changed_annotations_of_vqa_change_what_every_step_is_made_from(
    tmp_path: Path, named_by: str
) -> None:
    """They lie beside the questions and no parameter names them."""
    asked, answered = tmp_path / "v2_questions.json", tmp_path / "v2_annotations.json"
    asked.write_text(json.dumps({"task_type": "Open-Ended", "questions": []}))
    answered.write_text(json.dumps({"data_type": "mscoco", "annotations": []}))
    (tmp_path / "images").mkdir()
    one = json.dumps({"questions": str(asked), "image_root": str(tmp_path / "images")})
    if named_by == "panel":
        experiment = demo_experiment(f'evaluate.panel={{"other": {one}}}', rounds=1)
    else:
        experiment = demo_experiment(f"evaluate.questions={asked}", rounds=1)
        experiment.sections.pop("classify_questions")

    def identities() -> dict[str, str]:
        hashes, notebooks = FileHashes(tmp_path / "hashes.json"), PROJECT_ROOT / "notebooks"
        return {
            item.label: current_manifest(item, notebooks / f"{item.step.notebook}.ipynb", hashes, {}).identity
            for item in plan(experiment, tmp_path / "run")
            if named_by in type(item.config).model_fields
        }

    before = identities()
    answered.write_text(json.dumps({"data_type": "mscoco", "annotations": [1]}))
    after = identities()
    assert len(before) == 5 and all(before[label] != after[label] for label in before)
    assert identities() == after


def test_a_file_of_another_layout_with_such_a_name_is_read_alone(tmp_path: Path) -> None:
    asked, answered = tmp_path / "my_questions.json", tmp_path / "my_annotations.json"
    for content in ("[]", "{torn", json.dumps({"images": [], "questions": []})):
        asked.write_text(content)
        answered.write_text(content)
        assert read_with("questions", [asked]) == []
    asked.write_text(json.dumps({"data_type": "mscoco", "questions": []}))
    for name in ("questions", "base_data", "train_data", "panel"):
        assert read_with(name, [asked]) == [answered]
    assert read_with("input", [asked]) == read_with("questions", [asked, answered]) == []


def test_the_config_of_deepspeed_that_accelerate_names_is_read_with_it(tmp_path: Path) -> None:
    config, own = tmp_path / "accelerate.yaml", tmp_path / "zero3.json"
    config.write_text(f"num_processes: 2\ndeepspeed_config: {{deepspeed_config_file: {own}}}\n")
    assert read_with("accelerate_config", [config]) == []
    own.write_text("{}")
    assert read_with("accelerate_config", [config]) == [own]
    for text in ("num_processes: 2", "deepspeed_config: 1", "[", "- 1"):
        config.write_text(text)
        assert read_with("accelerate_config", [config]) == []


def test_a_path_alone_says_nothing_but_where_it_is() -> None:
    assert settings_beside_paths(Path("a.json")) is settings_beside_paths([Path("a.json")]) is None
