"""After step 4: the training records as a data set for MiniGPT-4, as MLLM-DataEngine v1 loads it."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.records import ExportJob
from dataengine_lib.images.references import id_rank

# Source: MiniGPT-4's minigpt4/datasets/builders and MLLM-DataEngine v1's AOKVQADataset, whose arguments these are.
# Filled with str.format, for which {{ and }} stand for single braces.
_BUILDER = '''"""Makes the data set {name!r} known to MiniGPT-4.

Copy to minigpt4/datasets/builders/ and import it in the __init__.py there.
"""

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

_CONFIG = """datasets:
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


def write_minigpt4(job: ExportJob) -> list[Path]:
    """Write annotation, image list, dataset config, builder and train-config entry (sample_ratio = √N).

    The config names annotation, image list and image folder, so `bare` paths are not possible; relative ones start at
    the export's folder, in which the training then has to be started.
    Raises ParameterError for `bare` paths, DataEngineError when one image id is used for two images.
    """
    if job.paths == "bare":
        raise ParameterError("minigpt4: its config names the image folder; choose absolute or relative paths")
    output, name, paths = job.output, job.name, dict[ImageId, str]()
    for question in job.questions:
        if (
            question.image_id == UNKNOWN_IMAGE
            or paths.setdefault(question.image_id, question.image_path) != question.image_path
        ):
            raise DataEngineError(
                f"{output}: image_id {question.image_id} is not the id of one image "
                f"({question.image_path}), but MiniGPT-4 finds images by id; export the parts separately"
            )
    annotation, coco = output / f"{name}.json", output / f"{name}_images.json"
    # Its loader reads rationales[0] of every row, so a row without rationales gets an empty one.
    rows: list[dict[str, Any]] = [
        {**msgspec.structs.asdict(question), "rationales": question.rationales or [""]}
        for question in job.questions
    ]
    write_json(annotation, rows)
    write_json(coco, {"images": [{"id": key, "file_name": paths[key]} for key in sorted(paths, key=id_rank)]})
    places = {"annotation": annotation, "coco": coco, "images": job.image_root}
    # a JSON string is valid YAML, whatever quotes, colons or backslashes the path holds
    quoted = {key: json.dumps(job.written_path(path), ensure_ascii=False) for key, path in places.items()}
    # data sets mix by the square root of their sizes, as in InstructBLIP (arXiv 2305.06500)
    ratio = max(1, round(sqrt(len(rows))))
    texts = {
        config_file(job): _CONFIG.format(name=name, **quoted),
        output / f"{name}_builder.py": _BUILDER.format(name=name),
        output / "train_config_entry.yaml": _ENTRY.format(
            name=name, text_format=job.text_format, ratio=ratio
        ),
    }
    for path, text in texts.items():
        with replacing(path, "w") as stream:
            stream.write(text)
    return [annotation, coco, *texts]


def config_file(job: ExportJob) -> Path:
    """Where MiniGPT-4 looks for the data set's config."""
    return job.output / "configs" / "datasets" / job.name / "defaults.yaml"
