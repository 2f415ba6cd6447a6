"""Step 2: embeds an image folder once, so that later runs find a bad case's neighbours without the encoder."""

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.records import ImageId
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.embeddings.embed_shards import encode_shards
from dataengine_lib.embeddings.faiss_file import write_faiss
from dataengine_lib.embeddings.lazy_encoder import LazyEncoder
from dataengine_lib.embeddings.update_store import EmbedResult, complete_store
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.coco import read_image_list
from dataengine_lib.images.references import image_number

# of files that are read as images, and of pictures in formats that are not
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm")
_OTHER_PICTURES = (
    ".heic",
    ".heif",
    ".svg",
    ".psd",
    ".jp2",
    ".jxl",
    ".raw",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
    ".eps",
)


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
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the images, or of annotations' rows, cannot be used; what was read is kept."""
    engine: Literal["local", "ray"] = "local"
    """ray: on the cluster that RAY_ADDRESS names, or on all of this machine."""


def embed(config: EmbedConfig) -> EmbedResult:
    """Make or complete the store at `config.output` for every image of the folder.

    Images that cannot be read are listed in the result, others that were left out are counted in it. Raises
    DataEngineError when none can be read, too many cannot (`max_bad_share`), or another encoder made the store.
    """
    from dataengine_lib.embeddings.embed_on_ray import on_ray
    from dataengine_lib.embeddings.encoder import load_encoder

    if not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    if config.annotations is None:
        paths, left_out = _image_files(config.image_root)
        images: list[tuple[ImageId, str]] = [(image_number(path), path) for path in paths]
    else:
        images, left_out = read_image_list(config.annotations, config.image_root, config.max_bad_share)
    if not images:
        why = "".join(f"; {reason} ({count})" for reason, count in left_out.items())
        raise DataEngineError(f"{config.image_root}: no images found{why}; check image_root and annotations")
    load = partial(load_encoder, config.encoder, config.device, config.dtype)
    # A store that is up to date needs no encoder, so none is loaded yet.
    encoder = LazyEncoder(config.encoder, config.device, config.dtype)
    engine = on_ray(load) if config.engine == "ray" else encode_shards
    result = complete_store(images, config.image_root, encoder, config.output, config.batch_size, engine)
    result.left_out = left_out
    if not len(result.store.ids):
        first = result.unreadable[0]
        raise DataEngineError(
            f"{config.image_root}: none of {len(images)} images can be read; {first.path}: {first.reason}"
        )
    unreadable = BadRows(config.image_root, config.max_bad_share, len(images), keep=1)
    unreadable.add(*(BadRow(bad.path, bad.reason, "image cannot be read") for bad in result.unreadable))
    unreadable.check()
    result.warnings += unreadable.warnings()
    if config.faiss is not None:
        write_faiss(result.store, config.faiss)
    return result


def _image_files(root: Path) -> tuple[list[str], dict[str, int]]:
    """Paths of all image files in the folder and its subfolders, relative to it, sorted.

    And how many other pictures were left out, by reason: copies that programs keep in hidden folders, such as
    .ipynb_checkpoints, or beside a file (._1.jpg), and formats that are not read.
    """
    found: list[str] = []
    left_out: Counter[str] = Counter()
    for folder, _, names in os.walk(root):
        below = Path(folder).relative_to(root)
        hidden = next((part for part in below.parts if part.startswith(".") or part == "__MACOSX"), "")
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix not in (*_SUFFIXES, *_OTHER_PICTURES):
                continue
            if hidden or name.startswith("."):
                left_out[f"in {hidden}" if hidden else "hidden file"] += 1
            elif suffix in _OTHER_PICTURES:
                left_out[f"a format that is not read ({suffix})"] += 1
            else:
                found.append((below / name).as_posix())
    return sorted(found), dict(sorted(left_out.items()))
