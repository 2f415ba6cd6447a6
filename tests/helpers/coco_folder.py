"""COCO folders written by the tests of step 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image


def annotation(image_id: int, box: list[float], category: int = 1, crowd: int = 0) -> dict:
    polygon = (
        {"segmentation": [[1.0, 2.0, 3.0, 4.0]]}
        if not crowd
        else {"segmentation": {"counts": "x", "size": [1, 1]}}
    )
    return {"image_id": image_id, "category_id": category, "bbox": box, "iscrowd": crowd, "id": 1, **polygon}


def coco(
    root: Path,
    names: dict[int, str],
    boxes: list[dict] = (),  # type: ignore[assignment]
    captions: dict[int, str] | None = None,
    *,
    split: str = "train2017",
    folder: str | None = None,
    url: str | None = None,
) -> Path:
    """Write a COCO folder of 100x50 pictures; an image without a caption of its own gets one."""
    captions = dict.fromkeys(names, "A picture.") if captions is None else captions
    images = [{"id": i, "file_name": name, "width": 100, "height": 50, **({"coco_url": url + name} if url else {})}
              for i, name in names.items()]  # fmt: skip
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    write(
        root / f"annotations/instances_{split}.json",
        {"images": images, "annotations": list(boxes), "categories": categories},
    )
    rows = [{"image_id": i, "caption": text} for i, text in captions.items()]
    write(root / f"annotations/captions_{split}.json", {"images": images, "annotations": rows})
    for i, name in names.items():
        if ".." not in name:
            file = root / (split if folder is None else folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (100, 50), (i % 256, 100, 50)).save(file)
    return root


def write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def four_images(root: Path, boxes: int = 40) -> Path:
    """A pool of four images; the boxes are image 1's, all equal."""
    names = {number: f"{number}.jpg" for number in range(1, 5)}
    return coco(root, names, [annotation(1, [10, 10, 30, 20]) for _ in range(boxes)])


def changed(root: Path, change: Callable[[Any], object], kind: str = "instances") -> Path:
    """The folder, in which `change` has altered the content of one file of annotations."""
    file = root / f"annotations/{kind}_train2017.json"
    content = json.loads(file.read_text())
    change(content)
    write(file, content)
    return root
