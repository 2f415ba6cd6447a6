"""Weights that FSDP divides between two processes end as those of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fine_tuning import Make, row
from project import PROJECT_ROOT
from safetensors.torch import load_file

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.fine_tune import fine_tune
from dataengine_lib.training.log import TrainLog

# as `accelerate launch` sets them for a file with distributed_type FSDP
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def test_divided_weights_are_trained_saved_and_gathered_whole(config: Make) -> None:
    """Also the best state, which is the last one here, is loaded in parts."""
    rows = [row(n) for n in range(12)]
    settings = {"method": "full", "save_steps": 2, "eval_share": 0.3, "keep_best": True, "epochs": 2}
    given = config(rows, **settings)
    many = given.output_dir.with_name("many")
    one = fine_tune(given.model_copy(update={"accumulate": 2}))
    file = write_json(many.with_name("many.json"), given.model_dump(mode="json") | {"output_dir": str(many)})
    command = [
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(Path(__file__).with_name("parts_on_cpu.py")),
    ]
    environment = os.environ | FSDP | {"PYTHONPATH": str(PROJECT_ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", *command, str(file), "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    log = read_json(many / "train_log.json", TrainLog)
    assert log.kept_step == one.log.kept_step == log.steps
    torch.testing.assert_close(
        load_file(many / "model.safetensors"),
        load_file(one.checkpoint / "model.safetensors"),
        rtol=1e-5,
        atol=1e-5,
    )
    assert not list(many.parent.glob("**/checkpoint-*"))


def test_weights_in_parts_are_not_silently_whole(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(DataEngineError, match="accelerate_config asks for FSDP, which needs a GPU"):
        fine_tune(config())
