"""Tests of the panel in step 2: its images are found below their own folder and left out of the pool."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import ImageRef
from dataengine_lib.queries.panel_images import panel_images
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.questions.question_sets import QuestionSet


def a_set(folder: Path, root: str, names: list[str]) -> QuestionSet:
    rows = [
        {"image_path": name, "question": "?", "choices": ["a", "b"], "correct_choice_idx": 0}
        for name in names
    ]
    (folder / f"{root}.json").write_text(json.dumps(rows))
    return QuestionSet(questions=folder / f"{root}.json", image_root=folder / root)


def pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        Image.new("RGB", (300, 300), "red").save(folder / name)


def test_panel_images_are_left_out_of_the_pool(tmp_path: Path) -> None:
    coco = "000000000042.jpg"
    pictures(tmp_path / "pool", ["a.jpg", "b.jpg", coco])
    lines = [json.dumps({"file_name": name, "text": "red"}) for name in ("a.jpg", "b.jpg", coco)]
    (tmp_path / "pool/metadata.jsonl").write_text("\n".join(lines))
    pictures(tmp_path / "panel", ["a.jpg", coco])
    pool = QueryPool(
        read_pool(tmp_path / "pool", min_side=1, min_captions=0, max_bad_share=0), tmp_path / "pool"
    )
    panel = {
        "other": a_set(tmp_path, "panel", ["a.jpg", coco]),
        "same": a_set(tmp_path, "pool", ["b.jpg"]),
    }
    found = panel_images(panel, pool.evaluation_root, 0, pytest.fail)
    assert found[ImageRef(-1, f"../panel/{coco}")] == f"../panel/{coco}"
    assert all((pool.evaluation_root / path).exists() for path in found.values())
    pool.leave_out_evaluation(found, found)
    free = {path for path, is_free in zip(pool.images.paths, pool.free, strict=True) if is_free}
    # a.jpg is another file of the same name; its copies are found by what they show
    assert free == {"a.jpg"}


def test_panel_images_are_found_beside_a_root_that_is_a_link(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg"]
    pictures(tmp_path / "disk/coco", names)
    lines = [json.dumps({"file_name": name, "text": "red"}) for name in names]
    (tmp_path / "disk/coco/metadata.jsonl").write_text("\n".join(lines))
    folder = tmp_path / "experiment"
    pictures(folder / "mme", ["a.jpg"])
    (folder / "coco").symlink_to(tmp_path / "disk/coco")
    pool = QueryPool(read_pool(folder / "coco", min_side=1, min_captions=0, max_bad_share=0), folder / "coco")
    panel = {"mme": a_set(folder, "mme", ["a.jpg"]), "coco": a_set(folder, "coco", ["b.jpg"])}
    found = panel_images(panel, pool.evaluation_root, 0, pytest.fail)
    files = [(pool.evaluation_root / path).resolve() for path in found.values()]
    assert files == [folder / "mme/a.jpg", tmp_path / "disk/coco/b.jpg"]
    pool.leave_out_evaluation(found, found)
    assert pool.free.tolist() == [True, False]


def test_lost_images_of_a_panel_stop_the_step(tmp_path: Path) -> None:
    pictures(tmp_path / "panel", ["a.jpg"])
    one = {"one": a_set(tmp_path, "panel", ["a.jpg", "b.jpg", "c.jpg"])}
    with pytest.raises(DataEngineError, match=r"check panel\.one"):
        panel_images(one, tmp_path, 0.05, pytest.fail)
    warned: list[str] = []
    assert len(panel_images(one, tmp_path, 1, warned.append)) == 1
    assert "panel.one" in warned[0] and "2 of 3" in warned[0]
