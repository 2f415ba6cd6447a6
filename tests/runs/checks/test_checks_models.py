"""Before a run: models that cannot be loaded, and types that the teacher does not write, are said in one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from experiments import demo_experiment
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.checks.models import check_models
from dataengine_lib.runs.checks.questions import asked_or_finding
from dataengine_lib.runs.checks.teacher_types import check_teacher_types
from dataengine_lib.runs.precheck import check_run
from dataengine_lib.runs.workflow import plan

LLAVA = PROJECT_ROOT / "data_demo" / "models" / "tiny-llava"


def findings(folder: Path, *settings: str) -> dict[str, tuple[str, str]]:
    found = check_models(plan(demo_experiment(*settings), folder), hub=False)
    return {one.subject: (one.mark, one.message) for one in found}


def test_the_demo_s_models_can_be_loaded(tmp_path: Path) -> None:
    marks = {subject: mark for subject, (mark, _) in findings(tmp_path).items()}
    assert marks == {"evaluate.student": "ok", "construct_queries.encoder": "ok"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "other", "auto_map": {"AutoModel": "x.py"}}, "needs code of its own repository"),
        ({"model_type": "llava_of_tomorrow"}, "its model_type 'llava_of_tomorrow' is not known"),
        ({"model_type": None}, "has no model_type"),
    ],
)
def test_a_student_that_cannot_be_loaded_stops_the_run_before_it_starts(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    shutil.copytree(LLAVA, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    setting = f"evaluate.student={tmp_path / 'model'}"
    mark, said = findings(tmp_path, setting)["evaluate.student"]
    assert mark == "bad" and message in said and "\n" not in said
    planned = plan(demo_experiment(setting), tmp_path / "run")
    with pytest.raises(ParameterError, match=r"my\.yaml: evaluate\.student: "):
        check_run(Path("my.yaml"), planned, 0, len(planned) - 1, PROJECT_ROOT / "notebooks", tmp_path / "run")


def test_weights_that_are_pointers_and_an_adapter_given_as_student_are_named(tmp_path: Path) -> None:
    shutil.copytree(LLAVA, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid\n")
    assert findings(tmp_path, f"evaluate.student={tmp_path / 'model'}")["evaluate.student"][0] == "bad"
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    said = findings(tmp_path, f"evaluate.student={tmp_path / 'lora'}")["evaluate.student"]
    assert said[0] == "bad" and "this is an adapter" in said[1] and "set adapter" in said[1]


@pytest.mark.parametrize(
    ("settings", "mark", "words"),
    [
        (["generate_qa.teacher=annotations", "construct_queries.maxnum=36", "construct_queries.served_by=null"],
         "warn", "annotations answers 10 of 18 types; about 16 of 36 queries a round would be skipped: "),
        (["generate_qa.teacher=annotations", "construct_queries.maxnum=36"], "ok",
         "annotations answers 10 of 18 types, so no others are asked about (construct_queries.served_by; left out: "),
        (["generate_qa.teacher=annotations", "construct_queries.maxnum=5",
          "construct_queries.targets={image_quality: 5}"], "bad", "about 5 of 5 queries"),
        (["generate_qa.teacher=annotations", "construct_queries.maxnum=5",
          "construct_queries.targets={image_scene: 5}"], "", ""),
        ([], "", ""),
        (["generate_qa.teacher=openai:gpt-4.1"], "", ""),
        (["construct_queries.categories=seed_bench", "construct_queries.maxnum=9"], "bad", "about 9 of 9"),
    ],
)  # fmt: skip
def test_types_that_the_teacher_does_not_write(
    settings: list[str], mark: str, words: str, tmp_path: Path
) -> None:
    found = list(
        check_teacher_types(steps := plan(demo_experiment(*settings), tmp_path), asked_or_finding(steps))
    )
    assert [one.mark for one in found] == ([mark] if mark else [])
    assert all(words in one.message for one in found)


def test_the_checks_import_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; import dataengine_lib.runs.precheck as p; "
        "from dataengine_lib.runs.checks.models import _folder; "
        f"print(_folder('s', 'student', {str(LLAVA)!r}).mark, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ok", "False"]
