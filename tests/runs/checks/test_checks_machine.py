"""Before a run: a GPU, a package or disk space that is asked for and is not there."""

import importlib.util
import json
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from echoing.vllm_engine import vllm_engine
from experiments import demo_experiment
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.checks import machine
from dataengine_lib.runs.checks.machine import check_machine
from dataengine_lib.runs.checks.models import check_models
from dataengine_lib.runs.parameter_paths import named_paths
from dataengine_lib.runs.precheck import check_run, selected_range
from dataengine_lib.runs.workflow import plan

LLAVA = PROJECT_ROOT / "data_demo" / "models" / "tiny-llava"
_Usage = namedtuple("_Usage", "total used free")


def found(folder: Path, *settings: str, rounds: int = 1) -> dict[str, tuple[str, str]]:
    steps = plan(demo_experiment(*settings, rounds=rounds), folder)
    return {one.subject: (one.mark, one.message) for one in check_machine(steps, folder)}


@pytest.fixture
def machine_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """A machine with so many GPUs of NVIDIA, this build of torch and this CUDA_VISIBLE_DEVICES."""

    def make(gpus: int, build: str = "cu128", visible: str | None = None) -> None:
        for number in range(gpus):
            (tmp_path / "gpus" / f"0000:{number}").mkdir(parents=True)
        monkeypatch.setattr(machine, "_NVIDIA_GPUS", tmp_path / "gpus")
        monkeypatch.setattr(machine, "_OTHER_GPUS", (tmp_path / "dxg",))
        monkeypatch.setattr(
            "importlib.metadata.version", lambda package: f"2.9.0+{build}" if build else "2.9.0"
        )
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(
    ("device", "given", "words"),
    [
        ("cuda", (0,), "cuda: no GPU driver on this machine; set device to auto or cpu"),
        ("cuda", (1, "cpu"), "cuda: the installed torch is one for the CPU only"),
        ("cuda", (1, "cu128", ""), "cuda: CUDA_VISIBLE_DEVICES is '', which hides every GPU"),
        ("cuda", (1, "", "-1"), "cuda: CUDA_VISIBLE_DEVICES is '-1', which hides every GPU"),
        ("cuda:1", (1,), "cuda:1: there is 1 GPU, counted from cuda:0"),
        ("cuda:2", (4, "", "0,3"), "cuda:2: there are 2 GPUs, counted from cuda:0"),
        ("cuda", (1,), ""),
        ("cuda:1", (4, "", "0,3"), ""),
        ("auto", (0,), ""),
        ("cpu", (0,), ""),
    ],
)
def test_a_gpu_that_is_not_there(
    device: str, given: tuple[object, ...], words: str, machine_of: object, tmp_path: Path
) -> None:
    machine_of(*given)  # type: ignore[operator]
    for step in ("evaluate", "fine_tune", "construct_queries"):
        one = found(tmp_path, f"{step}.device={device}").get(f"{step}.device")
        assert one is None if not words else one is not None and one[0] == "bad" and one[1].startswith(words)
    asked = ["evaluate.student=api:x", "evaluate.rank=generate", f"evaluate.device={device}"]
    before_training = plan(demo_experiment(*asked), tmp_path)[:5]
    assert list(check_machine(before_training, tmp_path)) == [], "a server's student needs no GPU here"


