"""Tests of image pools from Visual Genome and from a folder with captions, their filters and their columns."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_folder import annotation, coco, write
from PIL import Image

from dataengine_lib.annotations.teacher import AnnotationsTeacher
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.folder_listing import OUTSIDE
from dataengine_lib.images.pool import (
    CAPTIONED_FOLDER,
    COCO,
    NO_FILE,
    NO_SIZE,
    TOO_MANY_BOXES,
    VISUAL_GENOME,
    NamedBox,
)
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import ImageRef
from dataengine_lib.queries.panel_images import panel_images
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE
from dataengine_lib.questions.question_sets import QuestionSet


def picture(file: Path, size: tuple[int, int] = (100, 50)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(file)


def region(image_id: int, phrase: str, width: int, height: int) -> dict:
    return {"region_id": 1, "image_id": image_id, "x": 3, "y": 4, "width": width, "height": height,
            "phrase": phrase}  # fmt: skip


def thing(name: str, x: int, y: int, w: int, h: int) -> dict:
    return {
        "synsets": [],
        "object_id": 1,
        "merged_object_ids": [],
        "names": [name],
        "x": x,
        "y": y,
        "w": w,
        "h": h,
    }


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    """Two images in the two folders of Visual Genome, one of them a COCO photo."""
    root = tmp_path / "vg"
    address = "https://cs.stanford.edu/people/rak248/"
    images = [
        {"image_id": 7, "url": f"{address}VG_100K_2/7.jpg", "width": 100, "height": 50, "coco_id": None},
        {"image_id": 2, "url": f"{address}VG_100K/2.jpg", "width": 80, "height": 60, "coco_id": 1234},
    ]
    regions = [
        {"id": 7, "regions": [region(7, "a bell", 4, 4), region(7, "A  clock\non a wall", 60, 40),
                              region(7, "a bell", 5, 5), region(7, " ", 9, 9)]},
        {"id": 2, "regions": [region(2, "a tree", 10, 10)]},
    ]  # fmt: skip
    write(root / "image_data.json", images)
    write(root / "region_descriptions.json", regions)
    picture(root / "VG_100K_2/7.jpg")
    picture(root / "VG_100K/2.jpg", (80, 60))
    return root


def test_visual_genome_phrases_are_captions_the_largest_region_first(genome: Path) -> None:
    pool = read_pool(genome)
    assert pool.kind == VISUAL_GENOME and pool.ids.tolist() == [2, 7]
    assert pool.paths == ["VG_100K/2.jpg", "VG_100K_2/7.jpg"]
    assert [image.captions for image in pool] == [["a tree"], ["A clock on a wall", "a bell"]]
    assert (pool[0].width, pool[0].height, pool[1].boxes) == (80, 60, [])
    assert pool.coco_ids.tolist() == [1234, -1]


def test_visual_genome_objects_are_boxes_unless_there_are_many(genome: Path) -> None:
    few = [thing("bell ", 10, 10, 30, 20), thing("bell", 10, 10, 30, 20), thing("clock", 0, 0, 100, 50)]
    many = [thing("leaf", number, 0, 5, 5) for number in range(11)]
    write(genome / "objects.json", [{"image_id": 7, "objects": few}, {"image_id": 2, "objects": many}])
    tree, clock = read_pool(genome)
    assert clock.boxes == [NamedBox("bell", (0.1, 0.2, 0.4, 0.6)), NamedBox("clock", (0.0, 0.0, 1.0, 1.0))]
    assert tree.boxes == [] and tree.skip == ""


@pytest.mark.parametrize("folder", ["images", "images/VG_100K_2", ""])
def test_visual_genome_images_in_other_folders(genome: Path, folder: str) -> None:
    (genome / folder).mkdir(parents=True, exist_ok=True)
    (genome / "VG_100K_2/7.jpg").rename(genome / folder / "7.jpg")
    assert read_pool(genome).paths[1] == str(Path(folder) / "7.jpg")


def test_a_malformed_region_is_named(genome: Path) -> None:
    write(genome / "region_descriptions.json", [{"id": 7, "regions": []}, {"id": 2, "regions": [{"x": 1}]}])
    with pytest.raises(
        DataEngineError, match=r"region_descriptions\.json: regions: row 1\.regions\[0\]: .*phrase"
    ):
        read_pool(genome)


def test_an_evaluated_coco_photo_is_left_out_of_visual_genome(genome: Path, tmp_path: Path) -> None:
    pool = QueryPool(read_pool(genome), tmp_path)
    pool.leave_out_evaluation([ImageRef(1234)], {})
    assert pool.free.tolist() == [False, True] and pool.left_out[EVALUATION_IMAGE] == 1


def test_the_id_of_a_coco_photo_is_no_id_of_visual_genome(genome: Path, tmp_path: Path) -> None:
    """The file name is COCO's number; image 2 is photo 1234, and photo 7 is none of the pool."""
    panel = {}
    for number in (7, 1234):
        picture(genome / f"panel/COCO_val2014_{number:012d}.jpg")
        rows = [{"image_path": f"COCO_val2014_{number:012d}.jpg", "question": "?", "answer": "yes"}]
        write(tmp_path / f"{number}.json", rows)
        panel[f"p{number}"] = QuestionSet(questions=tmp_path / f"{number}.json", image_root=genome / "panel")
    pool = QueryPool(read_pool(genome), genome)
    found = panel_images({"other": panel["p7"]}, genome, 0, pytest.fail)
    pool.leave_out_evaluation(found, found)
    assert len(found) == 1 and pool.free.tolist() == [True, True]
    found = panel_images({"same": panel["p1234"]}, genome, 0, pytest.fail)
    pool.leave_out_evaluation(found, found)
    assert pool.free.tolist() == [False, True]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("kind", ["captions", "COCO"])
