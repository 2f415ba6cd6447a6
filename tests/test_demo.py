"""What `make demo` promises, on a smaller playground: the shipped student learns from the loop."""

import json
from statistics import mean

import yaml
from project import PROJECT_ROOT
from whole_runs.in_process import run_here

from dataengine_lib.playground.sets import THIN_TYPES


def test_one_round_raises_holdout_accuracy_and_the_types_with_thin_base_data_most(tmp_path):
    settings = yaml.safe_load((PROJECT_ROOT / "params" / "demo.yaml").read_text(encoding="utf-8"))
    settings["rounds"] = 1
    settings["playground"] |= {
        "cache": str(tmp_path / "cache"),
        "sizes": {"base": 400, "pool": 1600, "diagnose": 20, "holdout": 40},
    }
    settings["construct_queries"]["maxnum"] = 850
    settings["evaluate"]["direct_answers"] = False  # what is claimed is measured by ranking
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = run_here(["run", str(tmp_path / "demo.yaml"), "--out", str(tmp_path / "out")], PROJECT_ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    gains = json.loads((tmp_path / "out" / "compare_rounds.json").read_text())["comparisons"][0]
    assert gains["overall"]["gain"]["low"] > 0
    by_type = {kind: score["gain"]["gain"] for kind, score in gains["by_type"].items()}
    others = [gain for kind, gain in by_type.items() if kind not in THIN_TYPES]
    assert mean(by_type[kind] for kind in THIN_TYPES) > mean(others) + 0.05
