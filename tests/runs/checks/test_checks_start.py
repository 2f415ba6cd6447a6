"""`doctor`, `plan` and the check before a run load no torch; what doctor says of keys and of torch itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from experiments import demo_experiment
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs import doctor
from dataengine_lib.runs.doctor import examine
from dataengine_lib.runs.precheck import check_run
from dataengine_lib.runs.workflow import plan

_LOADED = "print([name for name in ('torch', 'transformers', 'ray', 'peft') if name in sys.modules])"


@pytest.mark.parametrize(
    "work",
    [
        "from dataengine_lib.runs.doctor import examine; examine([experiment])",
        "from dataengine_lib.runs.cost_plan import plan_lines; plan_lines(experiment, Path('reports/x'))",
        "from dataengine_lib.runs.precheck import asked_or_finding, data_findings, check_machine; "
        "planned = plan(experiment, Path('reports/x')); "
        "assert [*data_findings(planned, asked_or_finding(planned)), *check_machine(planned, Path('reports/x'))]",
    ],
)
def test_no_torch_is_loaded(work: str) -> None:
    code = (
        "import sys; from pathlib import Path; from dataengine_lib.runs.parameters import read_experiment; "
        "from dataengine_lib.runs.workflow import STEPS, plan; "
        "experiment = read_experiment(Path('params/coco.yaml'), [step.name for step in STEPS], "
        f"['construct_queries.coco_dataset=data_demo']); {work}; {_LOADED}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("code", "mark", "words"),
    [
        ("print('device: CPU, 2 threads')", "ok", "CPU, 2 threads"),
        ("print('a line of a library'); print('device: Apple GPU (mps)')", "ok", "Apple GPU (mps)"),
        ("import no_such_torch", "bad", "torch cannot be loaded: ModuleNotFoundError: No module named 'no_such_torch'"),
        ("import os; os.kill(os.getpid(), 9)", "bad", "torch cannot be loaded: its process ended with -9"),
        ("import time; time.sleep(60)", "warn", "torch was not loaded within 1 s"),
    ],
)  # fmt: skip
def test_the_device_is_asked_in_a_process_of_its_own(
    code: str, mark: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_ASK_TORCH", code)
    monkeypatch.setattr(doctor, "_TORCH_SECONDS", 1 if "sleep" in code else 60)
    found = {one.subject: one for one in examine()}["device"]
    assert found.mark == mark and found.message.startswith(words)


@pytest.mark.parametrize(
    ("setting", "step"),
    [
        (["generate_qa.teacher=openai:gpt-4.1"], "generate_qa"),
        (["classify_questions.teacher=openai:gpt-4.1"], "classify_questions"),
        (["evaluate.student=api:gpt-4.1", "evaluate.rank=generate"], "evaluate"),
    ],
)
def test_a_missing_key_is_said_as_missing(
    setting: list[str], step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "_ASK_TORCH", "print('device: CPU')")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    experiment = demo_experiment(*setting)
    planned = plan(experiment, tmp_path)
    with pytest.raises(ParameterError) as caught:
        check_run(Path("my.yaml"), planned, 0, len(planned) - 1, PROJECT_ROOT / "notebooks", tmp_path)
    lines = str(caught.value).splitlines()
    assert any(line.startswith(f"my.yaml: {step}: OPENAI_API_KEY is not set") for line in lines)
    bad = [one.subject for one in examine([experiment]) if "OPENAI_API_KEY is not set" in one.message]
    assert bad == ([f"teacher of {step}"] if step != "evaluate" else ["student of evaluate"])


@pytest.mark.parametrize(
    ("settings", "mark", "words"),
    [
        (["generate_qa.teacher=openai:mine", "generate_qa.budget_usd=1"], "bad", "no price is known for openai:mine"),
        (["construct_queries.targets={image_scen: 3}"], "bad", "unknown question type 'image_scen'"),
        ([], "", ""),
    ],
)  # fmt: skip
def test_doctor_checks_parameters_as_a_run_does(
    settings: list[str], mark: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_ASK_TORCH", "print('device: CPU')")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    found = [one for one in examine([demo_experiment(*settings)]) if one.subject == "parameters"]
    assert [one.mark for one in found] == ([mark] if mark else [])
    assert all(words in one.message for one in found)