def test_an_evaluated_coco_photo_in_another_folder_is_left_out(
    tmp_path: Path, kind: str, is_there: bool
) -> None:
    """By the number in its name; the ids of an evaluation set with images of its own mean nothing here."""
    names = [f"{number:012d}.jpg" for number in (41, 42, 43)]
    root = tmp_path / "pool"
    if kind == "COCO":
        coco(root, dict(zip((41, 42, 43), names, strict=True)))
    else:
        for name in names:
            picture(root / name)
        write(root / "captions.json", dict.fromkeys(names, "A dog."))
    pool = QueryPool(read_pool(root), tmp_path / "scored")
    ref, own = ImageRef(42, "val2014/COCO_val2014_000000000042.jpg"), ImageRef(43, "43.jpg")
    pool.leave_out_evaluation([ref, own], {ref: ref.image_path} if is_there else {})
    assert pool.free.tolist() == [True, False, True]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_a_folder_with_captions(tmp_path: Path, kind: str) -> None:
    for name in ("a.jpg", "sub/b.png", "000000000042.jpg"):
        picture(tmp_path / name)
    if kind == "jsonl":
        rows = [
            {"file_name": "a.jpg", "text": "A dog."},
            {"file_name": "a.jpg", "text": "An animal.", "label": 3},
            {"file_name": "sub/b.png", "captions": ["A cat."]},
            {"file_name": "000000000042.jpg", "caption": "A cow."},
        ]
        (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    elif kind == "csv":
        text = "file_name,text,width\na.jpg,A dog.,\na.jpg,An animal.,\nsub/b.png,A cat.,\n000000000042.jpg,A cow.,\n"
        (tmp_path / "metadata.csv").write_text(text)
    else:
        write(tmp_path / "captions.json", {"a.jpg": ["A dog.", "An animal."], "sub/b.png": "A cat.",
                                           "000000000042.jpg": "A cow."})  # fmt: skip
    pool = read_pool(tmp_path)
    assert pool.kind == CAPTIONED_FOLDER
    captions = {image.path: image.captions for image in pool}
    assert captions == {"a.jpg": ["A dog.", "An animal."], "sub/b.png": ["A cat."],
                        "000000000042.jpg": ["A cow."]}  # fmt: skip
    cow = pool.find(42)
    assert cow is not None and cow.path == "000000000042.jpg" and pool.find(41) is None
    before = dict(zip(pool.paths, pool.ids.tolist(), strict=True))
    (tmp_path / "a.jpg").unlink()
    assert read_pool(tmp_path).ids.tolist() == sorted(before.values())


def test_metadata_beside_the_images_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        picture(tmp_path / split / "1.jpg")
        (tmp_path / split / "metadata.jsonl").write_text(
            json.dumps({"file_name": "1.jpg", "text": split}) + "\n"
        )
    assert sorted((image.path, *image.captions) for image in read_pool(tmp_path)) == [
        ("test/1.jpg", "test"),
        ("train/1.jpg", "train"),
    ]


def test_one_coco_name_in_two_folders_is_an_error(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        picture(tmp_path / folder / "000000000042.jpg")
    write(tmp_path / "captions.json", {f"{f}/000000000042.jpg": "A cow." for f in ("a", "b")})
    with pytest.raises(DataEngineError, match="image id 42 stands for"):
        read_pool(tmp_path)


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/passwd", "sub/../../x.jpg"])
@pytest.mark.parametrize("warm", [False, True])
def test_a_caption_cannot_lead_outside(tmp_path: Path, name: str, warm: bool) -> None:
    picture(tmp_path / "x.jpg")
    root = tmp_path / "pool"
    picture(root / "sub/a.jpg")
    write(root / "captions.json", {"sub/a.jpg": "A dog.", name: "A secret."})
    for _ in range(1 + warm):
        pool = read_pool(root)
        assert [image.path for image in pool if image.path] == ["sub/a.jpg"]
        assert pool.skipped == {OUTSIDE: 1}


def test_a_linked_folder_is_followed_and_no_name_leads_out_of_it(tmp_path: Path) -> None:
    picture(tmp_path / "disk/deep/a.jpg")
    picture(tmp_path / "disk/b.jpg")
    root = coco(tmp_path / "pool", {1: "a.jpg", 2: "link/../b.jpg"}, folder="unused")
    (root / "train2017").symlink_to(tmp_path / "disk/deep")
    (root / "train2017/link").symlink_to(tmp_path / "disk/deep")
    assert read_pool(root).paths == ["train2017/a.jpg", ""]  # through the link, `..` would be another folder


def test_a_folder_that_is_no_pool_is_told_what_was_looked_for(tmp_path: Path) -> None:
    names = r"instances_\*\.json.*region_descriptions\.json.*metadata\.jsonl, metadata\.csv or captions\.json"
    with pytest.raises(DataEngineError, match=names):
        read_pool(tmp_path)
    write(tmp_path / "region_descriptions.json", [])
    with pytest.raises(DataEngineError, match=r"no image_data\.json"):
        read_pool(tmp_path)
    write(tmp_path / "annotations/captions_x.json", {"annotations": []})
    with pytest.raises(DataEngineError, match=r"no instances_\*\.json"):
        read_pool(tmp_path)


def test_the_filter_counts_its_reasons(tmp_path: Path) -> None:
    boxes = [annotation(2, [i, 0, 5, 5]) for i in range(11)]
    root = coco(tmp_path, {i: f"{i}.jpg" for i in range(1, 5)}, boxes)
    file = root / "annotations/captions_train2017.json"
    more = [{"image_id": i, "caption": f"{text}."} for i in (2, 3, 4) for text in ("One", "Two", "One")]
    write(file, {"annotations": more})
    (root / "train2017/4.jpg").unlink()
    assert read_pool(root).skipped == {NO_FILE: 1, TOO_MANY_BOXES: 1, "no captions": 1}
    assert read_pool(root, min_captions=0).eligible.tolist() == [0, 2]
    pool = read_pool(root, min_captions=3)
    assert pool.skipped == {NO_FILE: 1, TOO_MANY_BOXES: 1, "fewer than 3 captions": 2}
    pool = read_pool(root, min_side=50, min_captions=2)
    assert pool.ids[pool.eligible].tolist() == [3] and pool.skipped["fewer than 2 captions"] == 1
    assert read_pool(root, min_side=51).skipped["shorter side under 51 pixels"] == 1
    assert pool[1].skip == TOO_MANY_BOXES and pool[1].boxes == []


def test_a_size_missing_in_the_annotations_is_read_from_the_image(tmp_path: Path) -> None:
    picture(tmp_path / "small.jpg", (30, 400))
    picture(tmp_path / "large.jpg", (300, 400))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    write(tmp_path / "captions.json", {f"{n}.jpg": "A dog." for n in ("small", "large", "broken")})
    assert read_pool(tmp_path).skipped == {}
    pool = read_pool(tmp_path, min_side=200)
    assert [pool.paths[row] for row in pool.eligible] == ["large.jpg"]
    assert pool.skipped == {NO_SIZE: 1, "shorter side under 200 pixels": 1}


def test_the_built_in_teacher_needs_boxes(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    write(tmp_path / "captions.json", {"a.jpg": "A dog."})
    with pytest.raises(DataEngineError, match="needs boxes, which a folder of images"):
        AnnotationsTeacher(tmp_path)


def test_one_id_in_two_files_is_one_image_when_its_file_is(tmp_path: Path) -> None:
    root = coco(tmp_path, {1: "a.jpg", 2: "b.jpg"}, [annotation(1, [0, 0, 50, 25])])
    coco(root, {1: "a.jpg"}, [annotation(1, [0, 0, 10, 10])], split="few", folder="train2017")
    pool = read_pool(root)
    assert pool.kind == COCO and pool.paths == ["train2017/a.jpg", "train2017/b.jpg"]
    assert len(pool[0].boxes) == 1 and isinstance(pool.eligible, np.ndarray)