def test_mps_is_found_missing_elsewhere_and_stops_the_run(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("a Mac")
    steps = plan(demo_experiment("fine_tune.device=mps"), tmp_path)
    with pytest.raises(ParameterError, match=r"^my\.yaml: fine_tune\.device: mps: only Macs have it"):
        check_run(Path("my.yaml"), steps, 0, len(steps) - 1, PROJECT_ROOT / "notebooks", tmp_path)


@pytest.mark.parametrize(
    ("setting", "subject", "words"),
    [
        ("construct_queries.encoder=clip:ViT-B/32", "construct_queries.encoder",
         'needs clip, which is not installed; run: pip install -c constraints.txt -e ".[clip]"'),
        ("evaluate.workers=2", "evaluate.workers", '2: needs ray, which is not installed; run: pip install'
         ' -c constraints.txt -e ".[ray]"'),
        ("evaluate.workers=ray", "evaluate.workers", "ray: needs ray, which"),
        ("evaluate.adapter=owner/lora", "evaluate.adapter fine_tune.adapter", "owner/lora: needs peft, which"),
        ("fine_tune.method=lora", "fine_tune.method", "lora: needs peft, which"),
        ("evaluate.workers=1", "", ""),
    ],
)  # fmt: skip
def test_packages_that_are_missing_are_named_with_the_command(
    setting: str, subject: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    bad = {key: message for key, (mark, message) in found(tmp_path, setting).items() if mark == "bad"}
    assert list(bad) == subject.split()
    assert all(words in message for message in bad.values())


def test_4_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else there(name)
    )
    mark, message = found(tmp_path, "fine_tune.quantize=4bit", "fine_tune.method=lora")["fine_tune.quantize"]
    assert mark == "bad" and message.startswith(
        "4bit: needs bitsandbytes, which is not installed; run: pip install"
    )


@pytest.mark.parametrize(
    ("method", "package"), [("bitsandbytes", "bitsandbytes"), ("awq", "gptqmodel"), ("fp8", "")]
)
def test_packed_weights_need_their_package(method: str, package: str, tmp_path: Path) -> None:
    shutil.copytree(LLAVA, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    packed = {"quantization_config": {"quant_method": method}}
    config.write_text(json.dumps(json.loads(config.read_text()) | packed))
    one = found(tmp_path, f"evaluate.student={tmp_path / 'model'}").get("evaluate.student")
    assert one == (
        ("bad", f"{tmp_path / 'model'}: needs {package}, which is not installed; run: pip install {package}")
        if package
        else None
    )


@pytest.mark.parametrize(
    ("free", "rounds", "mark"),
    [(45e6, 2, "ok"), (20e6, 2, "warn"), (15e6, 2, "bad"), (20e6, 1, "ok"), (5e6, 1, "bad")],
)
def test_checkpoints_against_free_space(
    free: float, rounds: int, mark: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    size = (LLAVA / "model.safetensors").stat().st_size
    assert 9e6 < size < 9.5e6, "the figures above are for this size"
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _Usage(0, 0, int(free)))
    setting = f"evaluate.student={LLAVA}"
    got, message = found(tmp_path / "new" / "run", setting, rounds=rounds)["disk for checkpoints"]
    assert got == mark
    assert (
        f"checkpoints of {rounds} round" in message
        and f"may need {2 * size * rounds / 1e6:.1f} MB" in message
    )
    assert f"are free in {tmp_path}" in message, "the folder above, as the run's does not exist yet"
    assert "disk for checkpoints" not in found(tmp_path, "evaluate.student=owner/not-in-the-cache")
    assert "disk for checkpoints" not in found(
        tmp_path, setting, "fine_tune.method=lora", "fine_tune.keep_adapter=true"
    )


def test_processes_need_a_gpu_each_and_the_workers_of_step_5_no_package(
    tmp_path: Path, machine_of: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_of(2)
    several = found(tmp_path, "fine_tune.processes=4", "fine_tune.workers=2")
    assert several["fine_tune.processes"] == (
        "bad",
        "4: there are 2 GPUs, and each process needs one; set it to 2",
    )
    assert "fine_tune.processes" not in found(tmp_path, "fine_tune.processes=2")
    assert "fine_tune.processes" not in found(tmp_path, "fine_tune.processes=4", "fine_tune.device=cpu")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "fine_tune.workers" not in found(tmp_path, "fine_tune.workers=2")
    assert found(tmp_path, "evaluate.workers=2")["evaluate.workers"][0] == "bad"


def test_a_student_in_vllm_needs_its_package_and_a_model_and_cannot_be_fine_tuned(tmp_path: Path) -> None:
    llava = "data_demo/models/tiny-llava"
    given = ["evaluate.rank=letter", f"evaluate.student=vllm:{llava}"]
    steps = plan(demo_experiment(*given), tmp_path)
    missing = next(one for one in check_machine(steps, tmp_path) if one.subject == "evaluate.student")
    assert missing.mark == "bad"
    assert missing.message.startswith(
        f"vllm:{llava}: needs vllm, which is not installed; run: pip install vllm"
    )
    assert [one.message for one in check_models(steps, hub=False) if one.subject == "evaluate.student"] == [
        llava
    ]
    assert named_paths("student", "vllm:./gone") == [Path("gone")] and not named_paths("student", "vllm:a/b")
    with vllm_engine(lambda text, image: "yes"):
        with pytest.raises(
            ParameterError, match=f"fine_tune.student: vllm:{llava} cannot be fine-tuned; give the folder"
        ):
            check_run(Path("my.yaml"), steps, 0, len(steps) - 1, PROJECT_ROOT / "notebooks", tmp_path)
        stop = selected_range(steps, None, "round1/post_process")[1]
        check_run(Path("my.yaml"), steps, 0, stop, PROJECT_ROOT / "notebooks", tmp_path)
