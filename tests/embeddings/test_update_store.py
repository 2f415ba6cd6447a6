"""Tests of embedding an image folder: resume after a kill, changed files, unreadable images, imported vectors."""

import pickle
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coco_folder import coco
from PIL import Image
from project import COCO_MINI, PROJECT_ROOT
from tiny_models import save_tiny_clip

from dataengine_lib.embeddings import update_store as embedding
from dataengine_lib.embeddings.embed_on_ray import on_ray
from dataengine_lib.embeddings.encoder import Encoder, load_encoder
from dataengine_lib.embeddings.faiss_file import write_faiss
from dataengine_lib.embeddings.import_pth import import_embeddings
from dataengine_lib.embeddings.store import open_store
from dataengine_lib.errors import DataEngineError
from dataengine_lib.steps.embed import EmbedConfig, embed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for i in range(11):
        pixels = np.random.default_rng(i).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i:012d}.png")
    return root


def config(
    images: Path, clip: Path, output: Path, annotations: Path | None = None, **more: Any
) -> EmbedConfig:
    values = {"image_root": images, "annotations": annotations, "encoder": str(clip), "output": output}
    return EmbedConfig(**values, batch_size=2, device="cpu", **more)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each call of the encoder."""
    counts: list[int] = []
    original = Encoder.encode_prepared

    def counting(self: Encoder, pixels: list[np.ndarray]) -> np.ndarray:
        counts.append(len(pixels))
        return original(self, pixels)

    monkeypatch.setattr(Encoder, "encode_prepared", counting)
    return counts


def test_every_image_gets_its_own_vector(images: Path, clip: Path, tmp_path: Path) -> None:
    result = embed(config(images, clip, tmp_path / "store"))
    assert result.store.ids.tolist() == list(range(11))
    assert (result.added, result.unreadable, result.rows.tolist()) == (11, [], list(range(11)))
    encoder = load_encoder(str(clip), "cpu")
    for i in range(11):
        with Image.open(images / f"{i:012d}.png") as image:
            assert result.store.vectors[i] == pytest.approx(encoder.encode([image])[0], abs=1e-5)
    assert not (tmp_path / "store" / "parts").exists()


def test_a_second_run_encodes_nothing(images: Path, clip: Path, tmp_path: Path, encoded: list[int]) -> None:
    embed(config(images, clip, tmp_path / "store"))
    assert sum(encoded) == 11
    assert embed(config(images, clip, tmp_path / "store")).added == 0
    shutil.copytree(images, tmp_path / "copy", copy_function=shutil.copyfile)  # new times, same content
    assert embed(config(tmp_path / "copy", clip, tmp_path / "store")).added == 0
    assert sum(encoded) == 11


def test_new_and_changed_files_are_embedded_the_others_kept(
    images: Path, clip: Path, tmp_path: Path, encoded: list[int]
) -> None:
    before = np.array(embed(config(images, clip, tmp_path / "store")).store.vectors)
    Image.new("RGB", (40, 30), "red").save(images / f"{3:012d}.png")
    Image.new("RGB", (40, 30), "blue").save(images / f"{99:012d}.png")
    result = embed(config(images, clip, tmp_path / "store"))
    assert result.added == 2
    assert sum(encoded) == 13
    assert sorted(result.store.ids.tolist()) == [*range(11), 99]
    kept = [i for i in range(11) if i != 3]
    assert np.array_equal(result.store.vectors[result.rows[kept]], before[kept])
    assert not np.allclose(result.store.vectors[result.rows[3]], before[3], atol=0.01)


def test_an_interrupted_run_goes_on_when_started_again(
    images: Path, clip: Path, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_SHARD_BATCHES", 2)  # shards of 4 images
    whole = embed(config(images, clip, tmp_path / "whole")).store
    encoded.clear()
    original = embedding.write_shard

    def killed(file: Path, part: embedding.EmbeddedRows) -> None:
        if file.stem == "000002":
            raise KeyboardInterrupt
        original(file, part)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(embedding, "write_shard", killed)
        embed(config(images, clip, tmp_path / "store"))
    encoded.clear()
    result = embed(config(images, clip, tmp_path / "store"))
    assert sum(encoded) == 3
    assert np.array_equal(result.store.vectors, whole.vectors)
    assert np.array_equal(result.store.ids, whole.ids)


def test_shards_of_other_images_are_kept_too(
    images: Path, clip: Path, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_SHARD_BATCHES", 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(embedding, "write_store", killed)  # all shards done, not yet joined
        embed(config(images, clip, tmp_path / "store"))
    Image.new("RGB", (40, 30), "blue").save(images / f"{99:012d}.png")
    encoded.clear()
    assert len(embed(config(images, clip, tmp_path / "store")).store.ids) == 12
    assert sum(encoded) == 1


def test_unreadable_images_are_listed_not_fatal(images: Path, clip: Path, tmp_path: Path) -> None:
    whole = (images / f"{1:012d}.png").read_bytes()
    (images / f"{1:012d}.png").write_bytes(whole[: len(whole) // 2])
    (images / f"{2:012d}.png").write_bytes(b"")
    (images / "x.jpg").write_text("no picture")
    with pytest.raises(DataEngineError, match="3 of 12 rows cannot be used"):
        embed(config(images, clip, tmp_path / "store"))
    result = embed(config(images, clip, tmp_path / "store", max_bad_share=0.5))
    assert result.added == 0  # what could be read was kept
    (warning,) = result.warnings
    assert warning.startswith(f"{images}: 3 of 12 rows left out: image cannot be read (3); first: ")
    assert {bad.path for bad in result.unreadable} == {f"{1:012d}.png", f"{2:012d}.png", "x.jpg"}
    assert all(bad.reason for bad in result.unreadable)
    assert len(result.store.ids) == 9
    assert (result.rows < 0).sum() == 3
    (images / f"{1:012d}.png").write_bytes(whole)  # mended: the next run takes it in
    assert embed(config(images, clip, tmp_path / "store", max_bad_share=0.5)).added == 1


def test_nothing_readable_is_an_error(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match="no such image folder"):
        embed(config(tmp_path / "none", clip, tmp_path / "store"))
    (tmp_path / "images").mkdir()
    with pytest.raises(DataEngineError, match="no images found"):
        embed(config(tmp_path / "images", clip, tmp_path / "store"))
    (tmp_path / "images/a.jpg").write_text("no picture")
    for _ in range(2):  # the second run starts from the store
        with pytest.raises(DataEngineError, match=r"none of 1 images can be read; a\.jpg"):
            embed(config(tmp_path / "images", clip, tmp_path / "store"))


def test_another_encoder_is_refused(images: Path, clip: Path, tmp_path: Path) -> None:
    embed(config(images, clip, tmp_path / "store"))
    other = save_tiny_clip(tmp_path / "other", seed=1)
    with pytest.raises(DataEngineError, match="whose weights differ"):
        embed(config(images, other, tmp_path / "store"))


def test_annotations_choose_the_images(clip: Path, tmp_path: Path) -> None:
    root = coco(tmp_path / "coco", {5: "a.jpg", 3: "b.jpg"})
    Image.new("RGB", (9, 9)).save(root / "train2017/unlisted.jpg")
    file = root / "annotations/instances_train2017.json"
    assert embed(config(root, clip, tmp_path / "store", annotations=file)).store.ids.tolist() == [5, 3]


@pytest.mark.parametrize("same", [True, False])
def test_imported_vectors_are_compared_with_the_encoder(
    images: Path, clip: Path, tmp_path: Path, same: bool
) -> None:
    encoder = load_encoder(str(clip if same else save_tiny_clip(tmp_path / "other", seed=1)), "cpu")
    content = {}
    for i in range(10):  # one image is not in the file
        with Image.open(images / f"{i:012d}.png") as image:
            content[i] = torch.from_numpy(encoder.encode([image])).half()
    (tmp_path / "coco_images.pth").write_bytes(pickle.dumps(content))
    import_embeddings(tmp_path / "coco_images.pth", tmp_path / "store")
    if not same:
        with pytest.raises(DataEngineError, match="do not fit encoder"):
            embed(config(images, clip, tmp_path / "store"))
        return
    result = embed(config(images, clip, tmp_path / "store"))
    assert result.added == 1
    assert result.rows.tolist() == list(range(11))
    assert open_store(tmp_path / "store").meta.weights_sha256 == encoder.weights_sha256


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in store.iterdir()}


def test_the_dtype_is_recorded_and_two_may_share_a_store(images: Path, clip: Path, tmp_path: Path) -> None:
    full = embed(config(images, clip, tmp_path / "store")).store
    assert full.meta.dtype == "float32"
    kept = np.array(full.vectors)
    Image.new("RGB", (40, 30), "blue").save(images / f"{99:012d}.png")
    half = embed(config(images, clip, tmp_path / "store", dtype="bfloat16"))
    assert (half.added, half.store.meta.dtype) == (1, "bfloat16")
    assert np.array_equal(half.store.vectors[:11], kept)


def test_the_store_for_faiss_too(images: Path, clip: Path, tmp_path: Path) -> None:
    result = embed(config(images, clip, tmp_path / "store", faiss=tmp_path / "store.faiss"))
    assert (tmp_path / "store.faiss").read_bytes() == write_faiss(result.store, tmp_path / "x").read_bytes()


def test_a_log_stays_quiet(
    images: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = load_encoder(str(clip), "cpu")
    capsys.readouterr()
    embedding.complete_store([(1, f"{1:012d}.png")], images, encoder, tmp_path / "store")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_speed_and_time_left(
    images: Path,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encoder = load_encoder(str(clip), "cpu")
    capsys.readouterr()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    every = [(i, f"{i:012d}.png") for i in range(11)]
    embedding.complete_store(every, images, encoder, tmp_path / "store", batch_size=2)
    assert re.search(r"embedding: 100%.*11/11 \[\d\d:\d\d<\d\d:\d\d, .*image/s", capsys.readouterr().err)


def test_the_command_lists_what_cannot_be_read(images: Path, clip: Path, tmp_path: Path) -> None:
    (images / "x.jpg").write_text("no picture")
    options = ["--image-root", str(images), "--encoder", str(clip), "--output", str(tmp_path / "store")]
    done = subprocess.run(
        [sys.executable, "-c", "from dataengine_lib.cli import main; main()", "embed", *options],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT_ROOT,
    )
    assert done.stdout.splitlines() == [
        f"{tmp_path}/store: 11 images, 1 unreadable",
        "  x.jpg: not an image file of a known kind",
    ]


def test_ray_goes_on_where_a_local_run_stopped_and_makes_the_same_bytes(
    images: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_here: None
) -> None:
    monkeypatch.setattr(embedding, "_SHARD_BATCHES", 2)  # shards of 4 images
    (images / f"{1:012d}.png").write_bytes(b"")
    (images / f"{9:012d}.png").write_text("no picture")
    local = embed(config(images, clip, tmp_path / "local", max_bad_share=0.2))
    original = embedding.write_shard

    def killed(file: Path, part: embedding.EmbeddedRows) -> None:
        if file.stem == "000001":
            raise KeyboardInterrupt
        original(file, part)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(embedding, "write_shard", killed)
        embed(config(images, clip, tmp_path / "ray"))
    result = embed(config(images, clip, tmp_path / "ray", engine="ray", max_bad_share=0.2))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert [bad.path for bad in result.unreadable] == [f"{1:012d}.png", f"{9:012d}.png"]
    assert result.unreadable == local.unreadable
    assert result.added == 9


def test_a_machine_with_other_weights_is_refused(
    images: Path, clip: Path, tmp_path: Path, ray_here: None
) -> None:
    other = save_tiny_clip(tmp_path / "other", seed=1)
    engine = on_ray(partial(load_encoder, str(other), "cpu"))
    encoder = load_encoder(str(clip), "cpu")
    with pytest.raises(DataEngineError, match="other weights under this name"):
        list(engine({0: [(1, f"{1:012d}.png")]}, images, encoder, 2, lambda count: None))


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="the 80 COCO photos of ../shared/coco_mini are not here")
def test_real_photos(clip: Path, tmp_path: Path) -> None:
    result = embed(config(COCO_MINI / "train2017", clip, tmp_path / "store"))
    assert len(result.store.ids) == 80
    assert not result.unreadable
    assert np.linalg.norm(result.store.vectors, axis=1) == pytest.approx(np.ones(80), abs=1e-5)
