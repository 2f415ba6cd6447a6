"""Tests of images/copies.py and images/perceptual_hash.py: which copies are found, which other images are not."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from project import COCO_MINI, PROJECT_ROOT

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images import copies
from dataengine_lib.images.copies import CopyFinder
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.perceptual_hash import candidate_hashes, evaluation_hashes

Change = Callable[[Image.Image], Image.Image]


def cut(image: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    width, height = int(image.width * share), int(image.height * share)
    left, top = int((image.width - width) * x), int((image.height - height) * y)
    return image.crop((left, top, left + width, top + height))


def test_hashes_are_those_of_imagehash() -> None:
    """Those of an image, mirrored and turned, are the first ones; what shows hardly anything has none."""
    for file in sorted((PROJECT_ROOT / "data_demo").rglob("*.jpg"))[:3]:
        image = Image.open(file)
        gray = image.convert("L")
        gray.thumbnail((128, 128), Image.Resampling.BILINEAR)
        small = gray.resize((64, 64), Image.Resampling.BILINEAR)
        turned = [small, *(small.transpose(turn) for turn in Image.Transpose)]
        expected = [np.packbits(imagehash.phash(one, hash_size=16).hash).view(np.uint64) for one in turned]
        found = candidate_hashes(image)
        assert found.dtype == np.uint64 and found.shape[1] == 4 and len(found) > 20
        assert {tuple(row) for row in found[: len(turned)]} == {tuple(row) for row in np.stack(expected)}
        assert (evaluation_hashes(image)[0] == expected[0]).all()
    assert candidate_hashes(Image.new("RGB", (90, 60), "gray")).shape == (0, 4)


CHANGES: dict[str, Change] = {
    "saved once more": lambda image: image,
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned by 5 degrees": lambda image: image.rotate(5, Image.Resampling.BICUBIC),
    "turned by 10 degrees": lambda image: image.rotate(-10, Image.Resampling.BICUBIC),
    "gray": ImageOps.grayscale,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "cut to 95 %": lambda image: cut(image, 0.95),
    "cut at a corner": lambda image: cut(image, 0.9, 0, 0),
    "cut to 80 %": lambda image: cut(image, 0.8, 1, 1),
    "thin white frame": lambda image: ImageOps.expand(image, image.height // 20, "white"),
    "wide coloured frame": lambda image: ImageOps.expand(image, image.height // 5, (128, 30, 20)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "small": lambda image: image.resize((image.width // 4, image.height // 4)),
    "stretched": lambda image: image.resize((image.width * 4 // 3, image.height)),
    "mirrored and cut": lambda image: cut(ImageOps.mirror(image), 0.9),
}


def drawn(seed: int) -> Image.Image:
    """A picture of large and small discs, in no way symmetric."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:180, 0:240]
    pixels = np.full((180, 240, 3), rng.integers(0, 255, 3), dtype=np.uint8)
    for radius in (70, 45, 30, 25, 20, 15, 12, 10):
        inside = (x - rng.integers(0, 240)) ** 2 + (y - rng.integers(0, 180)) ** 2 < radius**2
        pixels[inside] = rng.integers(0, 255, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """12 drawn images, and 12 real photos where they are available."""
    folder = tmp_path_factory.mktemp("originals")
    paths = [folder / f"{seed}.png" for seed in range(12)]
    for seed, path in enumerate(paths):
        drawn(seed).save(path)
    return [*paths, *sorted((COCO_MINI / "train2017").glob("*.jpg"))[:12]]


@pytest.fixture(scope="module")
def finder(originals: list[Path]) -> CopyFinder:
    return CopyFinder(originals)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_with_its_original(
    finder: CopyFinder, originals: list[Path], tmp_path: Path, change: str
) -> None:
    copy = tmp_path / "copy.jpg"
    for original in originals:
        with Image.open(original) as image:
            CHANGES[change](image.convert("RGB")).convert("RGB").save(copy, quality=80)
        assert finder.original(copy) == original


def test_other_images_are_no_copies(finder: CopyFinder, tmp_path: Path) -> None:
    for seed in range(100, 140):
        drawn(seed).save(tmp_path / f"{seed}.png")
    others = [*tmp_path.glob("*.png"), *sorted((COCO_MINI / "train2017").glob("*.jpg"))[12:]]
    assert [path for path in others if finder.original(path)] == []


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="the real photos of coco_mini are not there")
def test_photos_of_the_same_kind_stay_far_apart() -> None:
    """Copies differ by 28 bits at most, other photos by 88 at least: the limit of 30 lies well between."""
    photos = [Image.open(path) for path in sorted((COCO_MINI / "train2017").glob("*.jpg"))[:30]]
    known, others = [evaluation_hashes(photo) for photo in photos[:15]], photos[15:]
    nearest = [
        min(int(np.bitwise_count(row[:, None] ^ found[None]).sum(axis=2).min()) for row in known)
        for found in map(candidate_hashes, others)
    ]
    assert min(nearest) > 60


