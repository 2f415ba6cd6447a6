"""What the training stages share: drawn scenes as pixels, the learning rate, one update, saving."""

import io
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.demo_assets.tiny_models import TOWER_PIXELS, image_processor
from dataengine_lib.images.decode import decode_image
from dataengine_lib.playground.drawing.scene import draw_scene
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import PIXELS


def _draw_small(image_id: int, seed: int) -> np.ndarray:
    """A scene in the tower's size, (3, 112, 112) uint8, compressed as JPEG first like the files of the sets."""
    stream = io.BytesIO()
    # size and quality as playground/sets.py writes the files
    draw_scene(make_scene(image_id, seed), PIXELS).save(stream, "JPEG", quality=88)
    drawn = decode_image(stream.getvalue())
    assert not isinstance(drawn, str)  # it has just been written
    small = drawn.resize((TOWER_PIXELS, TOWER_PIXELS), Image.Resampling.BICUBIC)
    return np.asarray(small).transpose(2, 0, 1)


def draw_all(first: int, count: int, seed: int) -> torch.Tensor:
    """`count` scenes from image id `first` on, (count, 3, 112, 112) uint8."""
    with ProcessPoolExecutor() as workers:
        drawn = workers.map(partial(_draw_small, seed=seed), range(first, first + count), chunksize=64)
        return torch.from_numpy(np.stack(list(progress_bar(drawn, total=count, desc="drawing"))))


class Pixels:
    """Turns uint8 scenes (n, 3, 112, 112) into the model's normalised pixel values, float32 of the same shape."""

    def __init__(self) -> None:
        processor = image_processor()
        self.mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
        self.deviation = torch.tensor(processor.image_std).view(1, 3, 1, 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - self.mean) / self.deviation


def set_rate(optimizer: torch.optim.Optimizer, top: float, step: int, steps: int) -> None:
    """Set the learning rate: linear warm-up to `top` over 3 % of the steps, then a cosine down to 2 % of it."""
    warm = max(1, steps * 3 // 100)
    scale = (
        (step + 1) / warm
        if step < warm
        else 0.02 + 0.98 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))) / 2
    )
    # the same for all groups; a caller may lower a group's rate afterwards
    for group in optimizer.param_groups:
        group["lr"] = float(top * scale)


def update(
    parameters: Iterable[torch.nn.Parameter], optimizer: torch.optim.Optimizer, loss: torch.Tensor
) -> None:
    """One step of the optimizer; the gradients' norm is clipped to 1."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def save(file: Path, state: Any) -> None:
    """Write a stage's result to `file`, whole or not at all."""
    with replacing(file) as stream:
        torch.save(state, stream)
