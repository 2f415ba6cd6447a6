"""A run of one round with the probes of step 1: wired to step 6, and the panel kept out of the data."""

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.playground.sets import write_playground
from dataengine_lib.runs import run
from dataengine_lib.runs.execute_notebook import Executed
from dataengine_lib.runs.execution import run_steps
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS, Planned

MODELS = PROJECT_ROOT / "data_demo" / "models"


def execute_untrained(
    notebook: Path, output: Path, parameters: dict[str, Any], function: str, run_folder: Path, *_: Any
) -> Executed:
    """In place of `run_steps.execute`: calls the step without a kernel; the checkpoint of step 5 is its student."""
    output.parent.mkdir(parents=True, exist_ok=True)
    step = next(one for one in STEPS if one.name == function)
    config: Any = step.config.read(parameters, function)
    if function == "fine_tune":
        shutil.copytree(config.student, config.output_dir)
    else:
        getattr(importlib.import_module(step.config.__module__), function)(config)
    shutil.copy(notebook, output)
    return Executed(0.1, [])


def write_empty_page(item: Planned) -> None:
    item.html.touch()


def test_a_run_with_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_steps, "execute", execute_untrained)
    monkeypatch.setattr(run_steps, "render_step", write_empty_page)
    sizes = {"base": 1, "pool": 12, "diagnose": 1, "holdout": 1}
    pool = write_playground(tmp_path / "cache", 0, sizes) / "pool"
    # a panel about most images of the pool itself: queries are left with the others
    images = sorted(path.relative_to(pool) for path in pool.rglob("*.jpg"))[:8]
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
    asked = json.loads((pool.parent / "aokvqa_playground.json").read_text())
    few = [[row for row in asked if row["split"] == split][:4] for split in ("diagnose", "holdout")]
    (tmp_path / "questions.json").write_text(json.dumps([*few[0], *few[1]]))
    panel = {"pool": {"questions": str(tmp_path / "panel.json"), "image_root": "{playground}/pool"}}
    settings = {
        "run": "probes",
        "rounds": 1,
        "playground": {"seed": 0, "cache": str(tmp_path / "cache"), "sizes": sizes},
        "classify_questions": {"questions": str(tmp_path / "questions.json"), "teacher": "playground"},
        "evaluate": {
            "image_root": "{playground}", "student": str(MODELS / "tiny-llava"), "panel": panel,
            "blind": True, "contamination": True, "direct_answers": False,
        },
        "construct_queries": {
            "coco_dataset": "{playground}/pool", "encoder": str(MODELS / "tiny-clip"), "maxnum": 3,
            "near_duplicate": None,
        },
        "generate_qa": {"teacher": "playground"},
    }  # fmt: skip
    file = tmp_path / "probes.yaml"
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
    probes = load_run(out).probe_answers
    assert set(probes.groupby("probe")["round"].nunique()) == {2}, "every probe, before and after"
    assert {"blind", "panel"} < set(probes["probe"]) and set(probes["variant"]) == {"", "pool"}
    # nothing is done a second time
    lines: list[str] = []
    run.run_experiment(experiment, out, print_line=lines.append)
    assert sum("nothing changed, skipped" in line for line in lines) == 8, lines
