"""After step 4: the training records as a data set for MiniGPT-4, as MLLM-DataEngine v1 loads it."""

from itertools import count
from math import sqrt
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.minigpt4.loader import loader_rationales, loses_rationales, name_fault
from dataengine_lib.exports.minigpt4.texts import (
    ENTRY_FILE,
    builder_file,
    builder_text,
    config_file,
    config_text,
    entry_text,
)
from dataengine_lib.exports.records import ExportJob


def write_minigpt4(job: ExportJob) -> list[Path]:
    """Write annotation, image list, dataset config, builder and train-config entry (sample_ratio = √N).

    The config names annotation, image list and image folder, so `bare` paths are not possible. Relative paths start at
    the checkout of `--into`, where train.py is started. Rationales that would make the loader drop a row are left out,
    and images without a number get one.
    Raises ParameterError for paths or a name that cannot work, DataEngineError when one image id is used for two images.
    """
    if fault := name_fault(job.name):
        raise ParameterError(f"minigpt4: {fault}")
    if job.paths == "bare":
        raise ParameterError("minigpt4: its config names the image folder; choose absolute or relative paths")
    if job.paths == "relative" and job.checkout is None:
        raise ParameterError(
            "minigpt4: train.py starts in its checkout, where relative paths of an export do not hold; choose absolute "
            "paths, or name the checkout with --into, and they start there"
        )
    output, name, paths = job.output, job.name, _image_paths(job)
    numbers = _numbers(paths)
    rows: list[dict[str, Any]] = [
        msgspec.structs.asdict(question)
        | {"image_id": numbers[question.image_id], "rationales": loader_rationales(question)}
        for question in job.questions
    ]
    if changed := sum(map(loses_rationales, job.questions)):
        job.warnings.append(
            f"minigpt4: {changed:,} of {len(rows):,} records are written without rationales that hold the word "
            '"description": its loader would drop the whole row'
        )
    annotation = write_json(output / f"{name}.json", rows)
    images = sorted((numbers[key], path) for key, path in paths.items())
    listed = [{"id": number, "file_name": path} for number, path in images]
    coco = write_json(output / f"{name}_images.json", {"images": listed})
    # data sets mix by the square root of their sizes, as in InstructBLIP (arXiv 2305.06500)
    ratio = max(1, round(sqrt(len(rows))))
    places = (job.written_path(path) for path in (annotation, coco, job.image_root))
    texts = {
        config_file(job): config_text(name, *places),
        builder_file(output, name): builder_text(name),
        output / ENTRY_FILE: entry_text(name, job.text_format, ratio),
    }
    for path, text in texts.items():
        with replacing(path, "w") as stream:
            stream.write(text)
    return [annotation, coco, *texts]


def _image_paths(job: ExportJob) -> dict[ImageId, str]:
    """The path of each image by its id."""
    paths = dict[ImageId, str]()
    for question in job.questions:
        if (
            question.image_id == UNKNOWN_IMAGE
            or paths.setdefault(question.image_id, question.image_path) != question.image_path
        ):
            raise DataEngineError(
                f"{job.output}: image_id {question.image_id} is not the id of one image "
                f"({question.image_path}), but MiniGPT-4 finds images by id; export the parts separately"
            )
    return paths


def _numbers(ids: dict[ImageId, str]) -> dict[ImageId, int]:
    """A number for each id: itself, or one that is free for a text, as the loader drops rows of images with such ids."""
    taken = {one for one in ids if isinstance(one, int)}
    free = (number for number in count(1) if number not in taken)
    return {one: one if isinstance(one, int) else next(free) for one in ids}
