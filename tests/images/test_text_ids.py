"""Tests of image ids that are texts, as Open Images has them, through the loop: pool, store, queries, results, exports."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folder import annotation, write
from PIL import Image
from tiny_models import save_tiny_clip

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query, TrainRecord, image_id_of
from dataengine_lib.curation.near_duplicates import NearImages
from dataengine_lib.embeddings.store import open_store
from dataengine_lib.exports.export import FORMATS, export
from dataengine_lib.exports.hugging_face import read_hf
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import id_key, image_ref, locate
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries
from dataengine_lib.steps.embed import EmbedConfig, embed
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

# not in alphabetical order, and one that is a number although it is written as a text
IDS: list[int | str] = [
    "fe600639ac5f36c1",
    "000a1249af2bc5f0",
    "0cd53d3f5a1c7e0b",
    7,
    "a2",
    "b/3",
    "c4",
    "ö5",
]


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((100, 50))


def name_of(image_id: int | str) -> str:
    return f"{image_id}.jpg"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO-format pool whose ids are texts, and an encoder beside it."""
    root = tmp_path_factory.mktemp("open_images")
    images = [
        {"id": "0007" if one == 7 else one, "file_name": name_of(one), "width": 100, "height": 50}
        for one in IDS
    ]
    boxes = [{**annotation(1, [10, 10, 30, 20]), "image_id": one} for one in ("a2", "7")]
    categories = [{"id": 1, "name": "dog"}]
    write(
        root / "pool/annotations/instances_train.json",
        {"images": images, "annotations": boxes, "categories": categories},
    )
    captions = [{"image_id": one, "caption": f"Picture {one}."} for one in IDS]
    write(root / "pool/annotations/captions_train.json", {"annotations": captions})
    for seed, one in enumerate(IDS):
        file = root / "pool/train" / name_of(one)
        file.parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(file)
    save_tiny_clip(root / "clip")
    return root


def queries_of(root: Path, folder: Path, **changes: Any) -> tuple[Any, list[dict[str, Any]]]:
    asked = {"question": "Which?", "choices": ["dog", "cat", "cow", "pig"], "correct_choice_idx": 0}
    cases = [{**asked, "image_id": one, "idx": n} for n, one in enumerate(("a2", "b/3"))]
    write(folder / "bad.json", {"image_scene": cases})
    values = {
        "input": folder / "bad.json",
        "coco_dataset": root / "pool",
        "coco_embedding": folder / "store",
        "output": folder / "queries.json",
        "encoder": str(root / "clip"),
        "maxnum": 4,
        "topk": 4,
        "near_duplicate": None,
        "device": "cpu",
        **changes,
    }
    result = construct_queries(ConstructQueriesConfig(**values))
    return result, json.loads((folder / "queries.json").read_text())


@pytest.mark.parametrize(
    ("given", "found"),
    [("42", 42), ("000000370270", 370270), (42, 42), ("42.0", 42), (" 7 ", 7), ("fe60", "fe60"), ("1e5", "1e5"),
     (None, -1), ("", -1), (-5, -1), ("-1", -1), ("00099999999999999999999", "00099999999999999999999")],
)  # fmt: skip
def test_one_rule_for_ids(given: Any, found: Any) -> None:
    assert image_id_of(given) == found
    assert Query(image_id=image_id_of(given), prompt="", question_type="").image_id == found
    assert image_ref(given, None).image_id == found


def test_a_number_beyond_64_bits_is_no_id() -> None:
    with pytest.raises(ValueError, match="more than 64 bits"):
        image_id_of(2**63)
    assert image_id_of(2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="an image id of 2,000 characters"):
        image_id_of("x" * 2000)


def test_keys_of_texts_are_no_numbers() -> None:
    keys = [id_key(one) for one in IDS]
    assert len(set(keys)) == len(IDS) and keys[3] == 7
    assert all(-(2**63) <= key < -1 for one, key in zip(IDS, keys, strict=True) if isinstance(one, str))


def test_the_pool_is_in_the_files_order(root: Path) -> None:
    pool = read_pool(root / "pool")
    assert pool.ids.tolist() == IDS and [image.id for image in pool] == IDS
    assert pool.paths == [f"train/{name_of(one)}" for one in IDS]
    for one in IDS:
        image = pool.find(one)
        assert image is not None and image.captions == [f"Picture {one}."]
    assert [image.id for image in pool if image.boxes] == [7, "a2"]
    assert pool[4].boxes == [NamedBox("dog", (0.1, 0.2, 0.4, 0.6))]
    assert pool.find("none") is None and pool.find(8) is None


