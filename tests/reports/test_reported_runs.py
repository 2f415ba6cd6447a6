"""Symptoms of public reports about notebooks and pipelines of other tools, rebuilt here with inputs of our own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml
from fake_loop import make_loop, run_fake
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.fine_tune import FineTuneConfig

NOTEBOOKS = PROJECT_ROOT / "notebooks"


def papermill(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """papermill in a process of its own, as users start it."""
    code = "from papermill.cli import papermill; papermill()"
    command = [sys.executable, "-c", code, *arguments, "--no-progress-bar"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


# nteract/papermill#478
def test_a_kernel_that_dies_is_one_line_that_names_the_step(tmp_path: Path) -> None:
    file = make_loop(tmp_path)
    book = nbformat.read(tmp_path / "notebooks/1_shout.ipynb", 4)
    book.cells[
        1
    ].source = f"def shout():\n    import os\n    os.kill(os.getpid(), {int(signal.SIGKILL)})\n\nshout()"
    nbformat.write(book, tmp_path / "notebooks/1_shout.ipynb")
    out = tmp_path / "runs/fake"
    with pytest.raises(DataEngineError) as caught:
        run_fake(file)
    assert str(caught.value).startswith(
        "round1/1_shout failed: its kernel died, most likely for lack of memory"
    )
    assert "\n" not in str(caught.value) and caught.value.exit_code == 1
    assert (out / "round1/written.txt").read_text() == "some words 6"
    written = read_json(out / "run.json")
    assert [step["status"] for step in written["steps"]] == ["done", "failed"] and "kernel died" in written[
        "error"
    ]
    assert (out / "round1/1_shout.ipynb").is_file()


# nteract/papermill#345
@pytest.mark.parametrize("value", ["2024-05-01", "2024-05-01 10:00:00"])
def test_a_date_in_yaml_is_text_or_one_line_with_its_key(tmp_path: Path, value: str) -> None:
    file = make_loop(tmp_path)
    file.write_text(file.read_text() + f"shout:\n  warn: {value}\n")
    state = run_fake(file)
    assert state.steps[1].warnings == [value]
    with pytest.raises(ParameterError) as caught:
        ConstructQueriesConfig.read(
            {"input": "a", "coco_dataset": "b", "coco_embedding": "c", "output": "d", "encoder": "e"}
            | yaml.safe_load(f"maxnum: {value}"),
            "p.yaml: construct_queries",
        )
    assert str(caught.value).startswith("p.yaml: construct_queries: maxnum: ") and "\n" not in str(
        caught.value
    )


# nteract/papermill#264, nteract/papermill#724, nteract/papermill#268, nteract/papermill#273, nteract/papermill#316
def test_a_file_of_parameters_and_another_folder_work_with_papermill(tmp_path: Path) -> None:
    (tmp_path / "my data").symlink_to(PROJECT_ROOT / "data_demo")
    (tmp_path / "elsewhere").mkdir()
    given = {
        "evaluations": ["my data/aokvqa_eval.json", "my data/aokvqa_eval_after.json"],
        "output": "out/compare.json", "image_root": None, "seed": 3, "split": "holdout",
    }  # fmt: skip
    (tmp_path / "elsewhere/parameters.yaml").write_text(yaml.safe_dump(given))
    done = papermill(
        str(NOTEBOOKS / "6_compare_rounds.ipynb"), "out.ipynb", "-f", "parameters.yaml", "--cwd", str(tmp_path),
        cwd=tmp_path / "elsewhere",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/compare.json").is_file() and (tmp_path / "elsewhere/out.ipynb").is_file()


# nteract/papermill#537
def test_numpy_values_are_parameters() -> None:
    config = ConstructQueriesConfig(
        input="a", coco_dataset="b", coco_embedding="c", output="d", encoder="e", maxnum=np.int64(5),
        neighbour_share=np.float32(0.5), targets={"ocr": np.int32(2)}, seed=np.int64(7),
    )  # fmt: skip
    assert (config.maxnum, config.neighbour_share, config.targets, config.seed) == (5, 0.5, {"ocr": 2}, 7)
    tuned = FineTuneConfig(
        student="s", train_data=["t"], image_root="i", output_dir="o", epochs=np.float64(1.5), max_steps=np.int64(3),
        keep_adapter=np.bool_(True), learning_rate=np.float32(0.25),
    )  # fmt: skip
    assert (tuned.epochs, tuned.max_steps, tuned.keep_adapter, tuned.learning_rate) == (1.5, 3, True, 0.25)
    read: dict[str, Any] = {"evaluations": ["a", "b"], "output": "c", "weak_types": np.int64(2)}
    assert type(CompareRoundsConfig.read(read, "script").weak_types) is int


# jsboige/CoursIA#14356
def test_a_notebook_that_made_nothing_does_not_end_as_a_success(tmp_path: Path) -> None:
    (tmp_path / "data_demo").symlink_to(PROJECT_ROOT / "data_demo")
    replies = [
        {
            "image_id": n,
            "image_path": "a.jpg",
            "question_type": "ocr",
            "raw_instructions": "I see no picture.",
        }
        for n in range(3)
    ]
    (tmp_path / "replies.json").write_text(json.dumps(replies))
    names = {
        "input": "replies.json",
        "output": "train.json",
        "rejects": "rejects.jsonl",
        "review": "review.json",
    }
    given = [word for name, file in names.items() for word in ("-p", name, file)]
    done = papermill(str(NOTEBOOKS / "4_post_process.ipynb"), "out.ipynb", *given, cwd=tmp_path)
    assert done.returncode != 0 and not (tmp_path / "train.json").exists()
    assert "DataEngineError: replies.json: none of 3 replies became a training record" in done.stderr
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 3
