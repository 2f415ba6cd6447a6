"""Several processes train one student: the same weights as one, one checkpoint, and one line for every fault."""

import multiprocessing
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from fine_tuning import Make, row
from project import PROJECT_ROOT
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.fine_tune import PROCESS, FineTuneConfig, fine_tune, train_in_this_process
from dataengine_lib.steps.fine_tune_command import FineTuneVerbConfig, training_command
from dataengine_lib.training.launch.command import local_command, processes_of
from dataengine_lib.training.launch.launcher import (
    EXCEPTION,
    FAULT,
    OUT_OF_MEMORY,
    PROGRESS,
    run_processes,
)
from dataengine_lib.training.launch.machines import was_made_of, write_inputs
from dataengine_lib.training.launch.world import World, this_world
from dataengine_lib.training.trainer.saved_state import newest_state

ROWS = [row(n, question="Which? " * (1 + n % 5)) for n in range(24)]
SETTINGS: dict[str, Any] = {"method": "full", "epochs": 2, "batch_size": 8, "save_steps": 2}


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of another Python import this library, whatever folder they start in."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))


def same(left: Path, right: Path) -> None:
    """Check that two checkpoints hold the same weights, within the error of another order of sums."""
    torch.testing.assert_close(
        load_file(left / "model.safetensors"), load_file(right / "model.safetensors"), rtol=1e-4, atol=1e-4
    )


def test_two_processes_are_one_and_continue_after_a_kill(config: Make, images: Path) -> None:
    """Two processes of two passes each are one process of four; a killed parent leaves no process behind.

    Half of the rows are texts alone, so that many a pass of a process, or of both, has no use for the projector.
    """
    texts = [{"conversations": [{"from": "human", "value": f"What is {n}?"}, {"from": "gpt", "value": "It."}]}
             for n in range(24)]  # fmt: skip
    settings = SETTINGS | {
        "epochs": 15,  # so that the kill comes before the end
        "learning_rate": 1e-3,
        "base_data": write_json(images / "texts.json", texts),
        "base_share": 0.5,
        "gradient_checkpointing": True,
    }
    one = fine_tune(config(ROWS, output_dir=images / "one", accumulate=4, **settings))
    two = config(ROWS, output_dir=images / "two", accumulate=2, processes=2, **settings)
    parent = multiprocessing.get_context("fork").Process(target=fine_tune, args=(two,))
    parent.start()
    states, until = images / ".two.unfinished/states", time.monotonic() + 300
    while newest_state(states) is None and parent.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert parent.pid is not None
    children = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    _gone, alive = psutil.wait_procs(children, timeout=120)
    assert not alive and not (images / "two").exists()
    result = fine_tune(two)
    assert 0 < result.time.resumed_from < 90 == result.log.steps
    assert [point.loss for point in result.log.loss] == pytest.approx(
        [point.loss for point in one.log.loss], rel=1e-4, abs=1e-4
    )
    same(one.checkpoint, result.checkpoint)
    assert not list(images.glob("**/checkpoint-*")) and not list(images.glob(".two*"))


def test_a_launcher_that_starts_one_process_is_an_error(config: Make, images: Path) -> None:
    file = images / "accelerate.yaml"
    file.write_text("distributed_type: 'NO'\nnum_processes: 2\nuse_cpu: true\nmixed_precision: 'no'\n")
    with pytest.raises(
        DataEngineError, match=r"the launcher started 1 process where 2 were asked for"
    ) as caught:
        fine_tune(config(accelerate_config=file))
    assert "\n" not in str(caught.value)


