"""The faults that changed files of image pools have shown, each with the right value."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, coco, write
from fuzzing.target import pictures
from fuzzing.verdict import only_line

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.read_pool import read_pool


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pool(folder: Path, **fields: Any) -> Path:
    coco(folder, {number: f"{number}.jpg" for number in range(1, 41)}, [annotation(1, [1, 2, 3, 4])] * 40)
    file = folder / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"][4].update(fields)
    write(file, content)
    return folder


@pytest.mark.parametrize("fields", [{"width": 2**64}, {"height": -(2**70)}, {"width": 10**300}])
def test_a_size_that_no_image_has_is_a_fault_of_its_row(tmp_path: Path, fields: dict[str, int]) -> None:
    found = read_pool(pool(tmp_path, **fields))
    assert len(found) == 39 and 5 not in found.ids
    (field,) = fields
    assert found.left_out_rows["images: unusable " + field] == 1


def test_a_size_of_a_captioned_folder_too(tmp_path: Path) -> None:
    pictures(tmp_path, 10)
    rows = [{"file_name": f"{number}.jpg", "text": "A dog.", "width": 16} for number in range(1, 11)]
    rows[2]["width"] = 2**80
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(read_pool(tmp_path)) == 9


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_captions_is_read_in_every_encoding(tmp_path: Path, encoding: str, packed: bool) -> None:
    pictures(tmp_path, 2)
    content = "file_name,text\r\n1.jpg,Un café.\r\n2.jpg,猫\r\n".encode(encoding)
    (tmp_path / "metadata.csv").write_bytes(gzip.compress(content) if packed else content)
    assert [image.captions for image in read_pool(tmp_path)] == [["Un café."], ["猫"]]


def test_a_coco_number_of_visual_genome_too(tmp_path: Path) -> None:
    pictures(tmp_path / "VG_100K", 4)
    images = [
        {"image_id": n, "url": f"VG_100K/{n}.jpg", "width": 16, "height": 12, "coco_id": n}
        for n in range(1, 5)
    ]
    images[3]["coco_id"] = 2**70
    write(tmp_path / "image_data.json", images)
    write(
        tmp_path / "region_descriptions.json",
        [{"id": n, "regions": [{"phrase": "a bell"}]} for n in range(1, 5)],
    )
    assert read_pool(tmp_path).ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", ["NaN", "inf", "-1e300"])
def test_a_place_that_is_no_number_is_a_fault_of_its_row(tmp_path: Path, value: str) -> None:
    file = pool(tmp_path / "coco") / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"][3]["bbox"][0] = value
    write(file, content)
    assert read_pool(tmp_path / "coco").left_out_rows == {"annotations: unusable bbox": 1}
    pictures(tmp_path / "VG_100K", 1)
    write(tmp_path / "image_data.json", [{"image_id": 1, "url": "VG_100K/1.jpg", "width": 16, "height": 12}])
    regions = [{"phrase": f"a bell {n}", "x": 1, "y": 1, "width": 2, "height": 2} for n in range(30)]
    regions[3]["width"] = value
    write(tmp_path / "region_descriptions.json", [{"id": 1, "regions": regions}])
    found = read_pool(tmp_path)
    assert len(found[0].captions) == 29 and found.left_out_rows == {"regions: unusable width": 1}


def test_boxes_without_their_key_are_not_lost_in_silence(tmp_path: Path) -> None:
    file = pool(tmp_path) / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    write(
        file,
        {
            "images": content["images"],
            "annotation": content["annotations"],
            "categories": content["categories"],
        },
    )
    with pytest.raises(DataEngineError) as error:
        read_pool(tmp_path)
    assert "has no list annotations" in only_line(error, "instances_train2017.json")


def test_boxes_that_are_all_left_out_are_a_warning(tmp_path: Path) -> None:
    file = pool(tmp_path) / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    for row in content["annotations"]:
        row["image_id"] += 1_000
    write(file, content)
    (warning,) = read_pool(tmp_path).warnings
    assert "40 of 40 rows left out: of an image that is not listed (40)" in warning


@pytest.mark.parametrize(
    ("name", "content"),
    [("metadata.csv", "file_name,text\n"), ("captions.json", "{}"), ("metadata.jsonl", "[]")],
)
def test_a_pool_that_names_no_image_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataEngineError) as error:
        read_pool(tmp_path)
    assert "names no image" in only_line(error, name)


def test_an_id_of_two_images_with_long_names_is_a_short_line(tmp_path: Path) -> None:
    file = pool(tmp_path) / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"].append({"id": 2, "file_name": "word " * 3_000})
    write(file, content)
    with pytest.raises(DataEngineError) as error:
        read_pool(tmp_path)
    assert "image id 2 stands for train2017/2.jpg and word word" in only_line(error, "pytest")
