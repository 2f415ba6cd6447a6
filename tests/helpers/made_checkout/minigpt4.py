"""A made-up checkout in the layout of MLLM-DataEngine's MiniGPT-4, small enough to start its training in a test.

Module names, class names and arguments are the original's; what the modules do is written anew.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_FILES = {
    "minigpt4/__init__.py": "",
    "minigpt4/common/__init__.py": "",
    "minigpt4/common/registry.py": '''
class Registry:
    builders = {}

    def register_builder(self, name):
        def keep(builder):
            if name in self.builders:
                raise KeyError(f"Name '{name}' already registered")
            self.builders[name] = builder
            return builder
        return keep

    def get_builder_class(self, name):
        return self.builders.get(name)

registry = Registry()
''',
    "minigpt4/datasets/__init__.py": "",
    "minigpt4/datasets/builders/base_dataset_builder.py": '''
class BaseDatasetBuilder:
    def __init__(self, cfg):
        self.config = cfg

    def build_processors(self):
        size = self.config.vis_processor.train.image_size
        self.vis_processors = {"train": lambda image: image.resize((size, size))}
        self.text_processors = {"train": str}

def load_dataset_config(path):
    raise NotImplementedError
''',
    "minigpt4/datasets/builders/image_text_pair_builder.py": '''
from minigpt4.common.registry import registry
from minigpt4.datasets.builders.base_dataset_builder import BaseDatasetBuilder

@registry.register_builder("aokvqa")
class AOKVQABuilder(BaseDatasetBuilder):
    DATASET_CONFIG_DICT = {"default": "configs/datasets/aokvqa/defaults.yaml"}

    def build_datasets(self):
        return {"train": []}

@registry.register_builder("lab_set")
class LabBuilder(AOKVQABuilder):
    pass
''',
    "minigpt4/datasets/builders/__init__.py": '''"""Data sets."""

from minigpt4.datasets.builders.base_dataset_builder import load_dataset_config
from minigpt4.datasets.builders.image_text_pair_builder import (
    AOKVQABuilder
)
from minigpt4.common.registry import registry

__all__ = [
    "AOKVQABuilder"
]

# what was registered above can be looked up
NAMES = sorted(registry.builders)
''',
    "minigpt4/datasets/datasets/__init__.py": "",
    "minigpt4/datasets/datasets/vqa_dataset.py": '''
import json, os
from PIL import Image

class AOKVQADataset:
    def __init__(self, vis_processor, text_processor, vis_root, anno_path, coco_anno, format="Q-A", sample_num=None):
        self.vis_processor, self.vis_root, self.format = vis_processor, vis_root, format
        with open(anno_path, encoding="utf-8") as stream:
            rows = json.load(stream)
        with open(coco_anno, encoding="utf-8") as stream:
            self.files = {one["id"]: one["file_name"] for one in json.load(stream)["images"]}
        # in silence, as the original does
        rows = [row for row in rows if "description" not in row["rationales"][0]]
        self.rows = [row for row in rows if not isinstance(row["image_id"], str)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row = self.rows[place]
        options = [f"({'ABCDEFG'[number]}) {choice}" for number, choice in enumerate(row["choices"])]
        image = self.vis_processor(Image.open(os.path.join(self.vis_root, self.files[row["image_id"]])))
        answer = options[row["correct_choice_idx"]]
        if self.format == "QM-AE":
            answer += " " + max(row["rationales"], key=len)
        return {"size": image.size, "asked": " ".join([row["question"], *options]), "answer": answer}
''',
    "minigpt4/configs/datasets/aokvqa/defaults.yaml": "datasets:\n  aokvqa:\n    data_type: images\n",
    "train_configs/7b/QMA/stage2_round1.yaml": '''model:
  arch: mini_gpt4  # as published

datasets:
  aokvqa:
    vis_processor:
      train:
        name: "blip2_image_train"
        image_size: 96
    text_processor:
      train:
        name: "blip_caption"
    format: "QM-A"
    sample_ratio: 130
    # more sets below

run:
  task: vqa_blip2
  init_lr: 3e-4
''',
    "train_configs/7b/QMA/stage2.yaml": "datasets: {aokvqa: {sample_ratio: 1}}\nrun: {}\n",
    "train_configs/13b/QMA/stage2.yaml": "datasets:\n    aokvqa:\n        sample_ratio: 1\n",
    "train.py": '''
import json, sys
import yaml
from minigpt4.datasets.builders import *
from minigpt4.common.registry import registry

class Config(dict):
    def __getattr__(self, key):
        value = self[key]
        return Config(value) if isinstance(value, dict) else value

def merged(one, other):
    both = isinstance(one, dict) and isinstance(other, dict)
    return {**one, **{k: merged(one.get(k, {}), v) for k, v in other.items()}} if both else other

with open(sys.argv[2]) as stream:
    wanted = yaml.safe_load(stream)["datasets"]
found = {}
for name, own in wanted.items():
    builder = registry.get_builder_class(name)
    with open("minigpt4/" + builder.DATASET_CONFIG_DICT["default"]) as stream:
        config = merged(yaml.safe_load(stream)["datasets"][name], own)
    sets = builder(Config(config)).build_datasets()
    one = sets["val" if "val" in name else "train"]
    found[name] = {"ratio": config["sample_ratio"], "rows": [one[place] for place in range(len(one))]}
print(json.dumps(found))
''',
}  # fmt: skip


def make_checkout(folder: Path) -> Path:
    """Write the checkout into `folder`."""
    for name, text in _FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path; compiled Python files are left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def train(checkout: Path, config: str) -> dict[str, Any]:
    """The data sets that a training in the checkout loads: their ratios and all of their rows."""
    command = [sys.executable, "-B", "train.py", "--cfg-path", config]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
