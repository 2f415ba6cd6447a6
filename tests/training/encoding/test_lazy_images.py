"""Step 5 reads images when batches are made: tokens are counted without pixels, and an image is decoded once a process."""

import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_families import FAMILIES, save_family
from tiny_models import save_tiny_llava
from torch.utils.data import DataLoader
from tqdm import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.students.chat_texts import chat_text
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.inputs import encode_prompts
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.encoding import image_files
from dataengine_lib.training.encoding.batches import split_inputs
from dataengine_lib.training.encoding.text_inputs import TextInputs
from dataengine_lib.training.examples import IMAGE_UNREADABLE, Example, ExampleEncoder
from dataengine_lib.training.texts import TrainingRow

SIZES = ((40, 40), (70, 30), (33, 90), (128, 100), (200, 64))
ROWS = Path("rows.json")
# what a tokenizer might merge with the tokens of an image before it
ODD = ("\n\nWhat is it?", "\nWhat?", "  What?", ": what", "<image> what </s>?")


def picture(path: Path, size: tuple[int, int], seed: int = 0) -> Path:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 255, (size[1], size[0], 3), dtype=torch.uint8, generator=generator)
    Image.fromarray(pixels.numpy()).save(path)
    return path


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")
    return load_student(str(folder), "cpu").processor


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [picture(tmp_path / f"{n}.png", size, n) for n, size in enumerate(SIZES[:4])]


