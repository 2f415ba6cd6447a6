"""Tests of the image pool from a COCO folder: what is read, what is left out, what is an error."""

import json
from pathlib import Path

import pytest
from coco_folder import annotation, coco
from PIL import Image
from project import COCO_MINI

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.coco import read_image_list
from dataengine_lib.images.pool import NO_CAPTIONS, NO_FILE, TOO_MANY_BOXES, NamedBox, PoolImage
from dataengine_lib.images.read_pool import read_pool


def the_image(root: Path, image_id: int = 1) -> PoolImage:
    image = read_pool(root).find(image_id)
    assert image is not None
    return image


def test_boxes_are_normalised_and_crowds_and_duplicates_dropped(tmp_path: Path) -> None:
    boxes = [
        annotation(1, [10, 10, 30, 20]),
        annotation(1, [10, 10, 30, 20]),
        annotation(1, [10, 10, 30, 20], category=2),
        annotation(1, [0, 0, 100, 50], crowd=1),
        annotation(1, [33.3333, 0, 66.6667, 60]),
    ]
    image = the_image(coco(tmp_path, {1: "a.jpg"}, boxes))
    assert image.boxes == [
        NamedBox("dog", (0.1, 0.2, 0.4, 0.6)),
        NamedBox("cat", (0.1, 0.2, 0.4, 0.6)),
        NamedBox("dog", (0.333, 0.0, 1.0, 1.0)),
    ]


def test_images_that_cannot_have_a_query_are_counted_by_reason(tmp_path: Path) -> None:
    boxes = [annotation(2, [i, 0, 5, 5]) for i in range(11)]
    boxes += [annotation(1, [i, 0, 5, 5]) for i in range(10)]
    boxes += [annotation(1, [i, 0, 5, 5], crowd=1) for i in range(5)]
    root = coco(
        tmp_path, {1: "a.jpg", 2: "b.jpg", 3: "c.jpg", 4: "d.jpg"}, boxes, {1: "One.", 2: "Two.", 4: "Four."}
    )
    (root / "train2017/d.jpg").unlink()
    pool = read_pool(root)
    assert pool.ids[pool.eligible].tolist() == [1]
    assert pool.skipped == {TOO_MANY_BOXES: 1, NO_CAPTIONS: 1, NO_FILE: 1}


def test_a_caption_is_one_line(tmp_path: Path) -> None:
    root = coco(tmp_path, {1: "a.jpg"}, captions={1: " A dog.\nObjects (name): \n- cat "})
    assert the_image(root).captions == ["A dog. Objects (name): - cat"]


@pytest.mark.parametrize("folder", ["train2017", "images", "images/train2017", "", "elsewhere"])
def test_image_folders_are_found(tmp_path: Path, folder: str) -> None:
    url = "http://images.cocodataset.org/elsewhere/" if folder == "elsewhere" else None
    image = the_image(coco(tmp_path, {1: "a.jpg"}, folder=folder, url=url))
    assert image.path == (f"{folder}/a.jpg" if folder else "a.jpg")


def test_several_splits_are_joined_in_id_order(tmp_path: Path) -> None:
    coco(tmp_path, {5: "a.jpg"}, split="val2017")
    coco(tmp_path, {7: "b.jpg", 3: "c.jpg"}, split="train2017")
    assert read_pool(tmp_path).paths == [
        "train2017/c.jpg",
        "val2017/a.jpg",
        "train2017/b.jpg",
    ]


def test_one_id_for_two_images_is_an_error(tmp_path: Path) -> None:
    coco(tmp_path, {5: "a.jpg"}, split="val2017")
    coco(tmp_path, {5: "b.jpg"}, split="train2017")
    with pytest.raises(DataEngineError, match="image id 5 stands for"):
        read_pool(tmp_path)


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/passwd", "sub/../../../x.jpg"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "x.jpg")
    with pytest.raises(DataEngineError, match="outside"):
        read_pool(hostile(tmp_path / "deep" / "pool", name))


def hostile(root: Path, name: str) -> Path:
    coco(root, {1: "a.jpg"})
    file = root / "annotations/instances_train2017.json"
    file.write_text(file.read_text().replace('"a.jpg"', json.dumps(name)))
    return root


def test_a_url_cannot_name_the_folder_above(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.jpg")
    root = coco(tmp_path / "pool", {1: "a.jpg", 2: "secret.jpg"}, url="http://x/../")
    (root / "train2017/secret.jpg").unlink()
    assert the_image(root, 2).path == ""


def test_links_that_the_user_set_are_followed(tmp_path: Path) -> None:
    """A snapshot folder in a Hugging Face cache holds links to files in another folder."""
    Image.new("RGB", (9, 9)).save(tmp_path / "blob.jpg")
    root = coco(tmp_path / "pool", {1: "a.jpg", 2: "b.jpg"})
    (root / "train2017/b.jpg").unlink()
    (root / "train2017/b.jpg").symlink_to(tmp_path / "none.jpg")
    assert the_image(root, 2).skip == NO_FILE
    (root / "train2017/b.jpg").unlink()
    (root / "train2017/b.jpg").symlink_to(tmp_path / "blob.jpg")
    assert the_image(root, 2).path == "train2017/b.jpg"


def test_missing_files_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"no instances_\*\.json"):
        read_pool(tmp_path)
    root = coco(tmp_path, {1: "a.jpg"})
    (root / "train2017/a.jpg").unlink()
    with pytest.raises(DataEngineError, match="none of the 1 annotated images"):
        read_pool(root)


def test_a_malformed_row_is_named(tmp_path: Path) -> None:
    root = coco(tmp_path, {1: "a.jpg"}, [annotation(1, [1, 2])])
    with pytest.raises(DataEngineError, match=r"instances_train2017\.json: .*annotations\[.*bbox"):
        read_pool(root)


def test_an_unknown_category_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match="category_id 9"):
        read_pool(coco(tmp_path, {1: "a.jpg"}, [annotation(1, [0, 0, 5, 5], category=9)]))


def test_image_list_for_embedding(tmp_path: Path) -> None:
    root = coco(tmp_path, {2: "a.jpg", 1: "b.jpg"})
    (root / "train2017/b.jpg").unlink()
    file = root / "annotations/instances_train2017.json"
    assert read_image_list(file, root) == ([(2, "train2017/a.jpg")], {NO_FILE: 1})
    assert read_image_list(file, root / "train2017") == ([(2, "a.jpg")], {NO_FILE: 1})


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="the 80 COCO photos of ../shared/coco_mini are not here")
def test_real_photos() -> None:
    pool = read_pool(COCO_MINI)
    raw = json.loads((COCO_MINI / "annotations/instances_train2017.json").read_text())
    names = {category["id"]: category["name"] for category in raw["categories"]}
    sizes = {image["id"]: (image["width"], image["height"]) for image in raw["images"]}
    for image in pool:
        width, height = sizes[image.id]
        seen: list[tuple] = []
        for row in raw["annotations"]:
            if row["image_id"] == image.id and not row["iscrowd"]:
                x, y, w, h = row["bbox"]
                key = (names[row["category_id"]], (x / width, y / height, (x + w) / width, (y + h) / height))
                seen += [key] if key not in seen else []
        assert (len(seen) > 10) == (image.skip == TOO_MANY_BOXES)
        if not image.skip:
            assert [box.name for box in image.boxes] == [name for name, _ in seen]
            for box, (_, exact) in zip(image.boxes, seen, strict=True):
                assert box.xyxy == pytest.approx(exact, abs=0.00051)
                assert all(0 <= value <= 1 for value in box.xyxy)
