"""Before a run: has this machine the GPU, the packages and the free disk space that the steps will need?

Found from files, environment variables and package metadata: importing torch would take seconds, and not load it at all
on some machines.
"""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError, install_command
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.workflow import Planned

# One folder for each GPU of NVIDIA's driver; what Windows' driver shows inside WSL; the device of AMD's driver, whose
# GPUs torch calls cuda as well.
_NVIDIA_GPUS, _OTHER_GPUS = Path("/proc/driver/nvidia/gpus"), (Path("/dev/dxg"), Path("/dev/kfd"))
_CLIP = ("clip", install_command("clip"))
_4BIT = ("bitsandbytes", install_command("4bit"))
_RAY = ("ray", install_command("ray"))
# not by its extra with the pinned versions: vLLM brings a torch of its own
_VLLM = ("vllm", "pip install vllm (in an environment of its own)")
# how a checkpoint's weights are packed -> the package that transformers unpacks them with
_QUANTIZERS = {"bitsandbytes": "bitsandbytes", "gptq": "gptqmodel", "awq": "gptqmodel"}
_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


def check_machine(planned: Sequence[Planned], out: Path) -> Iterator[Finding]:
    """Findings on devices, packages and the disk of the run's folder `out`; only the last also when it is enough."""
    seen: set[Finding] = set()
    for item in planned:
        for finding in (*_check_device(item), *_check_packages(item)):
            if finding not in seen:
                seen.add(finding)
                yield finding
    yield from _check_disk(planned, out)


def _check_device(item: Planned) -> Iterator[Finding]:
    config: Any = item.config
    device = str(getattr(config, "device", "auto"))
    if str(getattr(config, "student", "")).startswith(("api:", "recorded:")):
        return
    fault = ""
    if device.startswith("cuda"):
        fault = _cuda_fault(device)
    elif device == "mps" and sys.platform != "darwin":
        fault = "only Macs have it; set it to auto or cpu"
    if fault:
        yield Finding("bad", f"{item.step.name}.device", f"{device}: {fault}")
    processes, number = getattr(config, "processes", 1), _visible_gpus()
    if processes > 1 and device != "cpu" and processes > number > 0:
        yield Finding(
            "bad",
            f"{item.step.name}.processes",
            f"{processes}: there {_gpus(number)}, and each process needs one; set it to {number}",
        )


def _cuda_fault(device: str) -> str:
    """Why torch would not find this GPU; empty when nothing speaks against it."""
    build = _torch_build()
    if build == "cpu":
        return (
            "the installed torch is one for the CPU only; install one with CUDA, or set device to auto or cpu"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES is {visible.strip()!r}, which hides every GPU; unset it, or set device to cpu"
    number = _visible_gpus()
    if not number:
        others = any(path.exists() for path in _OTHER_GPUS) or shutil.which("nvidia-smi")
        return "" if others else "no GPU driver on this machine; set device to auto or cpu"
    # cuda:1 is the second GPU
    place = device.partition(":")[2]
    if place.isdigit() and int(place) >= number:
        return f"there {_gpus(number)}, counted from cuda:0; set another device"
    return ""


def _visible_gpus() -> int:
    """How many GPUs of NVIDIA torch may use; 0 also where only another maker's driver is there."""
    number = len(list(_NVIDIA_GPUS.iterdir())) if _NVIDIA_GPUS.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return number if visible is None else min(number, len([one for one in visible.split(",") if one.strip()]))


def _gpus(number: int) -> str:
    return "is 1 GPU" if number == 1 else f"are {number} GPUs"


def _torch_build() -> str:
    """`cpu` or `cu128` of torch's version 2.9.0+cpu, 2.9.0+cu128; empty where it does not say."""
    try:
        return metadata.version("torch").partition("+")[2]
    except metadata.PackageNotFoundError:
        return ""


def _check_packages(item: Planned) -> Iterator[Finding]:
    """Packages that the step's parameters need and that are not installed; `local:` is checked with its file."""
    config: Any = item.config
    wanted: list[tuple[str, str, tuple[str, str]]] = []
    if str(getattr(config, "encoder", "")).startswith("clip:"):
        wanted.append(("encoder", config.encoder, _CLIP))
    # those of step 5 prepare images in processes of torch
    workers = getattr(config, "workers", 1) if item.step.name != "fine_tune" else 1
    if workers == "ray" or (isinstance(workers, int) and workers > 1):
        wanted.append(("workers", str(workers), _RAY))
    if getattr(config, "adapter", None) or getattr(config, "method", "") == "lora":
        name = "adapter" if getattr(config, "adapter", None) else "method"
        wanted.append((name, str(getattr(config, name)), ("peft", "pip install peft")))
    if getattr(config, "quantize", None):
        wanted.append(("quantize", str(config.quantize), _4BIT))
    student = str(getattr(config, "student", ""))
    if student.startswith("vllm:"):
        wanted.append(("student", student, _VLLM))
    if package := _QUANTIZERS.get(_quantization(student)):
        wanted.append(("student", student, (package, f"pip install {package}")))
    for name, value, (package, command) in wanted:
        if importlib.util.find_spec(package) is None:
            subject = f"{item.step.name}.{name}"
            yield Finding("bad", subject, f"{value}: needs {package}, which is not installed; run: {command}")


def _quantization(student: str) -> str:
    """How the weights of a model's folder are packed (`gptq`); empty for plain ones, and for hub names."""
    file = Path(student) / "config.json"
    if not student or not file.is_file():
        return ""
    try:
        settings: Any = read_json(file)
    except DataEngineError:  # reported by the check of the model's files
        return ""
    packed = settings.get("quantization_config") if isinstance(settings, dict) else None
    return str(packed.get("quant_method", "")) if isinstance(packed, dict) else ""


def _check_disk(planned: Sequence[Planned], out: Path) -> Iterator[Finding]:
    """Checkpoints against free space: one for each round, and a second copy of it while it is written."""
    trained: list[Any] = [item.config for item in planned if item.step.name == "fine_tune"]
    # an adapter alone is small
    size = _weights_size(str(trained[0].student)) if trained and not trained[0].keep_adapter else 0
    if not size:
        return
    rounds = len(trained)
    needed = 2 * size * rounds
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    text = (
        f"checkpoints of {rounds} round{'' if rounds == 1 else 's'} may need {_shown_size(needed)} (the student's weights "
        f"have {_shown_size(size)}); {_shown_size(free)} are free in {folder}"
    )
    if free < size * rounds:
        yield Finding(
            "bad", "disk for checkpoints", f"{text}; free some, or choose another folder with --out"
        )
    else:
        yield Finding("warn" if free < needed else "ok", "disk for checkpoints", text)


def _weights_size(student: str) -> int:
    """Bytes of the weights of a model's folder, or of a hub name that is in the cache; 0 where they are not known."""
    folder = Path(student)
    if not folder.is_dir():
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", student):  # owner/name; nothing else is a hub name
            return 0
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(student, "config.json")
        if not isinstance(cached, str):
            return 0
        folder = Path(cached).parent
    for pattern in _WEIGHT_FILES:
        if files := list(folder.glob(pattern)):
            return sum(file.stat().st_size for file in files if file.exists())
    return 0


def _shown_size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"
