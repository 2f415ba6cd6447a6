"""Image pools, embeddings and pictures: what step 2 and `embed` read beside bad cases."""

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataengine_lib.embeddings.import_pth import import_embeddings
from dataengine_lib.embeddings.store import StoredImage, StoreMeta, open_store, write_store
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.images.read_pool import read_pool
from fuzzing.target import OUT, Target, pictures, write
from fuzzing.verdict import Outcome

IMAGES, BOXES = 10, 24


def _coco(folder: Path) -> None:
    pictures(folder / "images", IMAGES)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 16, "height": 12} for n in range(1, IMAGES + 1)]
    boxes = [
        {
            "id": n,
            "image_id": n % IMAGES + 1,
            "category_id": n % 2 + 1,
            "bbox": [1, 2, 3.5, 4 + n % 5],
            "iscrowd": 0,
        }
        for n in range(BOXES)
    ]
    categories = [{"id": 1, "name": "dog", "supercategory": "animal"}, {"id": 2, "name": "cat"}]
    captions = [{"id": n, "image_id": n % IMAGES + 1, "caption": f"Picture {n}."} for n in range(BOXES)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    write(folder / "annotations/instances_x.json", content)
    write(folder / "annotations/captions_x.json", {"images": images, "annotations": captions})


def _visual_genome(folder: Path) -> None:
    pictures(folder / "VG_100K", IMAGES)
    url = "https://cs.stanford.edu/people/rak248/VG_100K/"
    numbers = range(1, IMAGES + 1)
    images = [
        {"image_id": n, "url": f"{url}{n}.jpg", "width": 16, "height": 12, "coco_id": n + 50} for n in numbers
    ]
    box = {"x": 1, "y": 2, "width": 5, "height": 6}
    regions = [
        {
            "id": n,
            "regions": [{"region_id": m, "image_id": n, "phrase": f"thing {m}", **box} for m in range(3)],
        }
        for n in numbers
    ]
    objects = [
        {
            "image_id": n,
            "objects": [
                {"object_id": m, "names": ["bell"], "x": m, "y": 2, "w": 5, "h": 6} for m in range(2)
            ],
        }
        for n in numbers
    ]
    write(folder / "image_data.json", images)
    write(folder / "region_descriptions.json", regions)
    write(folder / "objects.json", objects)


def _captioned(file: str, folder: Path) -> None:
    pictures(folder, IMAGES)
    rows = [(f"{n % IMAGES + 1}.jpg", f"Picture {n}.") for n in range(BOXES)]
    if file == "captions.json":
        found: dict[str, list[str]] = {}
        for name, text in rows:
            found.setdefault(name, []).append(text)
        write(folder / file, found)
    elif file == "metadata.jsonl":
        write(folder / file, [{"file_name": name, "text": text} for name, text in rows], lines=True)
    else:
        (folder / file).write_text("file_name,text\n" + "".join(f"{name},{text}\n" for name, text in rows))


def _pool(folder: Path) -> Outcome:
    pool = read_pool(folder)
    usable = [image for image in pool if not image.skip]
    parts = sum(bool(image.captions) + bool(image.boxes) for image in usable)
    left_out = [f"{count} images left out: {why}" for why, count in pool.skipped.items() if count]
    return Outcome(len(usable) + parts, [*pool.warnings, *left_out])


def _tensors(kind: str, folder: Path) -> None:
    vectors = {n: [[float(n + m % 7 + 1) for m in range(8)]] for n in range(1, 21)}
    if kind == "pickle":
        content = pickle.dumps({n: np.array(value, dtype=np.float32) for n, value in vectors.items()})
    else:
        import torch

        stream = io.BytesIO()
        torch.save({n: torch.tensor(value) for n, value in vectors.items()}, stream)
        content = stream.getvalue()
    (folder / "coco_images.pth").write_bytes(content)


def _import(folder: Path) -> Outcome:
    return Outcome(len(import_embeddings(folder / "coco_images.pth", folder / OUT / "store").ids))


def _store(folder: Path) -> None:
    vectors = np.eye(20, dtype=np.float32)
    images = [StoredImage(f"{n}.jpg", 10, 1, "d") for n in range(20)]
    write_store(
        folder / "store", StoreMeta(encoder="tiny", weights_sha256="a"), np.arange(20), vectors, images
    )


def _open_store(folder: Path) -> Outcome:
    found = open_store(folder / "store")
    return Outcome(int(np.isfinite(found.vectors).all(axis=1).sum()))


def _picture(kind: str, folder: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).save(folder / "image", kind)


def _read_picture(folder: Path) -> Outcome:
    found = read_image(folder / "image")
    if isinstance(found, str):
        raise DataEngineError(found)  # counted rows of the steps; here it has to be one line all the same
    return Outcome(1)


def _pool_target(name: str, file: str, form: Any, make: Any) -> Target:
    # annotations of other images are usual, and an image without any is no loss; many messages name the folder
    return Target(f"pool: {name}", file, form, make, _pool, loss="whole", names="fuzz")


POOL_TARGETS = [
    _pool_target("COCO instances", "annotations/instances_x.json", "json", _coco),
    _pool_target("COCO captions", "annotations/captions_x.json", "json", _coco),
    _pool_target("Visual Genome images", "image_data.json", "json", _visual_genome),
    _pool_target("Visual Genome regions", "region_descriptions.json", "json", _visual_genome),
    _pool_target("Visual Genome objects", "objects.json", "json", _visual_genome),
    *(
        _pool_target(file, file, form, partial(_captioned, file))
        for file, form in (("metadata.jsonl", "lines"), ("metadata.csv", "csv"), ("captions.json", "json"))
    ),
    Target("embeddings: pickle", "coco_images.pth", "bytes", partial(_tensors, "pickle"), _import, loss="no"),
    Target(
        "embeddings: torch.save", "coco_images.pth", "bytes", partial(_tensors, "torch"), _import, loss="no"
    ),
    Target("store: ids.npy", "store/ids.npy", "bytes", _store, _open_store, names="store"),
    Target("store: vectors.npy", "store/vectors.npy", "bytes", _store, _open_store, loss="no", names="store"),
    Target("store: images.json", "store/images.json", "json", _store, _open_store, names="store"),
    Target("store: meta.json", "store/meta.json", "json", _store, _open_store, names="store"),
    *(
        Target(f"picture: {kind}", "image", "bytes", partial(_picture, kind), _read_picture)
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
    ),
]