def test_a_file_of_accelerate_starts_its_processes(config: Make, images: Path) -> None:
    one = fine_tune(config(ROWS, output_dir=images / "one", accumulate=4, **SETTINGS))
    file = images / "accelerate.yaml"
    file.write_text(
        "distributed_type: MULTI_GPU\nnum_processes: 2\nuse_cpu: true\nmixed_precision: 'no'\nnum_machines: 1\n"
        f"machine_rank: 0\nmain_process_port: {free_port()}\n"
    )
    many = fine_tune(
        config(ROWS, output_dir=images / "two", accumulate=2, accelerate_config=file, **SETTINGS)
    )
    same(one.checkpoint, many.checkpoint)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def programs(folder: Path, **scripts: str) -> str:
    """PATH with programs of these scripts in `folder` before all others."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_printed_command_trains_and_the_step_uses_its_checkpoint(
    config: Make, images: Path, tmp_path: Path
) -> None:
    """Two machines of one process, which are both this one."""
    given = config(ROWS, output_dir=images / "many", accumulate=2, **SETTINGS)
    asked = FineTuneVerbConfig(**given.model_dump() | {"machines": 2}, print_command="shell")
    command = training_command(asked)
    path = programs(tmp_path / "bin", python=f'exec {shlex.quote(sys.executable)} "$@"')
    environment = {**os.environ, "PATH": path, "PORT": str(free_port()), "FIRST_MACHINE": "127.0.0.1"}
    machines = [
        subprocess.Popen(
            ["bash", "-c", command],
            env=environment | {"MACHINE": str(number)},
            cwd="/",
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    errors = [machine.communicate()[1].decode() for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], errors
    made = (images / "many/model.safetensors").stat().st_mtime_ns
    used = fine_tune(given)
    assert (images / "many/model.safetensors").stat().st_mtime_ns == made and used.log.steps == 6
    # other settings are trained anew
    fine_tune(given.model_copy(update={"learning_rate": 1e-4}))
    assert (images / "many/model.safetensors").stat().st_mtime_ns > made


def test_a_slurm_script_starts_the_command_on_each_node(config: Make, images: Path, tmp_path: Path) -> None:
    """A cluster's programs are replaced by scripts, and "python" by one that writes its arguments down."""
    given = config(output_dir=images / "it's here").model_dump() | {"processes": 8, "machines": 4}
    script = training_command(FineTuneVerbConfig(**given, print_command="slurm"))
    assert script.startswith("#!/bin/bash\n")
    assert "#SBATCH --nodes=4\n" in script and "#SBATCH --gpus-per-node=8\n" in script
    path = programs(
        tmp_path / "bin",
        scontrol="echo first; echo second",
        srun='for SLURM_NODEID in 0 3; do export SLURM_NODEID; "$@"; done',
        python=r"""printf '%s\n' "$@" """,
    )
    environment = {"PATH": path, "SLURM_JOB_NODELIST": "nodes"}
    ran = subprocess.run(["bash"], input=script.encode(), env=environment, check=True, capture_output=True)
    file = images / "it's here.fine_tune.json"
    expected: list[str] = []
    for number in (0, 3):
        expected += [
            "-m",
            "torch.distributed.run",
            "--nnodes=4",
            f"--node-rank={number}",
            "--nproc-per-node=8",
        ]
        expected += ["--master-addr=first", "--master-port=29500", "-m", PROCESS, str(file), "32"]
    assert ran.stdout.decode().splitlines() == expected and file.is_file()


def test_a_printed_command_names_whole_paths_and_knows_its_adapter(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    (images / "adapter").mkdir()
    weights = images / "adapter/adapter_model.safetensors"
    weights.write_bytes(b"1")
    given = config(adapter="adapter", output_dir="many").model_dump()
    training_command(FineTuneVerbConfig(**given, print_command="shell"))
    parameters = read_json(images / "many.fine_tune.json")
    assert parameters["adapter"] == str(images / "adapter")
    (images / "many").mkdir()
    write_inputs(images / "many", parameters, [])
    assert was_made_of(images / "many", parameters, [])
    weights.write_bytes(b"22")
    assert not was_made_of(images / "many", parameters, [])


def test_the_world_is_as_large_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert this_world(1) == World(1, 0, 0)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert this_world(4) == World(4, 3, 1) and not this_world(4).is_main
    with pytest.raises(DataEngineError, match="the launcher started 4 processes where 2 were asked for"):
        this_world(2)


def test_the_fault_of_a_process_is_raised_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [PROGRESS + '{"step": 1, "steps": 2, "loss": 1.5}', f"[rank1] {FAULT}q.json: a fault; correct it"]
    script = f"import sys; [print(one, flush=True) for one in {lines!r}]; sys.exit(3)"
    with pytest.raises(DataEngineError, match=r"^q\.json: a fault; correct it$"):
        run_processes([sys.executable, "-c", script])
    with pytest.raises(DataEngineError, match=r"exit status 5; its last lines: / ?|ended with exit status 5"):
        run_processes([sys.executable, "-c", "raise SystemExit(5)"])


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        (
            "exception",
            r"fine-tuning: process 1: ZeroDivisionError: no answer token in this step \(failing_process\.py, line \d+\)",
        ),
        (
            "killed",
            "fine-tuning: process 1 was ended by SIGKILL, as the system does without free memory; lower processes or "
            "set workers to 0",
        ),
    ],
)
def test_the_failure_that_ends_the_other_processes_is_named_with_its_log(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch, fails: str, message: str
) -> None:
    """The first process fails as well, as the second one has closed their connection."""
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT_ROOT}{os.pathsep}{Path(__file__).parent}")
    monkeypatch.setenv("FAILS", fails)
    monkeypatch.setattr(tempfile, "tempdir", str(images))
    file = write_json(images / "config.json", config().model_dump(mode="json"))
    with pytest.raises(DataEngineError) as caught:
        run_processes(local_command(["failing_process", str(file), "2", str(os.getpid()), "1"], 2, None))
    found = re.fullmatch(rf"{message}; the whole log: (?P<log>.*)", str(caught.value))
    assert found, caught.value
    assert "RuntimeError" in Path(found["log"]).read_text(), "the traceback of the first process"


