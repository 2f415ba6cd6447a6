"""After step 4: the files that make a data set known to MiniGPT-4: its builder, its config and its entry for training.

Source: MiniGPT-4's minigpt4/datasets/builders and MLLM-DataEngine v1's AOKVQADataset, whose arguments these are.
"""

import json
from pathlib import Path

from dataengine_lib.exports.records import ExportJob

MARKER = "# written by dataengine export; a file without this line is never replaced"
ENTRY_FILE = "train_config_entry.yaml"

# Filled with str.format, for which {{ and }} stand for single braces.
_BUILDER = '''"""Makes the data set {name!r} known to MiniGPT-4; imported in the __init__.py of this folder."""

{marker}
from minigpt4.common.registry import registry
from minigpt4.datasets.builders.base_dataset_builder import BaseDatasetBuilder
from minigpt4.datasets.datasets.vqa_dataset import AOKVQADataset


@registry.register_builder("{name}")
class Builder(BaseDatasetBuilder):
    train_dataset_cls = AOKVQADataset
    DATASET_CONFIG_DICT = {{"default": "configs/datasets/{name}/defaults.yaml"}}

    def build_datasets(self):
        self.build_processors()
        source = self.config.build_info.train
        train = self.train_dataset_cls(
            vis_processor=self.vis_processors["train"],
            text_processor=self.text_processors["train"],
            vis_root=source.images,
            anno_path=source.annotation,
            coco_anno=source.coco,
            format=self.config.format,
            sample_num=self.config.get("sample_num", None),
        )
        return {{"train": train}}
'''

_CONFIG = """{marker}
datasets:
  {name}:
    data_type: images
    build_info:
      train:
        annotation: {annotation}
        coco: {coco}
        images: {images}
"""

_ENTRY = """datasets:
  {name}:
    vis_processor:
      train:
        name: "blip2_image_train"
        image_size: 224
    text_processor:
      train:
        name: "blip_caption"
    format: "{text_format}"
    sample_ratio: {ratio}
"""


def builder_text(name: str) -> str:
    """The Python file that registers the data set."""
    return _BUILDER.format(name=name, marker=MARKER)


def config_text(name: str, annotation: str, coco: str, images: str) -> str:
    """The data set's config, which names its files."""
    # a JSON string is valid YAML, whatever quotes, colons or backslashes the path holds
    places = {"annotation": annotation, "coco": coco, "images": images}
    quoted = {key: json.dumps(path, ensure_ascii=False) for key, path in places.items()}
    return _CONFIG.format(name=name, marker=MARKER, **quoted)


def entry_text(name: str, text_format: str, ratio: int) -> str:
    """The data set's entry for the config of a training."""
    return _ENTRY.format(name=name, text_format=text_format, ratio=ratio)


def config_place(name: str) -> Path:
    """Where MiniGPT-4 looks for the data set's config, below its `minigpt4` folder and below an export."""
    return Path("configs", "datasets", name, "defaults.yaml")


def config_file(job: ExportJob) -> Path:
    """The data set's config in an export."""
    return job.output / config_place(job.name)


def builder_file(folder: Path, name: str) -> Path:
    """The data set's builder in an export or in `minigpt4/datasets/builders`."""
    return folder / f"{name}_builder.py"
