"""`dataengine doctor`: finds what would stop a run on this machine, without running it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from dataengine_lib.chat.endpoint import endpoint
from dataengine_lib.errors import DataEngineError, ParameterError, install_command
from dataengine_lib.report.html import page_exporter
from dataengine_lib.runs.checks.finding import Finding, Mark
from dataengine_lib.runs.endpoint_check import check_listing, check_request
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.precheck import check_paths, parameter_findings, planned_findings
from dataengine_lib.runs.workflow import Planned, plan

_PACKAGES = ("torch", "transformers", "peft", "openai", "papermill", "nbconvert", "ipykernel")
_FREE_GB = 5  # of disk space, below which a warning is given: a 7B checkpoint with its cache needs more

_TORCH_SECONDS = 120  # from a network disk, the first import takes a minute
_DEVICE_LINE = "device: "
_ASK_TORCH = """
import torch
if torch.cuda.is_available():
    free, total = torch.cuda.mem_get_info()
    found = f"{torch.cuda.get_device_name()}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free"
elif torch.backends.mps.is_available():
    found = "Apple GPU (mps)"
else:
    found = f"CPU, {torch.get_num_threads()} threads: enough for the demo, slow for large models"
print("device: " + found)
"""


def examine(experiments: Sequence[Experiment] = (), *, ask: bool = False) -> list[Finding]:
    """Check this machine and the experiments' data paths, models behind servers and encoders.

    Several experiments are the arms of a study; what is found in more than one is listed once. With `ask` each model
    behind a server is sent one request, which may cost up to a cent.
    """
    findings = [*_versions(), _device(), _pages(), _disk(Path.cwd())]
    if not experiments:
        return [*findings, _key()]
    plans: list[tuple[Experiment, Path, list[Planned]]] = []
    for experiment in experiments:
        out = Path("reports") / experiment.head.run
        try:
            plans.append((experiment, out, plan(experiment, out)))
        except ParameterError as error:
            findings += [Finding("bad", "parameters", line) for line in str(error).splitlines()]
    for experiment, _, planned in plans:
        findings += _paths(experiment, planned)
        findings += parameter_findings(experiment.file, planned)
    findings += _models([item for _, _, planned in plans for item in planned], ask)
    for _, out, planned in plans:
        findings += planned_findings(planned, out, hub=True)
    return list(dict.fromkeys(findings))


def _versions() -> Iterator[Finding]:
    found = sys.version_info[:3]
    mark: Mark = "ok" if found >= (3, 11) else "bad"
    yield Finding(mark, "python", ".".join(map(str, found)))
    for package in _PACKAGES:
        try:
            yield Finding("ok", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding("bad", package, f"not installed; run: {install_command('dev')}")


def _device() -> Finding:
    """What torch finds, in a process of its own: importing it here would take its time and memory in any case."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH],
            capture_output=True,
            text=True,
            timeout=_TORCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("warn", "device", f"torch was not loaded within {_TORCH_SECONDS} s; try once more")
    lines = [line for line in done.stdout.splitlines() if line.startswith(_DEVICE_LINE)]
    if lines:
        return Finding("ok", "device", lines[-1].removeprefix(_DEVICE_LINE))
    last = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    reason = last[-1] if last else f"its process ended with {done.returncode}"
    return Finding("bad", "device", f"torch cannot be loaded: {reason}")


def _pages() -> Finding:
    try:
        page_exporter()
        return Finding("ok", "report pages", "made by nbconvert")
    except (DataEngineError, ImportError) as error:
        return Finding("bad", "report pages", str(error))


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        return Finding("bad", "disk", f"{folder} cannot be written; start in a folder that you may write to")
    return Finding("ok" if free >= _FREE_GB else "warn", "disk", f"{free:.0f} GB free in {folder}")


def _key() -> Finding:
    if os.environ.get("OPENAI_API_KEY"):
        return Finding("ok", "OPENAI_API_KEY", "is set (not shown)")
    return Finding("ok", "OPENAI_API_KEY", "not set; only models openai:MODEL at OpenAI need it")


def _paths(experiment: Experiment, planned: list[Planned]) -> Iterator[Finding]:
    try:
        check_paths(experiment.file, planned, 0, len(planned) - 1)
        yield Finding("ok", "data paths", "all exist, or are made by the run")
    except ParameterError as error:
        for line in str(error).splitlines():
            yield Finding("bad", "data paths", line)


def _models(planned: list[Planned], ask: bool) -> Iterator[Finding]:
    """Students, teachers and readers; one that several steps ask at the same address is checked once."""
    # (model, address) -> (who asks it, price table)
    asked: dict[tuple[str, str | None], tuple[str, Path | None]] = {}
    for item in planned:
        student = str(getattr(item.config, "student", ""))
        if student.startswith("api:"):
            url = getattr(item.config, "base_url", None)
            asked.setdefault((student, url), (f"student of {item.step.name}", None))
        for one in item.models_asked:
            subject = f"{one.parameter} of {item.step.name}"
            asked.setdefault((one.spec, one.base_url), (subject, getattr(item.config, "prices", None)))
    for (spec, base_url), (subject, prices) in asked.items():
        if spec.partition(":")[0] == "local":
            yield _local_model(subject, spec)
            continue
        if not spec.startswith(("openai:", "api:")):
            yield Finding("ok", subject, f"{spec}: needs no key")
            continue
        try:
            url, secret = endpoint(base_url)
            listing = check_listing(spec.partition(":")[2], url, secret)
            yield Finding(listing.mark, subject, listing.message)
            # a student is asked for no JSON
            if listing.mark != "bad" and not spec.startswith("api:"):
                request = check_request(spec, url, paid=ask, prices=prices)
                yield Finding(request.mark, subject, request.message)
        except DataEngineError as error:
            yield Finding("bad", subject, str(error))


def _local_model(subject: str, spec: str) -> Finding:
    from dataengine_lib.teachers.local_llm import model_file

    try:
        file = model_file(spec.partition(":")[2])
    except ParameterError as error:
        return Finding("bad", subject, str(error))
    size = file.stat().st_size / 1e6
    return Finding(
        "ok", subject, f"{spec}: {file.name}, {size:,.0f} MB, in llama.cpp on this machine; no key"
    )
