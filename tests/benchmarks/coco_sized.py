"""Writes a folder of COCO's shape and size: annotations with polygons, captions, and empty image files.

`python tests/benchmarks/coco_sized.py FOLDER [--images N]`; the same arguments give the same bytes.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

IMAGES, BOXES, CAPTIONS = 118_287, 860_001, 591_753  # of COCO 2017's training split
_CATEGORIES = [number for number in range(1, 91) if number % 9]  # eighty, with gaps like COCO's
_BANK = 4_096  # different polygons and sentences, each used many times
_CROWDS, _REPEATED = 0.012, 0.001  # shares of all boxes
_WORDS = """
    a the two several man woman dog cat train street kitchen table plate pizza field ball red white large
    small old young sitting standing riding holding looking near beside under on with of in front
""".split()  # noqa: SIM905


def write_coco(
    folder: Path, images: int = IMAGES, boxes: int = BOXES, captions: int = CAPTIONS, seed: int = 0
) -> Path:
    """Write `annotations/{instances,captions}_train2017.json` and empty files `train2017/NNNNNNNNNNNN.jpg`.

    At full size 470 MB of instances, nine tenths of it polygons, and 95 MB of captions. Boxes are spread as unevenly
    as COCO's: a seventh of the images has more than ten, some have none.
    """
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "train2017").mkdir(exist_ok=True)
    ids = rng.permutation(np.sort(rng.choice(np.arange(1, 5 * images), images, replace=False)))
    sizes = np.where(rng.random((images, 1)) < 0.7, [[640, 480]], [[480, 640]])
    sizes = np.where(rng.random((images, 1)) < 0.3, sizes - rng.integers(0, 200, (images, 1)), sizes)
    for image_id in ids.tolist():
        (folder / f"train2017/{image_id:012d}.jpg").touch()
    rows = [
        f'{{"license": 3,"file_name": "{i:012d}.jpg","coco_url": "http://images.cocodataset.org/train2017/'
        f'{i:012d}.jpg","height": {height},"width": {width},"date_captured": "2013-11-14 11:18:45",'
        f'"flickr_url": "http://farm9.staticflickr.com/8186/{i:010d}_z.jpg","id": {i}}}'
        for i, (width, height) in zip(ids.tolist(), sizes.tolist(), strict=True)
    ]
    head = '{"info": {"description": "COCO-sized"},"licenses": [],"images": [' + ", ".join(rows) + "]"
    categories = [
        {"supercategory": f"kind {number % 12}", "id": number, "name": f"thing {number}"}
        for number in _CATEGORIES
    ]
    tail = f',"categories": {json.dumps(categories)}}}'
    _write(folder / "annotations/instances_train2017.json", head, _boxes(rng, ids, sizes, boxes), tail)
    _write(folder / "annotations/captions_train2017.json", head, _captions(rng, ids, captions), "}")
    return folder


def _write(file: Path, head: str, annotations: Iterable[str], tail: str) -> None:
    with file.open("w", encoding="ascii") as stream:
        stream.write(head + ',"annotations": [')
        for number, row in enumerate(annotations):
            stream.write(f",{row}" if number else row)
        stream.write("]" + tail)


def _boxes(rng: np.random.Generator, ids: np.ndarray, sizes: np.ndarray, count: int) -> Iterable[str]:
    share = rng.gamma(1.1, size=len(ids))
    image_rows = rng.choice(len(ids), count, p=share / share.sum())
    low, high = np.sort(rng.random((2, count, 2)), axis=0)
    corner, size = (
        np.round(low * sizes[image_rows], 2),
        np.round(np.maximum((high - low) * sizes[image_rows], 1), 2),
    )
    kinds = rng.choice(_CATEGORIES, count)
    crowd = rng.random(count) < _CROWDS
    repeated = np.flatnonzero(rng.random(count) < _REPEATED)
    repeated = repeated[repeated > 0]
    for values in (image_rows, corner, size, kinds, crowd):
        values[repeated] = values[repeated - 1]
    shapes = _polygons(rng)
    drawn = rng.integers(0, _BANK, count).tolist()
    columns = (ids[image_rows], corner, size, kinds, crowd)
    rows = zip(*(values.tolist() for values in columns), drawn, strict=True)
    for number, (image_id, (x, y), (w, h), kind, many, shape) in enumerate(rows):
        outline = f'{{"counts": {shapes[shape][1:-1]},"size": [480,640]}}' if many else shapes[shape]
        yield (
            f'{{"segmentation": {outline},"area": {w * h / 2:.4f},"iscrowd": {int(many)},"image_id": {image_id},'
            f'"bbox": [{x:g},{y:g},{w:g},{h:g}],"category_id": {kind},"id": {number + 1}}}'
        )


def _polygons(rng: np.random.Generator) -> list[str]:
    """Outlines as COCO writes them, 27 corners on average."""
    corners = rng.gamma(2.0, 11.8, _BANK).astype(int) + 3
    return [
        "[[" + ",".join(f"{value:.2f}" for value in rng.uniform(1, 640, 2 * number)) + "]]"
        for number in corners.tolist()
    ]


def _captions(rng: np.random.Generator, ids: np.ndarray, count: int) -> Iterable[str]:
    bank = [" ".join(rng.choice(_WORDS, n)).capitalize() for n in rng.integers(3, 7, _BANK).tolist()]
    of = ids[rng.permutation(count) % len(ids)].tolist()
    first, second = rng.integers(0, _BANK, (2, count)).tolist()
    for number, (image_id, a, b) in enumerate(zip(of, first, second, strict=True)):
        text = f"{bank[a]} {bank[b].lower()}."
        yield f'{{"image_id": {image_id},"id": {number + 1},"caption": "{text}"}}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    share = options.images / IMAGES
    write_coco(options.folder, options.images, round(BOXES * share), round(CAPTIONS * share))


if __name__ == "__main__":
    main()
