"""`data_demo` is what the steps make today of its own inputs."""

import filecmp
from pathlib import Path

import msgspec
import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Answer, Query
from dataengine_lib.demo_assets import data_demo
from dataengine_lib.evaluation.metrics import Metrics

DEMO = PROJECT_ROOT / "data_demo"


def test_steps_0_3_and_4_reproduce_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    folder = Path("data_demo")
    data_demo.run_step_0(folder, tmp_path)
    data_demo.run_step_3(folder, tmp_path)
    data_demo.run_step_4(folder, tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    shown = {"aokvqa_v1p0_val_classified.json", "gptvqa_result.jsonl", "gptvqa_failed.jsonl", "usage.json",
             "gptvqa_train_data.json", "rejects.jsonl", "post_process.json"}  # fmt: skip
    assert shown <= made
    assert [
        name for name in sorted(shown) if not filecmp.cmp(tmp_path / name, DEMO / name, shallow=False)
    ] == []


# Not by their bytes, since what steps 1 and 2 write depends on the last digits of sums of floats.
@pytest.mark.parametrize(
    ("name", "kind"), [("gptvqa_prompt.json", Query), ("metrics.json", Metrics), ("aokvqa_eval.json", Answer)]
)
def test_files_of_steps_1_and_2_have_today_s_fields(name: str, kind: type) -> None:
    rows = read_json(DEMO / name)
    first = rows[0] if isinstance(rows, list) else rows
    # a field that is unset by default is left out of files that need it not
    always = [one.encode_name for one in msgspec.structs.fields(kind) if one.default is not msgspec.UNSET]
    assert sorted(first) == sorted(always)
