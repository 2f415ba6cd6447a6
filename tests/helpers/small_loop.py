"""The smallest whole loop: an untrained LLaVA and CLIP of the shipped shape, a playground of few scenes, one round."""

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

from dataengine_lib.demo_assets.lessons import texts_of
from dataengine_lib.demo_assets.tiny_models import (
    build_clip,
    build_llava,
    build_tokenizer,
    save_clip,
    save_llava,
)
from dataengine_lib.playground.sets import FIRST_ID
from dataengine_lib.runs.execute_notebook import Executed
from dataengine_lib.runs.workflow import STEPS


def write_loop(folder: Path, teacher: str) -> Path:
    """Writes the models and `small.yaml` to `folder`; returns the YAML."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(text for i in range(80) for text in texts_of(FIRST_ID["base"] + i, 0))
    clip = build_clip(tokenizer)
    save_llava(build_llava(tokenizer, clip), tokenizer, folder / "llava")
    save_clip(clip, tokenizer, folder / "clip")
    settings = {
        "run": "small",
        "rounds": 1,
        "seed": 0,
        "playground": {
            "seed": 0,
            "cache": str(folder / "cache"),
            "sizes": {"base": 24, "pool": 80, "diagnose": 2, "holdout": 3},
        },
        "classify_questions": {"questions": "{playground}/aokvqa_playground.json", "teacher": "playground"},
        "evaluate": {"image_root": "{playground}", "student": str(folder / "llava")},
        "construct_queries": {
            "coco_dataset": "{playground}/pool",
            "encoder": str(folder / "clip"),
            "maxnum": 30,
            "near_duplicate": None,
        },
        "generate_qa": {"teacher": teacher},
        "fine_tune": {
            "base_data": "{playground}/base_questions.json",
            "base_image_root": "{playground}",
            "max_steps": 4,
            "batch_size": 4,
        },
    }
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def is_running(run_json: Path, label: str) -> bool:
    """Whether a run, of which this is the `run.json`, is in the step `label`."""
    steps = json.loads(run_json.read_text())["steps"] if run_json.is_file() else []
    return any(step["label"] == label and step["status"] == "running" for step in steps)


def execute_here(
    notebook: Path, output: Path, parameters: dict[str, Any], function: str, run: Path, *_: Any
) -> Executed:
    """In place of `run_steps.execute`: calls the step without a kernel, so that its notebook shows nothing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    step = next(one for one in STEPS if one.name == function)
    getattr(importlib.import_module(step.config.__module__), function)(step.config.read(parameters, function))
    shutil.copy(notebook, output)
    return Executed(0.1, [])
