"""Does `embed` keep the model busy? 400 photo-sized JPEGs through it, against the model's own time and a plain loop.

Run by `make bench`, alone on the machine. Two random CLIPs, for two questions:

- `ViT-B/32`'s shape, the encoder that the full-size experiment uses: the whole of `embed` (reading, resizing, writing
  the store) against the model's forward passes on prepared pixels.
- `small` (24 layers of width 64, 64 pixels), where an image costs more in calls than in arithmetic. Against one image
  at a time, as in the examples of `clip` and transformers: open, `processor(image)`, `model(pixels)`.

The model gets all cores but one in all of them: here it competes with reading for them, and a small one gains nothing
by a second core. Processor time is printed too: where other programs run, it tells more than the clock.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from table.results import Row, write_result

from dataengine_lib.embeddings.encoder import Encoder, load_encoder
from dataengine_lib.embeddings.update_store import complete_store

COUNT, FEW, BATCH = 400, 192, 64  # images, images for the large model
BUSY, LOOP = 1.2, 3.0  # at most, at least


def write_photos(folder: Path) -> list[tuple[int, str]]:
    """640x480 JPEGs of about 125 kB, soft shapes under grain, as a camera's."""
    rng = np.random.default_rng(0)
    images = []
    for i in range(COUNT):
        shapes = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
        grain = rng.integers(-12, 13, (480, 640, 1))
        pixels = np.clip(np.asarray(shapes, dtype=np.int64) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:012d}.jpg", quality=90)
        images.append((i, f"{i:012d}.jpg"))
    return images


def save_clip(folder: Path, layers: int, width: int, pixels: int, patch: int) -> Path:
    """A random CLIP whose image tower has `layers` of `width`."""
    shape: dict[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": 4 * width,
    }
    vision = shape | {"num_attention_heads": width // 64, "image_size": pixels, "patch_size": patch}
    text = (
        shape
        | {"num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 50}
        | {"bos_token_id": 0, "eos_token_id": 1}
    )
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)
    transformers.CLIPModel(config).save_pretrained(folder)
    settings = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": pixels},
        "resample": 3, "do_center_crop": True, "crop_size": {"height": pixels, "width": pixels}, "do_rescale": True,
        "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def seconds(started: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Seconds by the clock, and of processors, since `started`."""
    return time.perf_counter() - started[0], time.process_time() - started[1]


def embedded(images: list[tuple[int, str]], root: Path, encoder: Encoder) -> tuple[float, float]:
    """Seconds that `embed` takes once the model is loaded."""
    with TemporaryDirectory() as store:
        started = seconds()
        result = complete_store(images, root, encoder, Path(store), BATCH)
        took = seconds(started)
        assert result.added == len(images)
    return took


def forward(images: list[tuple[int, str]], root: Path, encoder: Encoder) -> tuple[float, float]:
    """Seconds of the model alone, on prepared pixels."""
    pixels = []
    for _, path in images:
        with Image.open(root / path) as image:
            pixels.append(encoder.prepare(image))
    started = seconds()
    for start in range(0, len(pixels), BATCH):
        encoder.encode_prepared(pixels[start : start + BATCH])
    return seconds(started)


@torch.inference_mode()
def one_at_a_time(images: list[tuple[int, str]], root: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the plain loop."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    started = seconds()
    for _, path in images:
        inputs = processor(images=Image.open(root / path).convert("RGB"), return_tensors="pt")
        model.get_image_features(**inputs)
    return seconds(started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2)
    turns = range(parser.parse_args().turns)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cores = os.cpu_count() or 1
    torch.manual_seed(0)
    broken, rows = [], []
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        images = write_photos(root)

        torch.set_num_threads(max(1, cores - 1))
        encoder = load_encoder(str(save_clip(root / "b32", 12, 768, 224, 32)), "cpu")
        few = images[:FEW]
        forward(few[:BATCH], root, encoder)
        pairs = [(embedded(few, root, encoder), forward(few, root, encoder)) for _ in turns]
        (whole, busy), (model, alone) = (min(times) for times in zip(*pairs, strict=True))
        print(
            f"ViT-B/32, {torch.get_num_threads()} of {cores} cores for the model: {FEW / whole:.1f} images/s, the "
            f"model alone {FEW / model:.1f}: {whole / model:.2f} times its own time (at most {BUSY}); "
            f"{busy / FEW * 1000:.1f} and {alone / FEW * 1000:.1f} ms of processor an image"
        )
        rows.append(Row(
            "embed with ViT-B/32", f"at most {BUSY} times the model's own time", f"{FEW / whole:.1f} images/s, "
            f"{busy / FEW * 1000:.1f} ms of processor an image",
            f"the model alone on prepared pixels: {FEW / model:.1f} images/s; embed takes {whole / model:.2f} times that",
        ))  # fmt: skip
        if whole / model > BUSY:
            broken.append(f"embed takes more than {BUSY} times the model's own time")

        folder = save_clip(root / "small", 24, 64, 64, 16)
        encoder = load_encoder(str(folder), "cpu")
        pairs = [(embedded(images, root, encoder), one_at_a_time(images, root, folder)) for _ in turns]
        (whole, busy), (loop, alone) = (min(times) for times in zip(*pairs, strict=True))
        print(
            f"small model, {cores} cores: {COUNT / whole:.1f} images/s, one image at a time {COUNT / loop:.1f}: "
            f"{loop / whole:.1f} times as fast (at least {LOOP:.0f}); "
            f"{busy / COUNT * 1000:.1f} and {alone / COUNT * 1000:.1f} ms of processor an image"
        )
        rows.append(Row(
            "embed with a small model", f"at least {LOOP:.0f} times one image at a time", f"{COUNT / whole:.1f} images/s, "
            f"{busy / COUNT * 1000:.1f} ms of processor an image",
            f"processor and model, one image at a time: {COUNT / loop:.1f} images/s; {loop / whole:.1f} times as fast",
        ))  # fmt: skip
        if loop / whole < LOOP:
            broken.append(f"embed is less than {LOOP:.0f} times as fast as one image at a time")
    write_result("embed_speed", rows)
    if broken:
        sys.exit("; ".join(broken))


if __name__ == "__main__":
    main()
