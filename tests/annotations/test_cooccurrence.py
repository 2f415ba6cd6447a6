"""Wrong answers of the annotations teacher are things that the pool often shows together with those of the image."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from coco_folder import annotation, write
from PIL import Image

from dataengine_lib.annotations.cooccurrence import Cooccurrence
from dataengine_lib.images.read_pool import read_pool

KINDS = {"dog": "animal", "frisbee": "sports", "pizza": "food", "oven": "appliance", "kite": "sports"}


def pool_of(root: Path, pictures: list[str]) -> Path:
    """A COCO folder in which picture i shows one box of each of the named things."""
    ids = {name: number for number, name in enumerate(KINDS, 1)}
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 50} for i in range(len(pictures))]
    boxes = [
        annotation(i, [0, 0, 9, 9], ids[name]) for i, names in enumerate(pictures) for name in names.split()
    ]
    categories = [{"id": ids[name], "name": name, "supercategory": kind} for name, kind in KINDS.items()]
    write(
        root / "annotations/instances_x.json",
        {"images": images, "annotations": boxes, "categories": categories},
    )
    rows = [{"image_id": i, "caption": "A picture."} for i in range(len(pictures))]
    write(root / "annotations/captions_x.json", {"images": images, "annotations": rows})
    (root / "images").mkdir()
    for i in range(len(pictures)):
        Image.new("RGB", (10, 5)).save(root / f"images/{i}.jpg")
    return root


def test_images_are_counted_not_boxes(tmp_path: Path) -> None:
    pictures = ["dog dog frisbee", "dog frisbee kite", "dog", "pizza oven", ""]
    cooccurrence = Cooccurrence.of_boxes(read_pool(pool_of(tmp_path, pictures)))
    together = {(a, b): sum(a in p and b in p for p in pictures) for a in KINDS for b in KINDS}
    own = {a: together[a, a] for a in KINDS}
    expected = [[together[a, b] / (own[a] + 10) for b in KINDS] for a in KINDS]
    np.testing.assert_allclose(cooccurrence._shares, expected)


def test_counts_do_not_depend_on_the_blocks(monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pool = read_pool(pool_of(tmp_path, ["dog frisbee", "", "pizza", "dog kite frisbee", "oven"] * 5))
    whole = Cooccurrence.of_boxes(pool)._shares
    monkeypatch.setattr("dataengine_lib.annotations.cooccurrence._BLOCK", 3)
    np.testing.assert_array_equal(Cooccurrence.of_boxes(pool)._shares, whole)


def test_things_that_occur_together_are_drawn_more_often(tmp_path: Path) -> None:
    cooccurrence = Cooccurrence.of_boxes(
        read_pool(pool_of(tmp_path, ["dog frisbee"] * 30 + ["dog", "pizza", "oven"] * 10))
    )
    first = Counter(
        cooccurrence.draw(Random(n), ["frisbee", "pizza", "oven"], ["dog"], 1)[0] for n in range(500)
    )
    assert first["frisbee"] > 4 * max(first["pizza"], first["oven"]) > 0
    assert cooccurrence.draw(Random(1), {"pizza", "oven"}, ["dog"], 3) == cooccurrence.draw(
        Random(1), ["oven", "pizza"], ["dog"], 3
    )


def test_a_tiny_pool_draws_things_of_the_same_setting(tmp_path: Path) -> None:
    cooccurrence = Cooccurrence.of_boxes(read_pool(pool_of(tmp_path, ["dog"])))
    first = Counter(
        cooccurrence.draw(Random(n), ["kite", "pizza", "oven"], ["dog"], 1)[0] for n in range(600)
    )
    assert first["kite"] > first["pizza"] + first["oven"]
    assert min(first["pizza"], first["oven"]) > 20
