"""A run of two rounds whose adapters are handed on beside the student, against one that merges them."""

from pathlib import Path

import pytest
from small_loop import execute_here, write_loop

from dataengine_lib.core.files import read_json
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.runs import run
from dataengine_lib.runs.execution import run_steps
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS

SETTINGS = ["evaluate.direct_answers=false", "fine_tune.learning_rate=0.01", "fine_tune.dtype=float32"]


def test_kept_adapters_give_the_metrics_of_merged_ones_in_each_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_steps, "execute", execute_here)
    file = write_loop(tmp_path, teacher="playground")
    found = {}
    for keep in (False, True):
        experiment = read_experiment(
            file, [step.name for step in STEPS], [*SETTINGS, f"fine_tune.keep_adapter={keep}"], 2
        )
        out = tmp_path / f"keep {keep}"
        assert run.run_experiment(experiment, out, print_line=lambda line: None).status == "done"
        for number in (1, 2):
            checkpoint = out / f"round{number}/checkpoint"
            assert (checkpoint / "adapter_model.safetensors").is_file() == keep
            assert (checkpoint / "model.safetensors").is_file() != keep
        places = ("round1", "round2", "final")
        found[keep] = [read_json(out / place / "metrics.json", Metrics).splits for place in places]
    assert found[False] == found[True]
    # each round has changed the student, else nothing was compared
    assert found[True][0] != found[True][1] != found[True][2]
