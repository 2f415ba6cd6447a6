"""Step 2: prepares an image's pixels for the encoder, fast enough that the model does not wait.

Resizes and crops like the model's own processor, but with PIL alone, which releases Python's global lock, so threads
help; scaling and normalising run on the model's device for a whole batch at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

_TOLERANCE = 1e-5  # of normalised values; two neighbouring levels of the 256 are about 0.01 apart
_PROBE_SIZES = ((97, 61), (60, 131), (53, 53))  # wide, tall and square, with odd sides to test the rounding


@dataclass(frozen=True)
class Preparation:
    """Resize and crop the centre (`prepare`, uint8 `(3, h, w)`), then scale and normalise (`finish`, float32).

    `size` is the shorter edge after resizing, or (height, width), in pixels; `crop` is (height, width). `half_even`
    says how a centre between two pixels is rounded: to the even one (torchvision) or down (transformers).
    """

    size: int | tuple[int, int]
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    half_even: bool = False

    def prepare(self, image: Image.Image) -> np.ndarray:
        """One image's pixels, uint8 `(3, h, w)`."""
        width, height = image.size
        if isinstance(self.size, tuple):
            high, wide = self.size
        else:
            # size 224 makes 298 x 224 of 640 x 480 (width x height)
            short, long = self.size, int(self.size * max(image.size) / min(image.size))
            high, wide = (long, short) if width <= height else (short, long)
        image = image if image.mode == "RGB" else image.convert("RGB")  # convert would copy an RGB image
        resized = image.resize((wide, high), Image.Resampling(self.resample))
        if self.crop:
            top, left = self._start(high - self.crop[0]), self._start(wide - self.crop[1])
            resized = resized.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.array(resized).transpose(2, 0, 1)

    def _start(self, rest: int) -> int:
        # a rest of 3 pixels: 2 (half_even) or 1
        return round(rest / 2) if self.half_even else rest // 2

    def finish(self, pixels: torch.Tensor) -> torch.Tensor:
        """The model's input, float32 `(n, 3, h, w)`, from a batch of pixels, on the same device."""
        mean, std = (
            torch.tensor(part, device=pixels.device).view(-1, 1, 1) for part in (self.mean, self.std)
        )
        return pixels.float().mul_(self.scale).sub_(mean).div_(std)

    def agrees(self, processor: Callable[[Image.Image], np.ndarray]) -> bool:
        """Whether `processor`, which gives float32 `(3, h, w)`, yields the same values on three test images."""
        rng = np.random.default_rng(0)
        for width, height in _PROBE_SIZES:
            # noise, so that a difference in resizing, cropping or rounding shows
            image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            expected = processor(image)
            found = self.finish(torch.from_numpy(self.prepare(image)[None]))[0].numpy()
            if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=_TOLERANCE):
                return False
        return True


def preparation_of(settings: dict[str, Any]) -> Preparation | None:
    """The preparation that a transformers image processor's settings describe; None for settings it cannot do."""
    size, crop = settings.get("size") or {}, settings.get("crop_size") or {}
    # `prepare` and `finish` do all of these, so none of them may be switched off
    steps = ("do_resize", "do_rescale", "do_normalize", "image_mean", "image_std", "rescale_factor")
    if not all(settings.get(step) for step in steps) or settings.get("do_pad"):
        return None
    if set(size) == {"shortest_edge"}:
        shape: int | tuple[int, int] = size["shortest_edge"]
    elif set(size) == {"height", "width"}:
        shape = size["height"], size["width"]
    else:
        return None
    kept = (crop["height"], crop["width"]) if settings.get("do_center_crop") and crop else None
    smallest = shape if isinstance(shape, tuple) else (shape, shape)
    if kept and (kept[0] > smallest[0] or kept[1] > smallest[1]):  # such a crop adds a border
        return None
    return Preparation(
        shape,
        kept,
        int(settings.get("resample", Image.Resampling.BILINEAR)),
        settings["rescale_factor"],
        tuple(settings["image_mean"]),
        tuple(settings["image_std"]),
    )
