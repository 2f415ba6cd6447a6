"""Makes `data_demo/study`: a small study of two arms and three seeds, for notebook 7.

`python -m dataengine_lib.demo_assets.study_demo` runs steps 2 to 5 and 1 for every run on the files of `data_demo`. Of the
evaluations it keeps the fields that a study reads.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dataengine_lib.core.files import read_json, write_json, write_jsonl
from dataengine_lib.core.records import Answer
from dataengine_lib.demo_assets.data_demo import DATA_DEMO, run_step_2, run_step_3, run_step_4, run_step_5
from dataengine_lib.evaluation.studies.answers import evaluation_files
from dataengine_lib.evaluation.studies.study_file import Arm, ArmRun, StudyFile
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.training.log import TrainLog

_SEEDS = [0, 1, 2]
_KEPT = ("question_id", "question_type", "split", "image_id", "question", "choices", "correct_choice_idx",
         "predicted_choice_idx", "correct")  # fmt: skip


def _make(demo: Path) -> None:
    folder = demo / "study"
    shutil.rmtree(folder, ignore_errors=True)
    weights: dict[str, float] = read_json(demo / "weight.json", dict[str, float])
    arms = {"adaptive": weights, "uniform": dict.fromkeys(weights, 1.0)}
    runs = []
    for name, weight in arms.items():
        for seed in _SEEDS:
            place = f"{name}/seed{seed}"
            before, after = evaluation_files(folder / place, 1)
            with tempfile.TemporaryDirectory() as scratch:
                answers = _run(demo, Path(scratch), weight, seed)
                _copy_logs(Path(scratch), before.parent)
            _write_short(before, read_json(demo / "aokvqa_eval.json", list[Answer]))
            _write_short(after, answers)
            runs.append(ArmRun(name, seed, place, "done"))
    changes = {"construct_queries": {"weight": "uniform.json"}}
    write_json(
        folder / "study.json",
        StudyFile("demo", [Arm("adaptive"), Arm("uniform", changes)], _SEEDS, 1, runs),
    )


def _run(demo: Path, scratch: Path, weights: dict[str, float], seed: int) -> list[Answer]:
    """One round with these weights; returns the evaluation after it."""
    models = demo / "models"
    weight = write_json(scratch / "weight.json", weights)
    run_step_2(demo, models, scratch, scratch, weight=weight, seed=seed)
    run_step_3(scratch, scratch)
    run_step_4(demo, scratch, replies=scratch / "gptvqa_result.jsonl")
    run_step_5(demo, models, scratch / "gptvqa_train_data.json", scratch / "checkpoint", seed=seed)
    evaluate(EvaluateConfig(
        questions=demo / "aokvqa_v1p0_val_classified.json", image_root=demo, student=str(scratch / "checkpoint"),
        output_dir=scratch / "after", near_duplicate=0,
    ))  # fmt: skip
    answers: list[Answer] = read_json(scratch / "after" / "aokvqa_eval.json", list[Answer])
    return answers


def _copy_logs(scratch: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copyfile(scratch / "usage.json", folder / "usage.json")
    _write_log(scratch / "checkpoint" / "train_log.json", folder / "train_log.json")


def _write_log(made: Path, file: Path) -> None:
    """Copy the log without the folders of this machine."""
    log: TrainLog = read_json(made, TrainLog)
    log.student = Path(log.student).name
    for part in log.mix:
        part.file = Path(part.file).name
    write_json(file, log)


def _write_short(file: Path, answers: Sequence[Answer]) -> None:
    rows = [msgspec.to_builtins(answer) for answer in answers]
    write_jsonl(file, [{name: row[name] for name in _KEPT} for row in rows])


if __name__ == "__main__":
    _make(DATA_DEMO)
