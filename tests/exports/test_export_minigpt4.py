"""The data set for MiniGPT-4, built by the exported builder on stand-ins for MiniGPT-4's own classes."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_records import RECORDS, photos, record
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.export import export
from dataengine_lib.exports.records import ExportOptions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


class Dataset:
    """Reads rows as `AOKVQADataset` of MLLM-DataEngine v1 does."""

    def __init__(
        self, vis_processor: Any, text_processor: Any, vis_root: str, anno_path: str, coco_anno: str,
        format: str, sample_num: int | None,
    ) -> None:  # fmt: skip
        self.root, self.format, self.sample_num = vis_root, format, sample_num
        self.rows = json.loads(Path(anno_path).read_text())
        self.names = {
            image["id"]: image["file_name"] for image in json.loads(Path(coco_anno).read_text())["images"]
        }

    def __getitem__(self, place: int) -> tuple[Any, str, str]:
        row = self.rows[place]
        image = Image.open(Path(self.root) / self.names[row["image_id"]])
        longest = sorted(row["rationales"], key=len, reverse=True)[0]
        return image.getpixel((0, 0)), row["choices"][row["correct_choice_idx"]], longest


def minigpt4_set(output: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The data set that the exported builder makes of the exported configs, on stand-ins for MiniGPT-4's classes."""
    known: dict[str, Any] = {}

    class Builder:
        def __init__(self, config: Any) -> None:
            self.config = config

        def build_processors(self) -> None:
            self.vis_processors = self.text_processors = {"train": None}

    class Config(dict[str, Any]):
        def __getattr__(self, key: str) -> Any:
            value = self[key]
            return Config(value) if isinstance(value, dict) else value

    def register_builder(name: str) -> Any:
        return lambda builder: known.setdefault(name, builder)

    parts = {
        "minigpt4.common.registry": {"registry": types.SimpleNamespace(register_builder=register_builder)},
        "minigpt4.datasets.builders.base_dataset_builder": {"BaseDatasetBuilder": Builder},
        "minigpt4.datasets.datasets.vqa_dataset": {"AOKVQADataset": Dataset},
    }
    for module, content in parts.items():
        words = module.split(".")
        for last in range(1, len(words)):
            monkeypatch.setitem(sys.modules, ".".join(words[:last]), types.ModuleType("package"))
        found = types.ModuleType(module)
        found.__dict__.update(content)
        monkeypatch.setitem(sys.modules, module, found)
    exec((output / f"{name}_builder.py").read_text(), {})
    builder = known[name]
    config = yaml.safe_load((output / builder.DATASET_CONFIG_DICT["default"]).read_text())["datasets"][name]
    entry = yaml.safe_load((output / "train_config_entry.yaml").read_text())["datasets"][name]
    assert set(entry) == {"vis_processor", "text_processor", "format", "sample_ratio"}
    assert entry["sample_ratio"] == 2
    return builder(Config({**config, **entry})).build_datasets()["train"]


def test_minigpt4_is_built_by_its_own_builder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = export("minigpt4", RECORDS, root, tmp_path / "o", ExportOptions("gpt_round1", "QM-A"))
    built = minigpt4_set(tmp_path / "o", "gpt_round1", monkeypatch)
    assert (len(built.rows), built.format, built.sample_num) == (3, "QM-A", None)
    assert [built[place][2] for place in range(3)] == ["It is a long reason.", "", "It is a long reason."]
    assert {built[place][1] for place in range(3)} == {"cat"}
    assert [round(built[place][0][0] / 60) for place in range(3)] == [1, 2, 3]
    assert all(path.is_file() for path in files)
    with pytest.raises(DataEngineError, match="is not the id of one image"):
        export("minigpt4", [record(1), record(1, image_path="train2017/2.jpg")], root, tmp_path / "p")
