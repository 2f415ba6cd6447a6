"""Tests of decoding images: the student gets what a person sees when opening the same file."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataengine_lib.embeddings.embed_shards import load_image
from dataengine_lib.images.decode import decode_image, read_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def two_colours(size: tuple[int, int] = (32, 16)) -> Image.Image:
    """A picture that is red on the left and blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def read(path: Path) -> Image.Image:
    found = read_image(path)
    assert isinstance(found, Image.Image), found
    assert found.mode == "RGB"
    return found


def near(found: Any, wanted: tuple[int, int, int], most: int = 12) -> bool:
    return all(abs(a - b) <= most for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_plain_picture_keeps_every_byte(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        before = opened.convert("RGB").tobytes()
    assert read(tmp_path / name).tobytes() == before


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_exif_turns_the_picture(tmp_path: Path, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes top
    left_dark = Image.new("L", (32, 16), 0)
    left_dark.paste(255, (16, 0, 32, 16))
    left_dark.convert(mode).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = read(tmp_path / "a.jpg")
    assert found.size == (16, 32)
    assert near(found.getpixel((8, 4)), (0, 0, 0)) and near(found.getpixel((8, 28)), WHITE)


def test_a_turned_16_bit_picture_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.array([[0, 65535]], dtype=np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert list(read(tmp_path / "a.png").convert("L").tobytes()) == [255, 0]


@pytest.mark.parametrize(
    ("name", "side", "size"),
    [("a.jpg", 100, (120, 160)), ("a.jpg", 481, (480, 640)), ("a.png", 100, (640, 480))],
)
def test_a_jpeg_to_be_shown_small_is_decoded_small(
    tmp_path: Path, name: str, side: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    if name == "a.jpg":
        exif[0x0112] = 6  # a quarter clockwise: left becomes top
    two_colours((640, 480)).save(tmp_path / name, exif=exif)
    found = decode_image(tmp_path / name, side)
    assert isinstance(found, Image.Image) and found.size == size
    assert near(found.getpixel((5, 5)), RED) and near(found.getpixel((size[0] - 5, size[1] - 5)), BLUE)


@pytest.mark.parametrize("exif", [b"nonsense", b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_leaves_the_picture_as_stored(tmp_path: Path, exif: bytes) -> None:
    two_colours().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00" + exif)
    assert read(tmp_path / "a.jpg").size == (32, 16)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 257, 300, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert list(read(tmp_path / name).convert("L").tobytes()) == [0, 1, 1, 128, 255]


def test_32_bit_gray_is_scaled_by_its_own_maximum(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-5, 0, 500_000, 1_000_000]], dtype=np.int32)).save(tmp_path / "a.tif")
    assert list(read(tmp_path / "a.tif").convert("L").tobytes()) == [0, 0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    clear.paste((255, 255, 255, 255) if mode == "LA" else (255, 0, 0, 255), (4, 0, 8, 4))
    if mode == "RGB":  # one colour of a plain picture stands for transparent
        clear.convert("RGB").save(tmp_path / "a.png", transparency=(0, 0, 0))
    elif mode == "P":
        palette = Image.new("P", (8, 4), 0)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.paste(1, (4, 0, 8, 4))
        palette.save(tmp_path / "a.png", transparency=0)
    else:
        clear.convert(mode).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found.getpixel((1, 1)) == WHITE
    assert found.getpixel((6, 1)) == (WHITE if mode == "LA" else RED)


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert near(read(tmp_path / "a.png").getpixel((0, 0)), (255, 127, 127), 1)


def test_cmyk_and_gray_and_bilevel(tmp_path: Path) -> None:
    two_colours().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert near(read(tmp_path / "a.jpg").getpixel((4, 4)), RED)
    Image.new("L", (4, 4), 77).save(tmp_path / "gray.png")
    assert read(tmp_path / "gray.png").getpixel((0, 0)) == (77, 77, 77)
    Image.new("1", (4, 4), 1).save(tmp_path / "bits.png")
    assert read(tmp_path / "bits.png").getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_the_first_frame_of_an_animation(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100, **options)
    with Image.open(tmp_path / name) as opened:
        assert getattr(opened, "n_frames", 1) == 2
    assert read(tmp_path / name).getpixel((2, 2)) == RED


def test_a_photo_of_20_megapixels(tmp_path: Path) -> None:
    Image.new("RGB", (5472, 3648), BLUE).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").size == (5472, 3648)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.tif"])
def test_a_truncated_file_gives_a_reason(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, {"j": "JPEG", "p": "PNG", "g": "GIF", "t": "TIFF"}[name[2]])
    (tmp_path / name).write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    found = read_image(tmp_path / name)
    assert isinstance(found, str) and found.startswith(f"image {tmp_path / name} cannot be read (")


def test_other_files_and_decompression_bombs_give_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_text("<html>not found</html>")
    assert "not an image file of a known kind (it looks like a web page)" in str(
        read_image(tmp_path / "a.jpg")
    )
    (tmp_path / "empty.jpg").touch()
    assert "cannot be read" in str(read_image(tmp_path / "empty.jpg"))
    assert "No such file" in str(read_image(tmp_path / "none.jpg"))
    two_colours((64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    found = read_image(tmp_path / "bomb.png")
    assert isinstance(found, str) and "bomb.png cannot be read" in found and "\n" not in found


def test_the_encoder_is_shown_the_same_picture_as_the_student(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    two_colours().save(tmp_path / "a.png", exif=exif)
    shown: Any = SimpleNamespace(prepare=np.asarray)
    assert np.array_equal(
        load_image(tmp_path / "a.png", "a.png", shown)[1], np.asarray(read(tmp_path / "a.png"))
    )
