"""A run of one round with the probes of step 1: wired to step 6, and the panel kept out of the data."""

import json
from pathlib import Path

import pytest
import yaml
from small_loop import execute_here, write_loop

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.playground.sets import write_playground
from dataengine_lib.runs import run
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS


def test_a_run_with_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "execute", execute_here)
    file = write_loop(tmp_path, teacher="playground")
    settings = yaml.safe_load(file.read_text())
    drawn = settings["playground"]
    drawn["sizes"] |= {"pool": 40, "diagnose": 1, "holdout": 1}
    pool = write_playground(Path(drawn["cache"]), drawn["seed"], drawn["sizes"]) / "pool"
    # a panel about most images of the pool itself: queries are left with the others
    images = sorted(path.relative_to(pool) for path in pool.rglob("*.jpg"))[:30]
    rows = [
        {
            "image_path": str(path),
            "question": "Is it day?",
            "choices": ["yes", "no", "dusk"],
            "correct_choice_idx": 0,
        }
        for path in images
    ]
    (tmp_path / "panel.json").write_text(json.dumps(rows))
    panel = {"pool": {"questions": str(tmp_path / "panel.json"), "image_root": "{playground}/pool"}}
    settings["evaluate"] |= {
        "panel": panel, "blind": True, "contamination": True, "direct_answers": False,
    }  # fmt: skip
    settings["construct_queries"]["maxnum"] = 8
    settings["fine_tune"]["max_steps"] = 1
    file.write_text(yaml.safe_dump(settings))
    experiment = read_experiment(file, [step.name for step in STEPS], [], 1)
    out = tmp_path / "out"
    assert run.run_experiment(experiment, out, print_line=lambda line: None).status == "done"
    queries = read_json(out / "round1/gptvqa_prompt.json", list[Query])
    on_panel = {path.name for path in images}
    assert queries and not on_panel & {Path(query.image_path).name for query in queries}
    metrics = read_json(out / "final/metrics.json", Metrics)
    assert isinstance(metrics.panel, dict) and metrics.panel["pool"].questions == len(images)
    assert metrics.contamination and metrics.contamination.preference
    figures = read_json(out / "compare_rounds.json", Figures)
    assert isinstance(figures.panel, dict) and figures.panel["pool"].questions == len(images)
    assert figures.blind and figures.blind.questions == figures.questions
    # nothing is done a second time
    lines: list[str] = []
    run.run_experiment(experiment, out, print_line=lines.append)
    assert sum("nothing changed, skipped" in line for line in lines) == 8, lines