@pytest.fixture
def decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line `process image` for each image that was decoded, in any process."""
    log = tmp_path / "decoded.txt"

    def read(path: Path) -> Any:
        with log.open("a") as stream:
            stream.write(f"{os.getpid()} {path.name}\n")
        return read_image(path)

    monkeypatch.setattr(image_files, "read_image", read)
    return log


def lines(log: Path) -> Counter[str]:
    found = Counter(log.read_text().splitlines()) if log.exists() else Counter[str]()
    log.unlink(missing_ok=True)
    return found


def row(image: Path | None, number: int = 0) -> TrainingRow:
    asked = f"Which colour has {'the car and ' * (number % 3)}the dog?"
    question = Question(question=asked, choices=["red", "green"], correct_choice_idx=0)
    return TrainingRow(question, image, ("QM-A",), ROWS, f"row {number}")


def made(processor: Any, rows: list[TrainingRow], **more: Any) -> tuple[ExampleEncoder, list[Example]]:
    encoder = ExampleEncoder(processor, {ROWS: BadRows(ROWS, 1, len(rows))}, **more)
    examples = encoder.make([(one, "QM-A") for one in rows], tqdm(disable=True))
    return encoder, [example for example in examples if example is not None]


def odd_row(image: Path, where: str, asked: str) -> TrainingRow:
    question = Question(question=asked, choices=["red"], correct_choice_idx=0)
    return TrainingRow(question, image, ("QM-A",), ROWS, where, conversation=((asked, "red"),))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tokens_are_counted_without_pixels_as_the_processor_gives_them(family: str, tmp_path: Path) -> None:
    """For pictures of every shape; a second picture of a size stands for the first."""
    student = load_student(str(save_family(family, tmp_path / "student")), "cpu")
    prompt, _ = chat_text(student.processor, "Which colour has the car?")
    texts = pickle.loads(pickle.dumps(TextInputs(student.processor)))
    for seed in range(2):
        for size in SIZES:
            with Image.open(picture(tmp_path / "one.png", size, seed)) as image:
                real = split_inputs(encode_prompts(student.processor, [prompt], [image]))
            counted = split_inputs(texts.encode(prompt, size))
            torch.testing.assert_close(counted.tokens, real.tokens, rtol=0, atol=0)
            assert {k: v.shape for k, v in counted.pixels.items()} == {
                k: v.shape for k, v in real.pixels.items()
            }
    rows = []
    for n, size in enumerate(SIZES):
        image = picture(tmp_path / f"{n}.png", size, n)
        rows += [row(image, n), *(odd_row(image, f"{n} {asked!r}", asked) for asked in ODD)]
    encoder, examples = made(
        student.processor, rows, encoder_decoder=is_encoder_decoder(student.model.config)
    )
    batch = encoder.batch(examples)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(example) for example in examples]
    assert (batch["labels"] >= 0).sum(dim=1).tolist() == [example.answer for example in examples]


def test_each_image_is_decoded_once_before_and_once_while_it_trains(
    processor: Any, images: list[Path], decoded: Path
) -> None:
    rows = [row(images[n % 3], n) for n in range(12)]
    encoder, examples = made(processor, rows)
    assert sorted(lines(decoded).values()) == [1, 1, 1]
    batches = [examples[:4], examples[4:8], examples[8:]]
    encoder.prepare(batches)
    kept = [encoder.batch(batch) for batch in batches]
    assert sorted(lines(decoded).values()) == [1, 1, 1]
    # without room, once for each batch that shows it
    small, _ = made(processor, rows, keep_bytes=0)
    lines(decoded)
    small.prepare(batches)
    torch.testing.assert_close([small.batch(batch) for batch in batches], kept, rtol=0, atol=0)
    assert sorted(lines(decoded).values()) == [3, 3, 3]


def test_only_images_with_a_use_to_come_are_kept(processor: Any, images: list[Path]) -> None:
    examples = made(processor, [row(images[n], n) for n in (0, 1, 0, 2, 2, 1)])[1]
    encoder, _ = made(processor, [])
    batches = [examples[:2], examples[2:5], examples[5:]]
    encoder.prepare(batches)
    encoder.batch(batches[0])
    assert encoder._kept._kept.keys() == {images[0], images[1]}
    encoder.batch(batches[1])
    assert encoder._kept._kept.keys() == {images[1]}  # 0 has had its last use, 2 both of its uses
    encoder.batch(batches[2])
    assert not encoder._kept._kept and encoder._kept._free_bytes == 2 << 30
    encoder.prepare(batches, processes=2)  # which share the memory
    encoder.batch(batches[0])
    pixels = sum(image.nbytes for image in encoder._kept._kept[images[1]].pixels.values())
    assert encoder._kept._free_bytes == (1 << 30) - 2 * pixels


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_make_the_same_batches_and_decode_what_they_show_once(
    processor: Any, images: list[Path], decoded: Path, start: str
) -> None:
    encoder, examples = made(processor, [row(None if n == 5 else images[n % 4], n) for n in range(16)])
    here = [encoder.batch(examples[n : n + 2]) for n in range(0, 16, 2)]
    lines(decoded)
    order = [[n, n + 1] for n in range(0, 16, 2)]
    # as in a training that is continued: the first batches have been made before
    encoder.prepare([examples[3:6], *([examples[n] for n in batch] for batch in order)])
    loader: Any = DataLoader(
        examples,  # type: ignore[arg-type]
        batch_sampler=order,
        collate_fn=encoder.batch,
        num_workers=2,
        multiprocessing_context=start,
    )
    torch.testing.assert_close(list(loader), here, rtol=0, atol=0)
    if start == "fork":  # a spawned process has no patched opener
        found = lines(decoded)
        assert len({line.split()[0] for line in found}) == 2 and set(found.values()) == {1}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", ["gone", "larger"])
def test_an_image_that_changes_before_its_use_is_an_error_of_one_line(
    tmp_path: Path, images: list[Path], workers: int, fault: str
) -> None:
    student = load_student(str(save_family("llava_next", tmp_path / "student")), "cpu")
    encoder, examples = made(student.processor, [row(images[0])])
    if fault == "gone":
        images[0].unlink()
    else:
        picture(images[0], (200, 64))
    loader: Any = DataLoader(examples, batch_size=1, collate_fn=encoder.batch, num_workers=workers)  # type: ignore[arg-type]
    with pytest.raises(DataEngineError) as caught:
        list(loader)
    expected = {
        "gone": f"image {images[0]} cannot be read (No such file or directory); it could be read when the step began",
        "larger": f"image {images[0]} has changed since the step began; start the step again",
    }
    assert str(caught.value) == expected[fault]


def test_a_bad_image_is_checked_once_and_counted_for_each_row(
    processor: Any, images: list[Path], decoded: Path
) -> None:
    images[1].write_bytes(images[1].read_bytes()[:200])
    skipped = BadRows(ROWS, 1, 6)
    encoder = ExampleEncoder(processor, {ROWS: skipped})
    rows = [(row(images[n % 2], n), "QM-A") for n in range(6)]
    examples = encoder.make(rows, tqdm(disable=True))  # type: ignore[arg-type]
    assert [example is None for example in examples] == [False, True] * 3
    assert skipped.counts == {IMAGE_UNREADABLE: 3} and set(lines(decoded).values()) == {1}
    strict = ExampleEncoder(processor, {ROWS: BadRows(ROWS, 0.1, 6)})
    with pytest.raises(DataEngineError, match=r"row 1: image .*1\.png cannot be read .*; 2 of 6 rows"):
        strict.make(rows, tqdm(disable=True))  # type: ignore[arg-type]


def test_examples_hold_no_tensors(processor: Any, images: list[Path]) -> None:
    encoder, examples = made(processor, [row(images[0], n) for n in range(200)])
    encoder.batch(examples[:1])
    one = len(pickle.dumps(encoder))
    for example in examples[:20]:
        encoder.batch([example])
    assert len(pickle.dumps(encoder)) == one
    assert len(pickle.dumps(examples)) / len(examples) < 1000
