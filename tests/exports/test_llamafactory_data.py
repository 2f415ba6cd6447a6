"""LLaMA-Factory's own data code reads what `export llamafactory` wrote, and learns the answers from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.exports.export import ExportOptions, export

PACKAGES = Path(sys.prefix) / "test-packages"
READER = Path(__file__).with_name("llamafactory_reads.py")
DEMO = PROJECT_ROOT / "data_demo"


@pytest.mark.skipif(
    not (PACKAGES / "llamafactory").is_dir(), reason="needs LLaMA-Factory, which `make test` installs"
)
def test_it_learns_each_answer_and_its_end(tmp_path: Path) -> None:
    records: list[TrainRecord] = read_json(DEMO / "gptvqa_train_data.json", list[TrainRecord])[:3]
    export("llamafactory", records, DEMO, tmp_path / "qa.json", ExportOptions(name="round1"))
    student = DEMO / "models" / "tiny-llava"
    # alone: of what else lies there, torchvision would be taken by transformers
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "llamafactory").symlink_to(PACKAGES / "llamafactory")
    done = subprocess.run(
        [sys.executable, str(READER), str(tmp_path), "round1", str(student)],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "path"), "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    letters = "ABCD"
    assert [row["learnt"] for row in found] == [
        f"The answer is ({letters[one.correct_choice_idx]}) {one.choices[one.correct_choice_idx]}.</s>"
        for one in records
    ]
    assert [row["images"] for row in found] == [[str(DEMO / one.image_path)] for one in records]
    vision = read_json(student / "config.json")["vision_config"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    assert [row["image_tokens"] for row in found] == [patches] * len(records)
