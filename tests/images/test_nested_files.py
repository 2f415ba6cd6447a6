"""Images named by their bare file names while they lie in folders below: the message says where, and its remedy works."""

import json
import shutil
from pathlib import Path

import pytest
from coco_folder import coco, write
from PIL import Image

from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.tasks import TaskSelection, select_tasks
from dataengine_lib.images.nested_files import nested_file
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import image_ref, locate
from dataengine_lib.questions.reader import read_question_file


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_pool_of_bare_names_says_where_its_images_lie(tmp_path: Path) -> None:
    root = coco(tmp_path / "pool", {number: f"dog{number}.jpg" for number in (1, 2, 3)})
    split = root / "train2017"
    (split / "a/b").mkdir(parents=True)
    for number in (2, 3):
        shutil.move(split / f"dog{number}.jpg", split / "a/b")
    pool = read_pool(root)
    assert pool.skipped == {"image file missing": 2}
    assert pool.warnings == [
        f"{root}: 2 of 3 images are not where their file names say (first: dog2.jpg, while train2017/a/b/dog2.jpg is "
        "there); write their folders into the file names, or move them"
    ]
    shutil.move(split / "dog1.jpg", split / "a/b")
    with pytest.raises(DataEngineError) as caught:
        read_pool(shutil.copytree(root, tmp_path / "all"))
    assert (
        "none of the 3 annotated images is there (first: dog1.jpg, while train2017/a/b/dog1.jpg is there); put"
        in (text := str(caught.value))
    )
    assert text.endswith("or write their folders into the file names")
    # as the message says
    file = root / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    for row in content["images"]:
        row["file_name"] = f"a/b/{row['file_name']}"
    write(file, content)
    assert read_pool(root).skipped == {} and read_pool(root).warnings == []


@pytest.mark.parametrize("name", ["metadata.jsonl", "captions.json"])
def test_a_captioned_folder_of_bare_names_says_it_too(tmp_path: Path, name: str) -> None:
    root = tmp_path / "photos"
    (root / "a").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(root / "a/1.png")
    rows = {
        "metadata.jsonl": {"file_name": "1.png", "text": "A dog."},
        "captions.json": {"1.png": ["A dog."]},
    }
    write(root / name, rows[name])
    with pytest.raises(DataEngineError, match=r"\(first: 1\.png, while a/1\.png is there\)"):
        read_pool(root)


def test_questions_of_bare_names_say_where_their_images_lie(tmp_path: Path) -> None:
    root = tmp_path / "images"
    (root / "a/b").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(root / "a/b/x.png")
    (root / "a/b/000000000007.jpg").touch()
    row = {"question": "Which?", "choices": ["a", "b"], "correct_choice_idx": 0}

    def read(path: str, folder: Path) -> int:
        file = tmp_path / "q.json"
        write(file, [row | {"image_path": path}])
        selection = TaskSelection(file, folder, "all", "", 0.05)
        return len(select_tasks(read_question_file(file, folder), selection)[0])

    with pytest.raises(DataEngineError) as caught:
        locate(image_ref(None, "x.png"), root)
    assert str(caught.value) == f"x.png: image not found under {root}, which has a/b/x.png"
    with pytest.raises(DataEngineError, match=r"image x\.png: image not found under .*check image_root"):
        read("x.png", root)
    assert read("a/b/x.png", root) == read("x.png", root / "a/b") == 1
    for ref in (image_ref(7, None), image_ref("x", None)):
        with pytest.raises(DataEngineError, match=r", which has a/b/"):
            locate(ref, root)
    with pytest.raises(DataEngineError) as caught:
        locate(image_ref(None, "gone.png"), root)
    assert str(caught.value) == f"gone.png: image not found under {root}"
    (root / "a/b/x.png").unlink()
    assert nested_file(root, ["x.png"]) == "", "listed before it was removed"
