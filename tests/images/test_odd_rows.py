"""Tests of odd rows in a pool's annotation files: left out and counted, the others are read; too many stop the step."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, changed, coco, four_images, write
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.annotation_rows import HARMLESS
from dataengine_lib.images.coco import read_image_list
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.images.read_pool import read_pool

DOG = NamedBox("dog", (0.1, 0.2, 0.4, 0.6))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def no_box(content: Any) -> None:
    del content["annotations"][5]["bbox"]


def setting(place: int, **fields: Any) -> Callable[[Any], None]:
    return lambda content: content["annotations"][place].update(fields)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (setting(3, bbox=[]), "unusable bbox"),
        (setting(3, bbox=None), "unusable bbox"),
        (no_box, "without bbox"),
        (setting(3, bbox=[1, 2, "wide", 4]), "unusable bbox"),
        (setting(3, bbox=[float("nan"), 2, 3, 4]), "unusable bbox"),
        (setting(3, bbox=[1, 2, 3, 4, 5]), "malformed"),
        (setting(3, image_id=None), "unusable image_id"),
        (setting(3, image_id=2**70), "unusable image_id"),
        (setting(3, image_id=-4), "unusable image_id"),
        (setting(3, category_id="dog"), "unusable category_id"),
        (lambda content: content["annotations"].insert(7, "text"), "malformed"),
        (lambda content: content["annotations"].insert(0, annotation(1, [0, 0, 9, 9], 77)), "unknown category_id"),
        (setting(3, bbox=[1, 2, 0, 4]), "box without width or height"),
        (setting(3, bbox=[1, 2, 3, -4]), "box without width or height"),
        (setting(3, image_id=99), "of an image that is not listed"),
    ],
)  # fmt: skip
def test_one_odd_annotation_is_left_out_and_counted(
    tmp_path: Path, change: Callable[[Any], None], kind: str
) -> None:
    pool = read_pool(changed(four_images(tmp_path), change))
    assert pool.ids.tolist() == [1, 2, 3, 4] and all(pool.paths)
    assert pool[0].boxes == [DOG]
    assert pool.left_out_rows == {f"annotations: {kind}": 1}
    file = tmp_path / "annotations/instances_train2017.json"
    annotations = json.loads(file.read_text())["annotations"]
    said = [line.partition("; first: ")[0] for line in pool.warnings]
    assert said == (
        []
        if kind in HARMLESS
        else [f"{file}: annotations: 1 of {len(annotations)} rows left out: {kind} (1)"]
    )
    assert read_pool(tmp_path).left_out_rows == pool.left_out_rows  # from the cache, too


@pytest.mark.parametrize("fields", [{"iscrowd": False}, {"bbox": ["10", "10", "30", "20"]}, {"image_id": "1"},
                                    {"image_id": 1.0}, {"iscrowd": None}, {"image_id": "1.0"}])  # fmt: skip
def test_other_spellings_of_a_value_are_read(tmp_path: Path, fields: dict[str, Any]) -> None:
    pool = read_pool(changed(four_images(tmp_path, boxes=1), setting(0, **fields)))
    assert pool[0].boxes == [DOG] and pool.left_out_rows == {}


def test_a_crowd_may_be_true(tmp_path: Path) -> None:
    pool = read_pool(changed(four_images(tmp_path, boxes=1), setting(0, iscrowd=True)))
    assert (pool[0].boxes, pool[0].crowds) == ([], ["dog"])


def test_a_caption_of_null_is_left_out(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        content["annotations"] += [{"image_id": 2, "caption": None}, {"image_id": 2}, {"caption": "A cat."}]
        content["annotations"] += [{"image_id": 3, "caption": f"Caption {n}."} for n in range(60)]

    pool = read_pool(changed(four_images(tmp_path), change, "captions"))
    assert pool[1].captions == ["A picture."] and len(pool[2].captions) == 61
    assert pool.left_out_rows == {
        "captions: unusable caption": 1,
        "captions: without caption": 1,
        "captions: without image_id": 1,
    }


def test_over_the_share_the_pool_is_refused_with_its_first_reasons(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        for row in content["annotations"][:3]:
            row["bbox"] = []
        del content["annotations"][3]["category_id"]

    root = changed(four_images(tmp_path), change)
    for _ in range(2):  # the second one from the cache
        with pytest.raises(DataEngineError, match=r"instances_train2017\.json: annotations: ") as caught:
            read_pool(root)
    message = str(caught.value)
    assert "annotations[0]: " in message and "annotations[3]: " in message and "\n" not in message
    assert "4 of 40 rows cannot be used" in message and "raise max_bad_share (0.05)" in message
    assert read_pool(root, max_bad_share=0.1).left_out_rows == {
        "annotations: unusable bbox": 3,
        "annotations: without category_id": 1,
    }


def test_an_image_id_beyond_64_bits_is_one_line(tmp_path: Path) -> None:
    root = changed(coco(tmp_path, {1: "a.jpg"}), lambda content: content["images"][0].update(id=2**64))
    with pytest.raises(
        DataEngineError, match=r"images: images\[0\]: image id 18446744073709551616 has"
    ) as caught:
        read_pool(root)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataEngineError, match="has more than 64 bits"):
        read_image_list(root / "annotations/instances_train2017.json", root)


def test_an_odd_image_leaves_the_others(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        rows = [{"id": 2**64, "file_name": "x.jpg"}, {"file_name": "y.jpg"}, {"id": -3, "file_name": "z.jpg"}]
        content["images"] += rows

    root = changed(four_images(tmp_path), change)
    with pytest.raises(DataEngineError, match="3 of 7 rows cannot be used"):
        read_pool(root)
    pool = read_pool(root, max_bad_share=0.5)
    assert pool.ids.tolist() == [1, 2, 3, 4] and pool[0].boxes == [DOG]
    assert pool.left_out_rows == {"images: unusable id": 2, "images: without id": 1}
    found = read_image_list(root / "annotations/instances_train2017.json", root, 0.5)
    assert found == ([(number, f"train2017/{number}.jpg") for number in range(1, 5)], pool.left_out_rows)


def test_lists_that_are_objects_and_a_compressed_file_are_read(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        for name in ("images", "annotations", "categories"):
            content[name] = {str(number): row for number, row in enumerate(content[name])}

    root = changed(four_images(tmp_path), change)
    file = root / "annotations/instances_train2017.json"
    (root / "annotations/instances_train2017.json.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    pool = read_pool(root)
    assert pool.ids.tolist() == [1, 2, 3, 4] and pool[0].boxes == [DOG] and pool.left_out_rows == {}
    assert pool.paths[0] == "train2017/1.jpg"


def test_without_categories_the_boxes_have_no_names(tmp_path: Path) -> None:
    root = coco(tmp_path, {1: "1.jpg"}, [annotation(1, [n, 0, 5, 5]) for n in range(4)])
    changed(root, lambda content: content.pop("categories"))
    with pytest.raises(DataEngineError, match=r"category_id 1 is not in `categories`; add it there"):
        read_pool(root)


def genome(root: Path, **changes: Any) -> Path:
    """A Visual Genome folder of two images, each with two regions and two objects."""
    box = {"x": 10, "y": 10, "width": 30, "height": 20}
    thing = {"x": 10, "y": 10, "w": 30, "h": 20, "names": ["dog"]}
    content = {
        "image_data": [{"image_id": n, "width": 100, "height": 50, "url": f"http://x/VG_100K/{n}.jpg"} for n in (1, 2)],
        "region_descriptions": [{"id": n, "regions": [{"phrase": f"{n} a", **box}, {"phrase": f"{n} b", **box}]}
                                for n in (1, 2)],
        "objects": [{"image_id": n, "objects": [dict(thing), dict(thing, x=50)]} for n in (1, 2)],
    }  # fmt: skip
    for name, change in changes.items():
        change(content[name])
    for name, rows in content.items():
        write(root / f"{name}.json", rows)
    for number in (1, 2):
        (root / "VG_100K").mkdir(exist_ok=True)
        Image.new("RGB", (100, 50)).save(root / f"VG_100K/{number}.jpg")
    return root


def test_objects_of_an_image_without_a_size_are_left_out(tmp_path: Path) -> None:
    root = genome(tmp_path, image_data=lambda rows: [rows[0].pop(key) for key in ("width", "height")])
    pool = read_pool(root)
    assert pool[0].boxes == [] and pool[0].captions == ["1 a", "1 b"] and pool.regions(1) == []
    assert [box.xyxy for box in pool[1].boxes] == [(0.1, 0.2, 0.4, 0.6), (0.5, 0.2, 0.8, 0.6)]
    assert pool.left_out_rows == {"objects: box in an image without width and height": 2}


@pytest.mark.parametrize("size", [{"width": 0}, {"height": None}, {"width": -5}])
def test_an_image_with_half_a_size_has_none(tmp_path: Path, size: dict[str, Any]) -> None:
    pool = read_pool(genome(tmp_path, image_data=lambda rows: rows[0].update(size)))
    assert pool[0].boxes == [] and len(pool[1].boxes) == 2


def test_an_odd_region_or_object_leaves_the_others(tmp_path: Path) -> None:
    def many(rows: Any) -> None:
        rows[1]["regions"] += [dict(rows[1]["regions"][0], phrase=f"more {n}") for n in range(50)]
        rows[0]["regions"][0]["phrase"] = None

    def odd(rows: Any) -> None:
        rows[0]["objects"][0]["w"] = "wide"
        rows.append({"image_id": 77, "objects": [dict(rows[1]["objects"][0])]})

    pool = read_pool(genome(tmp_path, region_descriptions=many, objects=odd))
    assert pool[0].captions == ["1 b"] and len(pool[0].boxes) == 1 and len(pool[1].boxes) == 2
    assert pool.left_out_rows == {
        "objects: of an image that is not listed": 1,
        "objects: unusable w": 1,
        "regions: unusable phrase": 1,
    }


@pytest.mark.parametrize("kind", ["metadata.jsonl", "captions.json", "metadata.csv"])
def test_an_odd_row_of_a_captioned_folder_leaves_the_others(tmp_path: Path, kind: str) -> None:
    names = [f"{number}.jpg" for number in range(30)]
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    if kind == "captions.json":
        write(tmp_path / kind, {**dict.fromkeys(names, "A dog."), "x.jpg": 5})
    elif kind == "metadata.jsonl":
        lines = [json.dumps({"file_name": name, "text": "A dog."}) for name in names]
        (tmp_path / kind).write_text("\n".join([*lines[:9], '{"file_name": "cut', *lines[9:]]))
    else:
        rows = [f"{name},A dog.,9\n" for name in names]
        (tmp_path / kind).write_text("file_name,text,width\n" + "".join(rows) + ",A cat.,9\n")
    pool = read_pool(tmp_path)
    assert sorted(filter(None, pool.paths)) == sorted(names)
    assert list(pool.left_out_rows.values()) == [1]
    (reason,) = pool.left_out_rows
    assert re.fullmatch(rf"{re.escape(kind)}: (malformed|unusable captions|without file_name)", reason)


def test_copies_of_an_editor_are_no_captions(tmp_path: Path) -> None:
    for place in ("a", ".ipynb_checkpoints"):
        write(tmp_path / place / "metadata.jsonl", {"file_name": "1.jpg", "text": "A dog."})
        Image.new("RGB", (9, 9)).save(tmp_path / place / "1.jpg")
    assert read_pool(tmp_path).paths == ["a/1.jpg"]


def test_equal_boxes_of_unknown_categories_are_counted_as_rows(tmp_path: Path) -> None:
    extra = [annotation(1, [0, 0, 9, 9], category) for category in (77, 77, 78)]
    root = changed(four_images(tmp_path), lambda content: content["annotations"].extend(extra))
    pool = read_pool(root, max_bad_share=0.1)
    assert pool[0].boxes == [DOG]
    assert pool.left_out_rows == {"annotations: unknown category_id": 3}