def test_a_text_id_names_its_file(root: Path) -> None:
    assert locate(image_ref("a2", None), root / "pool/train") == "a2.jpg"
    assert locate(image_ref("b/3", None), root / "pool/train") == "b/3.jpg"
    assert locate(image_ref("fe600639ac5f36c1.jpg", None), root / "pool/train") == "fe600639ac5f36c1.jpg"


def test_through_the_loop(root: Path, tmp_path: Path) -> None:
    # step 2: the store made beforehand is the one that is used
    annotations = root / "pool/annotations/instances_train.json"
    values = {"image_root": root / "pool", "encoder": str(root / "clip"), "device": "cpu"}
    made = embed(EmbedConfig(annotations=annotations, output=tmp_path / "store", **values))
    assert made.added == len(IDS) and made.store.ids.tolist() == [id_key(one) for one in IDS]
    stored = json.loads((tmp_path / "store/images.json").read_text())
    assert [row.get("image_id", 7) for row in stored] == IDS

    result, rows = queries_of(root, tmp_path)
    ids = [row["image_id"] for row in rows]
    assert len(rows) == 4 and set(ids) <= set(IDS) - {"a2", "b/3"}
    assert result.left_out == {EVALUATION_IMAGE: 2}
    assert all(row["image_path"] == f"train/{name_of(row['image_id'])}" for row in rows)
    assert {row["anchor_image_id"] for row in rows} <= {"a2", "b/3"}
    assert {row["anchor_image_path"] for row in rows} <= {"train/a2.jpg", "train/b/3.jpg"}
    # a later round leaves them out
    _, later = queries_of(root, tmp_path, exclude_queries=[tmp_path / "queries.json"])
    assert len(later) == 2 and not {row["image_id"] for row in later} & set(ids)

    # steps 3 and 4
    for number, row in enumerate(rows):
        row["raw_instructions"] = (
            f"Question: What is thing {number}?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
            "Answer: The answer is (B): cat.\nExplanation: It is a cat."
        )
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, rows)))
    post_process(PostProcessConfig(input=tmp_path / "results.jsonl", output=tmp_path / "train.json"))
    records = read_json(tmp_path / "train.json", list[TrainRecord])
    assert Counter(record.image_id for record in records) == Counter(ids)
    read = read_question_file(tmp_path / "train.json").questions
    assert Counter(question.image_id for question in read) == Counter(ids)

    # exports
    for name in FORMATS:
        files = export(name, records, root / "pool", tmp_path / f"export-{name}" / "data.json")
        assert files
    found = [row["image_id"] for row in read_hf(sorted((tmp_path / "export-hf").rglob("*.parquet")))]
    assert Counter(found) == Counter(map(str, ids))
    listed = json.loads(next((tmp_path / "export-minigpt4").rglob("*_images.json")).read_text())["images"]
    # MiniGPT-4's loader drops rows whose image id is text
    assert sorted(image["id"] for image in listed) == list(range(1, len(set(ids)) + 1))


def test_near_images_are_found_by_text_ids(root: Path, tmp_path: Path) -> None:
    values = {"image_root": root / "pool", "encoder": str(root / "clip"), "device": "cpu"}
    annotations = root / "pool/annotations/instances_train.json"
    embed(EmbedConfig(annotations=annotations, output=tmp_path / "store", **values))
    near = NearImages(tmp_path / "store", threshold=-1.0)
    pairs = near.pairs(IDS)
    assert set(pairs) == set(IDS) and set(pairs["a2"]) == set(IDS) - {"a2"}
    assert near.pairs(["a2", "none"]) == {}


def test_ids_of_a_bare_folder_become_those_of_its_pool(root: Path, tmp_path: Path) -> None:
    """`embed` without annotations knows paths only; step 4 looks vectors up by the pool's ids."""
    values = {"image_root": root / "pool", "encoder": str(root / "clip"), "device": "cpu"}
    embed(EmbedConfig(output=tmp_path / "store", **values))
    before = np.array(open_store(tmp_path / "store").vectors)
    result, _ = queries_of(root, tmp_path)
    after = open_store(tmp_path / "store")
    by_path = {image.path: key for image, key in zip(after.images, after.ids.tolist(), strict=True)}
    assert by_path == {f"train/{name_of(one)}": id_key(one) for one in IDS}
    assert np.array_equal(after.vectors, before) and result.unreadable == []
