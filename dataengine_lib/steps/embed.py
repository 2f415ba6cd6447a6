"""Part of step 2: embed an image folder once, so that a bad case's neighbours are found without the encoder."""

import hashlib
import os
from pathlib import Path

from pydantic import Field

from dataengine_lib.data.coco import read_image_list
from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.embedding import EmbedResult, complete_store
from dataengine_lib.steps.config import StepConfig

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class EmbedConfig(StepConfig):
    """Parameters of `dataengine embed`."""

    image_root: Path  # folder with the images
    annotations: Path | None = (
        None  # instances_*.json that names the images; without it every image file found
    )
    encoder: str  # clip:ViT-B/32, or a transformers CLIP/SigLIP name or folder
    output: Path  # the store's folder
    batch_size: int = Field(64, ge=1)
    device: str = "auto"


def embed(config: EmbedConfig) -> EmbedResult:
    """Make or complete the store at `config.output` for every image of the folder."""
    from dataengine_lib.models.encoder import load_encoder

    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    if config.annotations is None:
        images = [(_id_of(path), path) for path in _walk(config.image_root)]
    else:
        images = read_image_list(config.annotations, config.image_root)
    if not images:
        raise DataEngineError(f"{config.image_root}: no images found; check image_root and annotations")
    encoder = load_encoder(config.encoder, config.device)
    result = complete_store(images, config.image_root, encoder, config.output, config.batch_size)
    if not len(result.store.ids):
        first = result.unreadable[0]
        raise DataEngineError(
            f"{config.image_root}: none of {len(images)} images can be read; {first.path}: {first.reason}"
        )
    return result


def _walk(root: Path) -> list[str]:
    return sorted(
        str((Path(folder) / name).relative_to(root).as_posix())
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(SUFFIXES)
    )


def _id_of(path: str) -> int:
    """COCO's number in the file name; for other names a stable number made from the path."""
    digits = Path(path).stem.rpartition("_")[2]
    if digits.isascii() and digits.isdigit() and len(digits) < 19:
        return int(digits)
    return int(hashlib.sha256(path.encode()).hexdigest()[:15], 16)
