"""Tests of image files that no camera made: other formats under a picture's name, damaged files, pictures of any size."""

import io
import re
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from project import PROJECT_ROOT

from dataengine_lib.embeddings.embed_shards import encode_shards
from dataengine_lib.images.decode import (
    IMAGE_FORMATS,
    MAX_PIXELS,
    decode_image,
    header_fault,
    image_size,
    read_image,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
0 0 10 10 rectfill
showpage
%%EOF
"""


def saved(kind: str, size: tuple[int, int] = (32, 24)) -> bytes:
    """A picture of noise as a file of one of Pillow's formats."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def test_every_listed_format_is_read() -> None:
    for kind in IMAGE_FORMATS:
        found = decode_image(saved(kind))
        assert isinstance(found, Image.Image) and (found.mode, found.size) == ("RGB", (32, 24)), kind


def test_an_eps_with_a_pictures_name_starts_no_ghostscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*args: Any, **options: Any) -> None:
        pytest.fail("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    Image.init()  # as another library may do: then every plug-in is registered
    file = tmp_path / "a.jpg"
    file.write_bytes(EPS)
    why = "not an image file of a known kind (it looks like an EPS or PostScript file)"
    assert read_image(file) == f"image {file} cannot be read ({why})"
    assert decode_image(EPS) == why
    assert header_fault(file) == f"image {file} cannot be read ({why})"
    assert image_size(file) == (0, 0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", " (it looks like a HEIC photo)"),
        (b"version https://git-lfs.github.com/spec/v1\n", " (it looks like a Git LFS pointer, not the file itself; "),
        (b"\n <!DOCTYPE html><p>404", " (it looks like a web page)"),
        (b"%PDF-1.4", " (it looks like a PDF)"),
        (b"DDS |\x00\x00\x00" + bytes(120), " (it looks like a DDS texture)"),
        (b"BLP2\x01\x00\x00\x00" + bytes(40), " (it looks like a BLP texture)"),
        (b"", " (it is empty)"),
        (b"no picture", ""),
    ],
)  # fmt: skip
def test_what_a_file_is_instead(content: bytes, what: str) -> None:
    found = decode_image(content)
    assert isinstance(found, str) and found.startswith(f"not an image file of a known kind{what}")


@pytest.mark.parametrize("kind", ["PCX", "TGA", "ICO", "DDS", "JPEG2000", "SGI", "PDF"])
def test_formats_that_are_not_listed_are_not_tried(kind: str) -> None:
    Image.init()
    found = decode_image(saved(kind))
    assert isinstance(found, str) and found.startswith("not an image file of a known kind")


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_damaged_files_of_every_format_give_one_line(kind: str) -> None:
    content, random = saved(kind), np.random.default_rng(1)
    for place in [*range(0, 120, 2), *random.integers(0, len(content), 60).tolist()]:
        for damaged in (content[:place], content[:place] + b"\xff\x00\xff\xff" + content[place + 4 :]):
            found = decode_image(damaged)
            assert isinstance(found, Image.Image) or (found and "\n" not in found and len(found) < 220)


def test_a_picture_of_any_size_is_not_decoded(tmp_path: Path) -> None:
    for width, height in ((20_000, 20_000), (MAX_PIXELS // 1000 + 1, 1000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "a.png").write_bytes(png(width, height))
        found = read_image(tmp_path / "a.png")
        assert isinstance(found, str) and found.startswith(f"image {tmp_path / 'a.png'} cannot be read (")
        assert header_fault(tmp_path / "a.png") and "\n" not in found
    claimed = png(MAX_PIXELS // 1000 + 1, 1000)
    limit = "120001 x 1000 pixels, more than the 120,000,000 that are read"
    assert decode_image(claimed) == f"ValueError: {limit}"


def test_an_encoder_counts_each_file_that_cannot_be_read(tmp_path: Path) -> None:
    files = {
        "a.jpg": EPS,
        "b.avif": saved("AVIF")[:200],
        "c.dds": saved("DDS")[:60],
        "d.png": png(20_000, 20_000),
        "e.bmp": saved("BMP"),
        "f.jpg": saved("MPO"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def vectors(pixels: list[np.ndarray]) -> np.ndarray:
        return np.ones((len(pixels), 2), dtype=np.float32)

    encoder: Any = SimpleNamespace(
        prepare=np.asarray, encode_prepared=vectors, parameters=0, batches_at_once=2
    )
    shards = {0: [(number, name) for number, name in enumerate([*files, "none.jpg"])]}
    ((_, rows),) = encode_shards(shards, tmp_path, encoder, 4, lambda count: None, 2)
    assert rows.ids.tolist() == [4, 5]
    assert [row.path for row in rows.unreadable] == ["a.jpg", "b.avif", "c.dds", "d.png", "none.jpg"]
    assert rows.unreadable[-1].reason == "No such file or directory"
    assert all("\n" not in row.reason for row in rows.unreadable)


def test_images_are_opened_in_one_place() -> None:
    opens = re.compile(r"\b(?:Image|PIL)\.open\(|\bimread\(|\bimageio\b|\bload_image\(\s*[\"']")
    library = PROJECT_ROOT / "dataengine_lib"
    found = [file for file in sorted(library.rglob("*.py")) if opens.search(file.read_text(encoding="utf-8"))]
    assert [file.relative_to(library).as_posix() for file in found] == ["images/decode.py"]
