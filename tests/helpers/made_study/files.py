"""Made-up studies with planted differences between their arms: the files of the runs that would give them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.evaluation.studies.answers import evaluation_files
from dataengine_lib.evaluation.studies.study_file import Arm, ArmRun, StudyFile
from dataengine_lib.teachers.reply_files import UsageFile
from dataengine_lib.training.log import MixPart, TrainLog

KINDS = (
    "image_scene",
    "object_localization",
    "function_reasoning",
    "image_emotion",
    "social_relation",
    "image_style",
)
START = {"image_scene": 0.97, "object_localization": 0.95, "function_reasoning": 0.6, "image_emotion": 0.35,
         "social_relation": 0.3, "image_style": 0.7}  # fmt: skip
# of the sums in `_made_rows`, from the smallest to the largest
_MIXTURES = np.sort((0.85 * np.linspace(0, 1, 999)[:, None] + 0.15 * np.linspace(0, 1, 99)).ravel())


@dataclass
class MadeArm:
    """The accuracy that is added by type after the last round, and how many QAs a round has."""

    name: str
    added: dict[str, float] = field(default_factory=dict)
    qas: int = 300
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)


ARMS = (
    MadeArm("adaptive", {"image_emotion": 0.4, "social_relation": 0.4, "function_reasoning": 0.1}),
    MadeArm(
        "uniform",
        {"image_emotion": 0.2, "social_relation": 0.2, "function_reasoning": 0.1, "image_style": 0.1},
    ),
    MadeArm("base only", {"object_localization": -0.15}, qas=0),
)


def _made_rows(
    rng: np.random.Generator, accuracy: dict[str, float], skill: np.ndarray, split: str
) -> list[dict[str, Any]]:
    """Rows of an evaluation; `skill` `(types, questions)` is how easy each question is, two questions an image."""
    rows = []
    for place, kind in enumerate(accuracy):
        luck = 0.85 * skill[place] + 0.15 * rng.random(skill.shape[1])
        # the threshold below which so large a share of these mixtures lies
        limit = _MIXTURES[min(len(_MIXTURES) - 1, int(accuracy[kind] * len(_MIXTURES)))]
        for number, right in enumerate(luck < limit):
            rows.append({
                "question_id": f"{kind}-{split}-{number}", "image_id": 1000 * place + number // 2, "split": split,
                "question": f"{kind} {number}?", "choices": ["yes", "no"], "correct_choice_idx": 0,
                "question_type": kind, "predicted_choice_idx": 0 if right else 1, "correct": bool(right),
            })  # fmt: skip
    return rows


def write_study(
    folder: Path,
    arms: tuple[MadeArm, ...] = ARMS,
    seeds: int = 4,
    rounds: int = 2,
    questions: int = 60,
) -> Path:
    """Write `study.json` and its runs to `folder`; returns the file."""
    rng = np.random.default_rng(0)
    skill = {split: rng.random((len(START), questions)) for split in ("holdout", "diagnose")}
    first = [row for split in skill for row in _made_rows(rng, START, skill[split], split)]
    runs = []
    for arm in arms:
        for number in range(seeds):
            run = folder / arm.name / f"seed{number}"
            luck = rng.normal(0, 0.02)
            for round_, file in enumerate(evaluation_files(run, rounds)):
                aim = {
                    kind: float(
                        np.clip(start + round_ / rounds * (arm.added.get(kind, 0.0) + luck), 0.02, 0.99)
                    )
                    for kind, start in START.items()
                }
                rows = [row for split in skill for row in _made_rows(rng, aim, skill[split], split)]
                write_jsonl(file, rows if round_ else first)
            for round_ in range(1, rounds + 1):
                _write_round(run / f"round{round_}", arm.qas, round_)
            runs.append(ArmRun(arm.name, number, f"{arm.name}/seed{number}", "done", "", 60.0))
    study = StudyFile("tiny", [Arm(arm.name, arm.changes) for arm in arms], list(range(seeds)), rounds, runs)
    return write_json(folder / "study.json", study)


def _write_round(folder: Path, qas: int, round_: int) -> None:
    write_json(folder / "gptvqa_train_data.json", [{"question": f"{number}?"} for number in range(qas)])
    write_json(
        folder / "usage.json",
        UsageFile(
            requests=2 * qas, prompt_tokens=100 * qas, completion_tokens=20 * qas, cost_usd=0.001 * qas
        ),
    )
    mix = [MixPart(f"round {number}", "", qas, qas, 0.5) for number in range(1, round_ + 1)]
    log = TrainLog(
        student="tiny", method="lora", dtype="float32", trained_parameters=1, steps=40, loss=[],
        mix=[*mix, MixPart("base", "", 500, 500, 0.5)], by_type={}, skipped={}, skipped_rows=[],
    )  # fmt: skip
    write_json(folder / "checkpoint" / "train_log.json", log)
