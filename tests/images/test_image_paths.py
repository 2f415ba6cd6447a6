"""Tests of the one rule for image paths: what a name may look like, and that nothing outside the root is read."""

import json
from pathlib import Path

import pytest
from coco_folder import coco
from PIL import Image
from tiny_models import save_tiny_clip

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import inside
from dataengine_lib.core.records import Answer, Query, Question, TrainRecord
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.records import ImageFaults, export_rows
from dataengine_lib.images.folder_listing import OUTSIDE, ImageFolders
from dataengine_lib.images.pool import NO_FILE
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import image_file, image_number, image_ref, locate
from dataengine_lib.questions.reader import image_of
from dataengine_lib.report.gallery import bad_case_gallery
from dataengine_lib.steps.embed import EmbedConfig, embed
from dataengine_lib.teachers.request import CanonicalRequests
from dataengine_lib.training.row_files import read_training_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`real/` with `train/1.jpg` and `train/2.JPG`, reached through the link `pool`; `secret.jpg` beside it."""
    for name in ("real/train/1.jpg", "real/train/2.JPG", "secret.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name, "JPEG")
    (tmp_path / "pool").symlink_to("real")
    (tmp_path / "other").symlink_to("real/train")
    return tmp_path / "pool"


READ = [
    ("train/1.jpg", "train/1.jpg"),
    ("./train//1.jpg", "train/1.jpg"),
    ("train\\1.jpg", "train/1.jpg"),
    (".\\train\\..\\train\\1.jpg", "train/1.jpg"),
    ("train/1.JPG", "train/1.jpg"),
    ("train\\2.jpg", "train/2.JPG"),
    ("train/2.Jpg", "train/2.JPG"),
    ("{here}/pool/train/1.jpg", "train/1.jpg"),
    ("{here}/real/train/1.jpg", "train/1.jpg"),  # the link resolved
    ("{here}/other/1.jpg", "train/1.jpg"),  # by another link
    ("{here}/pool/train/../train/2.jpg", "train/2.JPG"),
]
OUT = [
    "../secret.jpg",
    "..\\secret.jpg",
    "train\\..\\..\\secret.jpg",
    "{here}/secret.jpg",
    "{here}/pool/../secret.jpg",
    "{here}/real-2/1.jpg",
    "/etc/passwd",
    "C:\\images\\1.jpg",
    "\\\\server\\images\\1.jpg",
]


@pytest.mark.parametrize(("name", "path"), READ)
def test_every_reader_finds_it(root: Path, name: str, path: str) -> None:
    name = name.format(here=root.parent)
    asked = {"question": "What?", "choices": ["a", "b"], "correct_choice_idx": 0}
    assert locate(image_ref(None, name), root) == path
    assert image_of(Question(image_path=name, **asked), root) == path
    assert ImageFolders(root).find(["", "images"], name) == path
    assert image_file(root, name) == root / path
    # step 3's request, step 4's and all other reports, the exports and step 5
    query = Query(image_id=1, prompt="?", question_type="x", image_path=name, attach_image=True)
    requests = CanonicalRequests("m", max_side=64, json_replies=False, image_root=root)
    assert "sha256:" in json.dumps(requests.of(query)) and "missing" not in json.dumps(requests.of(query))
    assert (
        "data:image/jpeg;base64,"
        in bad_case_gallery({"x": [Answer(image_path=name, **asked)]}, root)._repr_html_()
    )
    record = TrainRecord(image_id=1, raw_instructions="", question_type="x", image_path=name, **asked)
    assert export_rows([record], root, ImageFaults())[0].question.image_path == path


@pytest.mark.parametrize("name", OUT)
def test_a_name_that_leads_outside_is_refused_with_the_reason(root: Path, name: str) -> None:
    name = name.format(here=root.parent)
    for read in (inside, image_file, lambda root, name: locate(image_ref(None, name), root)):
        with pytest.raises(DataEngineError, match="leads outside") as caught:
            read(root, name)
        assert ("absolute path" in str(caught.value)) == (":" in name or name[0] in "/\\")
    assert ImageFolders(root).find_or_reason(["", "images"], name) == ("", OUTSIDE)
    asked = {"question": "What?", "choices": ["a", "b"], "correct_choice_idx": 0}
    page = bad_case_gallery({"x": [Answer(image_path=name, **asked)]}, root)._repr_html_()
    assert "data:image" not in page and "leads outside" in page


def test_a_backslash_may_be_part_of_a_files_name(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "a\\b.jpg")
    assert image_file(root, "a\\b.jpg") == root / "a\\b.jpg"
    assert locate(image_ref(None, "a\\b.jpg"), root) == "a\\b.jpg"
    assert ImageFolders(root).find([""], "a\\b.jpg") == "a\\b.jpg"


def test_a_missing_file_below_the_root_is_missing(root: Path) -> None:
    for name in ("train/3.jpg", f"{root}/train/3.jpg", "train\\3.jpg"):
        with pytest.raises(DataEngineError, match="image not found under"):
            locate(image_ref(None, name), root)
        assert ImageFolders(root).find_or_reason([""], name) == ("", NO_FILE)


@pytest.mark.parametrize("form", ["train2017\\{}.jpg", "{root}/train2017/{}.jpg", "{}.JPG", "images\\..\\train2017\\{}.jpg",
                                  "{root}\\train2017\\{}.JPG"])  # fmt: skip
def test_a_pools_annotations_may_write_names_in_all_these_ways(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = coco(tmp_path / "pool", {1: "0001.jpg", 2: "0002.jpg"})
    file = root / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    for row in content["images"]:
        row["file_name"] = form.format(row["file_name"].removesuffix(".jpg"), root=root)
    file.write_text(json.dumps(content))
    assert read_pool(root).paths == ["train2017/0001.jpg", "train2017/0002.jpg"]


def test_one_name_that_leads_outside_leaves_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.jpg")
    names = {1: "a.jpg", 2: "../../secret.jpg", 3: str(tmp_path / "secret.jpg"), 4: "c:\\secret.jpg"}
    root = coco(tmp_path / "pool", {1: "a.jpg"})
    for kind in ("instances", "captions"):
        file = root / f"annotations/{kind}_train2017.json"
        content = json.loads(file.read_text())
        content["images"] = [
            {"id": n, "file_name": name, "width": 9, "height": 9} for n, name in names.items()
        ]
        file.write_text(json.dumps(content))
    pool = read_pool(root)
    assert pool.paths == ["train2017/a.jpg", "", "", ""] and pool.skipped == {OUTSIDE: 3}
    (root / "train2017/a.jpg").unlink()
    with pytest.raises(DataEngineError, match=r"first: \.\./\.\./secret\.jpg, which leads outside"):
        read_pool(root)


def test_cocos_names_below_another_persons_folder_are_known(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017/000000000042.jpg").touch()
    for name in ("/mnt/data/coco/val2017/000000000042.jpg", "D:\\coco\\val2017\\000000000042.JPG"):
        assert ImageFolders(tmp_path).find(["train2017", "val2017"], name) == "val2017/000000000042.jpg"
        assert locate(image_ref(None, name), tmp_path) == "val2017/000000000042.jpg"


def test_training_rows_of_other_tools_have_absolute_paths(root: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A dog."}]
    names = [
        str(root / "train/1.jpg"),
        f"{root.parent}/other/1.jpg",
        "train\\1.jpg",
        str(root.parent / "secret.jpg"),
    ]
    file = root.parent / "train.json"
    file.write_text(json.dumps([{"id": str(n), "image": name, "conversations": turns}
                                for n, name in enumerate(names)]))  # fmt: skip
    skipped = BadRows(file, 0.5)
    rows = read_training_rows(file, root, ["QM-A"], skipped)
    assert [row.image for row in rows] == [root / "train/1.jpg"] * 3
    (row,) = skipped.rows
    assert "leads outside" in row.reason and "absolute path" in row.reason


def test_what_an_image_folder_holds_beside_images(tmp_path: Path) -> None:
    root, clip = tmp_path / "images", tmp_path / "clip"
    save_tiny_clip(clip)
    names = [
        "9.jpg",
        "sub/10.JPEG",
        "000000000042.png",
        "b.gif",
        ".ipynb_checkpoints/9-checkpoint.jpg",
        "._9.jpg",
    ]
    names += ["__MACOSX/9.jpg", "c.HEIC", "d.heic", "e.svg", "notes.txt", "sub/.ipynb_checkpoints/x.jpg"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(("jpg", "JPEG", "png", "gif")):
            Image.new("RGB", (40, 40), (len(name), 9, 9)).convert("RGB").save(root / name)
        else:
            (root / name).write_bytes(b"\x00\x00\x00\x18ftypheic")
    found = embed(EmbedConfig(image_root=root, encoder=str(clip), output=tmp_path / "store", device="cpu"))
    paths = ["000000000042.png", "9.jpg", "b.gif", "sub/10.JPEG"]
    assert [image.path for image in found.store.images] == paths
    assert found.store.ids.tolist() == [image_number(path) for path in paths]
    assert found.left_out == {
        "a format that is not read (.heic)": 2,
        "a format that is not read (.svg)": 1,
        "hidden file": 1,
        "in .ipynb_checkpoints": 2,
        "in __MACOSX": 1,
    }