def test_a_process_that_the_launcher_kills_is_not_the_cause() -> None:
    """It hangs in a computation with the one that has failed."""
    summary = "  rank      : {} (local_rank: {})\n  exitcode  : {} (pid: 4{})\n  error_file: <N/A>"
    log = [
        f"{EXCEPTION}fine-tuning: process 0: KeyError: 'w' (examples.py, line 3)",
        "W0101 api.py:1044] Unable to shutdown process 41 via Signals.SIGTERM, forcefully exiting via Signals.SIGKILL",
        summary.format(1, 1, -9, 1),
        summary.format(0, 0, 3, 0),
    ]
    script = "import sys; [print(one, flush=True) for one in {!r}]; sys.exit(1)"
    with pytest.raises(
        DataEngineError, match=r"^fine-tuning: process 0: KeyError: 'w' \(examples\.py, line 3\); the"
    ):
        run_processes([sys.executable, "-c", script.format(log)])
    del log[1]
    with pytest.raises(DataEngineError, match=r"^fine-tuning: process 1 was ended by SIGKILL"):
        run_processes([sys.executable, "-c", script.format(log)])


def test_of_several_killed_processes_the_cause_is_the_last_of_the_summary() -> None:
    """The expected layout is that of torch's own message."""
    failures = {rank: ProcessFailure(rank, 4000 + rank, -9, f"no_file_{rank}") for rank in (0, 1, 2)}
    for rank, failure in failures.items():
        failure.timestamp = 1000 + (rank - 1) ** 2  # process 1 failed first
    log = str(ChildFailedError("train", failures))
    assert log.index("local_rank: 2") < log.index("Root Cause") < log.index("local_rank: 1")
    with pytest.raises(DataEngineError, match=r"^fine-tuning: process 1 was ended by SIGKILL"):
        run_processes([sys.executable, "-c", f"import sys; print({log!r}); sys.exit(1)"])


def test_settings_of_several_processes_are_checked(config: Make, images: Path) -> None:
    (images / "empty.yaml").write_text("distributed_type: FSDP\n")
    with pytest.raises(ParameterError, match=r"empty\.yaml: num_processes is missing; give a file"):
        processes_of(images / "empty.yaml")
    with pytest.raises(ParameterError, match="how many processes there are; leave processes out"):
        FineTuneConfig.read({**config().model_dump(), "accelerate_config": "a.yaml", "processes": 2}, "h")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"print_command": "shell", "accelerate_config": "a.yaml"},
            "torch's launcher; leave accelerate_config",
        ),
        ({"print_command": "slurm", "trainer": "command", "command": "x"}, "torch's launcher; leave"),
        ({"machines": 2}, "machines needs print_command; give that"),
    ],
)
def test_what_a_printed_command_would_not_do_is_refused(
    config: Make, more: dict[str, Any], message: str
) -> None:
    needed = config().model_dump(include={"student", "train_data", "image_root", "output_dir"})
    with pytest.raises(ParameterError, match=message):
        FineTuneVerbConfig.read(needed | more, "fine-tune")


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_a_base_in_4_bits_is_not_divided(config: Make, images: Path, kind: str) -> None:
    file = images / "accelerate.yaml"
    file.write_text(f"distributed_type: {kind}\nnum_processes: 2\n")
    with pytest.raises(
        ParameterError, match=rf"yaml: distributed_type {kind} divides the weights.* leave quantize"
    ):
        fine_tune(config(accelerate_config=file, quantize="4bit"))


def test_processes_without_enough_memory_begin_with_smaller_passes(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    def launched(command: list[str]) -> None:
        passes.append(int(command[-1]))
        if passes[-1] < 4:
            raise DataEngineError(f"{OUT_OF_MEMORY}; set accumulate to {2 * passes[-1]} or more")
        train_in_this_process(given, World(), accumulate=passes[-1])

    monkeypatch.setattr("dataengine_lib.steps.fine_tune.run_processes", launched)
    given = config(ROWS, processes=2, **SETTINGS)
    assert fine_tune(given).log.accumulate == 4 and passes == [1, 2, 4]
    with pytest.raises(DataEngineError, match="set accumulate to 4 or more"):
        fine_tune(given.model_copy(update={"batch_size": 2}))
