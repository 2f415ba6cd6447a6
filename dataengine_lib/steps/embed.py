"""Step 2: embeds an image folder once, so that later runs find a bad case's neighbours without the encoder."""

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.embeddings.embed_shards import encode_shards
from dataengine_lib.embeddings.faiss_file import write_faiss
from dataengine_lib.embeddings.lazy_encoder import LazyEncoder
from dataengine_lib.embeddings.update_store import EmbedResult, complete_store
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.coco import read_image_list

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class EmbedConfig(StepConfig):
    """Parameters of `dataengine embed`."""

    image_root: Path
    """Folder with the images."""
    annotations: Path | None = None
    """instances_*.json that names the images; without it every image file found."""
    encoder: str
    """clip:ViT-B/32, clip:FILE, or a transformers CLIP, SigLIP or DINOv2 name or folder."""
    output: Path
    """The store's folder."""
    faiss: Path | None = None
    """Also write the store as a file for faiss.read_index, for search over millions of images."""
    batch_size: int = Field(64, ge=1)
    device: str = "auto"
    dtype: Dtype = "auto"
    """What the encoder computes in; auto: float16 on a GPU, else float32."""
    engine: Literal["local", "ray"] = "local"
    """ray: on the cluster that RAY_ADDRESS names, or on all of this machine."""


def embed(config: EmbedConfig) -> EmbedResult:
    """Make or complete the store at `config.output` for every image of the folder.

    Images that cannot be read are listed in the result. Raises DataEngineError when none can be read, or when another
    encoder made the store.
    """
    from dataengine_lib.embeddings.embed_on_ray import on_ray
    from dataengine_lib.embeddings.encoder import load_encoder

    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    if config.annotations is None:
        images = [(_id_of(path), path) for path in _image_files(config.image_root)]
    else:
        images = read_image_list(config.annotations, config.image_root)
    if not images:
        raise DataEngineError(f"{config.image_root}: no images found; check image_root and annotations")
    load = partial(load_encoder, config.encoder, config.device, config.dtype)
    # A store that is up to date needs no encoder, so none is loaded yet.
    encoder = LazyEncoder(config.encoder, config.device, config.dtype)
    engine = on_ray(load) if config.engine == "ray" else encode_shards
    result = complete_store(images, config.image_root, encoder, config.output, config.batch_size, engine)
    if not len(result.store.ids):
        first = result.unreadable[0]
        raise DataEngineError(
            f"{config.image_root}: none of {len(images)} images can be read; {first.path}: {first.reason}"
        )
    if config.faiss is not None:
        write_faiss(result.store, config.faiss)
    return result


def _image_files(root: Path) -> list[str]:
    """Paths of all image files in the folder and its subfolders, relative to it, sorted."""
    return sorted(
        str((Path(folder) / name).relative_to(root).as_posix())
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    )


def _id_of(path: str) -> int:
    """The number that a file name ends with (`000000370270.jpg`, `val_7.png`), else 60 bits of the path's SHA-256."""
    digits = Path(path).stem.rpartition("_")[2]
    if digits.isascii() and digits.isdigit() and len(digits) < 19:  # fits into int64
        return int(digits)
    # 15 hex digits are 60 bits, so that the number fits into int64 and is not negative.
    return int(hashlib.sha256(path.encode()).hexdigest()[:15], 16)