def test_equal_bytes_are_a_copy_even_without_anything_to_see(tmp_path: Path) -> None:
    plain, copy, other = (tmp_path / name for name in ("plain.png", "copy.png", "other.png"))
    Image.new("RGB", (40, 40), "gray").save(plain)
    Image.new("RGB", (40, 40), "white").save(other)
    shutil.copy(plain, copy)
    finder = CopyFinder([plain])
    assert finder.original(copy) == plain
    # two plain areas are not taken for the same picture
    assert finder.original(other) is None
    assert evaluation_hashes(Image.open(other)).shape == (0, 4)


def test_images_that_cannot_be_read_are_no_copies_and_count_as_not_compared(
    originals: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 broken")
    finder = CopyFinder([broken, tmp_path / "missing.jpg", originals[0]])
    assert finder.compared == 1
    assert finder.original(broken) is None
    assert finder.original(tmp_path / "missing.jpg") is None


def test_hashes_are_kept_and_made_anew_for_a_changed_file(originals: list[Path], tmp_path: Path) -> None:
    cache, image = tmp_path / "hashes.npz", tmp_path / "image.png"
    drawn(500).save(image)
    first = CopyFinder(originals[:3], cache)
    assert first.original(image) is None
    first.save()
    before = cache.stat().st_mtime_ns
    second = CopyFinder(originals[:3], cache)
    assert second.original(image) is None
    second.save()
    assert cache.stat().st_mtime_ns == before  # nothing new, nothing written
    drawn(1).save(image)
    assert CopyFinder(originals[:3], cache).original(image) == originals[1]


@pytest.mark.parametrize("processes", [1, 3])
def test_many_images_are_compared_in_their_order_by_any_number_of_processes(
    originals: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(copies, "processes_on_cores", lambda: processes)
    monkeypatch.setattr(copies, "_SHARED_OUT_FROM", 2)
    pid_file = tmp_path / "pids"

    def decode(content: bytes) -> Image.Image | str:
        with pid_file.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        if content == originals[0].read_bytes():
            time.sleep(0.3)  # the first image is the last one to be hashed
        return decode_image(content)

    monkeypatch.setattr(copies, "decode_image", decode)
    cache = tmp_path / "hashes.npz"
    finder = CopyFinder(originals, cache)
    broken, missing, other = tmp_path / "broken.jpg", tmp_path / "missing.jpg", tmp_path / "other.png"
    broken.write_bytes(b"\xff\xd8 broken")
    drawn(500).save(other)
    mirrored = tmp_path / "mirrored.png"
    ImageOps.mirror(drawn(3)).save(mirrored)
    assert finder.original(mirrored) == originals[3]
    # some are known, one is named twice, two cannot be read
    asked = [originals[1], broken, mirrored, other, missing, broken, other, originals[0]]
    assert list(finder.originals(asked)) == [
        originals[1],
        None,
        originals[3],
        None,
        None,
        None,
        None,
        originals[0],
    ]
    assert len(set(pid_file.read_text().split()) - {str(os.getpid())}) == (
        0 if processes == 1 else 2 * processes
    )
    finder.save()
    with np.load(cache) as saved:
        keys = [tuple(key.split("\n")[:2]) for key in saved["keys"]]
    evaluation = [("evaluation", str(path)) for path in originals]
    assert keys == [
        *evaluation,
        *(("candidate", str(path)) for path in (mirrored, originals[1], other, originals[0])),
    ]


def test_a_process_that_is_ended_from_outside_is_one_clear_line(
    originals: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "processes_on_cores", lambda: 2)
    monkeypatch.setattr(copies, "_SHARED_OUT_FROM", 2)
    monkeypatch.setattr(copies, "decode_image", lambda content: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(
        DataEngineError, match=r"^hashing images: a process ended .* set OMP_NUM_THREADS to 1"
    ):
        CopyFinder(originals[:2])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_damaged_cache_is_made_anew(originals: list[Path], tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "hashes.npz"
    cache.write_bytes(content)
    finder = CopyFinder(originals[:2], cache)
    assert finder.original(originals[1]) == originals[1]
    finder.save()
    assert CopyFinder(originals[:2], cache).original(originals[0]) == originals[0]
