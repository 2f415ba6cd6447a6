"""Step 5's files: lost base rows or new rows stop it over the share, with parameters of this step in the remedy."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune

GOOD = {"image_id": 1, "question": "Q?", "choices": ["a", "b"], "correct_choice_idx": 0}
TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]


def refusal(folder: Path, new: list[Any], **more: Any) -> str:
    Image.new("RGB", (4, 4)).save(folder / "000000000001.jpg")
    values = {"train_data": [write_json(folder / "new.json", new)], "image_root": folder} | more
    with pytest.raises(DataEngineError) as caught:
        fine_tune(FineTuneConfig(student="none", output_dir=folder / "out", **values))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nine_of_ten_new_rows_lost(tmp_path: Path) -> None:
    line = refusal(tmp_path, [GOOD, *({**GOOD, "image_id": n} for n in range(2, 11))])
    assert "9 of 10 rows cannot be used: correct them, check image_root (" in line
    assert line.endswith("raise max_bad_share (0.05)")


@pytest.mark.parametrize(
    "base", [[{**GOOD, "image_id": 7}] * 3, [{"id": "1", "image": "gone.jpg", "conversations": TURNS}] * 3]
)
def test_all_base_rows_lost(tmp_path: Path, base: list[Any]) -> None:
    rows = [dict(row, question_id=str(n)) for n, row in enumerate(base)]
    line = refusal(tmp_path, [GOOD], base_data=write_json(tmp_path / "base.json", rows))
    assert "3 of 3 rows cannot be used: correct them, check base_image_root (" in line
