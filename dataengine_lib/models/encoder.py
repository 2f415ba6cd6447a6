"""The image encoder of step 2: CLIP or SigLIP vectors by which neighbours of a bad case's image are found."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dataengine_lib.errors import DataEngineError

_PREPROCESSING = (
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
    "do_normalize", "image_mean", "image_std",
)  # fmt: skip


class Encoder:
    """Images in, unit vectors out: `encode(images) -> (n, d) float32`.

    `prepare(image)` gives one image's pixel values `(3, h, w)` float32 and may be called from many threads.
    `weights_sha256` and `preprocessing` say which vectors may be compared; `name` is only for people.
    """

    def __init__(
        self,
        name: str,
        *,
        vision: Callable[[torch.Tensor], torch.Tensor],
        prepare: Callable[[Image.Image], np.ndarray],
        weights: dict[str, torch.Tensor],
        preprocessing: dict[str, Any],
        device: str,
    ) -> None:
        self.name = name
        self.device = device
        self.weights_sha256 = _hash(weights)
        self.preprocessing = preprocessing
        self.prepare = prepare
        self._vision = vision

    def encode(self, images: Sequence[Image.Image]) -> np.ndarray:
        """`(n, d)` float32 vectors of unit length, in the images' order."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def encode_prepared(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """As `encode`, for images that `prepare` has seen."""
        batch = torch.from_numpy(np.stack(pixels)).to(self.device)
        with torch.inference_mode():
            features = self._vision(batch)
        vectors: np.ndarray = features.float().cpu().numpy()
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def load_encoder(name: str, device: str = "auto") -> Encoder:
    """Load `clip:MODEL` (OpenAI's `clip` package), or a transformers CLIP/SigLIP by name or folder.

    Always float32, so that the same weights give the same neighbours on every device.
    Raises DataEngineError with the remedy when the model or its package is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _load_clip(name, device) if name.startswith("clip:") else _load_transformers(name, device)


def _load_clip(name: str, device: str) -> Encoder:
    remedy = 'install it with `pip install -e ".[clip]"`, or set encoder to openai/clip-vit-base-patch32'
    try:
        import clip  # type: ignore[import-not-found]
    except ImportError as error:
        raise DataEngineError(f"{name}: needs OpenAI's `clip` package ({error}); {remedy}") from error
    if not hasattr(clip, "available_models"):  # PyPI's `clip` is another project
        raise DataEngineError(f"{name}: the installed `clip` package is not OpenAI's; {remedy}")
    try:
        model, preprocess = clip.load(name.removeprefix("clip:"), device="cpu", jit=False)
    except (RuntimeError, OSError) as error:
        raise DataEngineError(
            f"{name}: cannot be loaded ({_line(error)}); one of {clip.available_models()}"
        ) from error
    model = model.float().to(device).eval()

    def prepare(image: Image.Image) -> np.ndarray:
        pixels: np.ndarray = preprocess(image.convert("RGB")).numpy()
        return pixels

    return Encoder(
        name,
        vision=model.encode_image,
        prepare=prepare,
        weights={key: value for key, value in model.state_dict().items() if key.startswith("visual.")},
        preprocessing={"size": int(model.visual.input_resolution)},
        device=device,
    )


def _load_transformers(name: str, device: str) -> Encoder:
    from transformers import AutoImageProcessor, AutoModel

    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise DataEngineError(
            f"{name}: no config.json in this folder; encoder must be a CLIP or SigLIP model folder or name"
        )
    try:
        # the PIL processor with or without torchvision: their resizing differs, and vectors must not
        processor = AutoImageProcessor.from_pretrained(name, backend="pil")
        model = AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise DataEngineError(
            f"{name}: encoder cannot be loaded ({_line(error)}); give a CLIP or SigLIP name or folder, or clip:ViT-B/32"
        ) from error
    if not hasattr(model, "get_image_features") or not hasattr(model, "vision_model"):
        raise DataEngineError(
            f"{name}: {type(model).__name__} is no CLIP or SigLIP; give one of those as encoder"
        )
    model = model.float().to(device).eval()

    def vision(pixels: torch.Tensor) -> torch.Tensor:
        features = model.get_image_features(pixel_values=pixels)
        # transformers 4 gives the tensor, 5 an output whose pooled part is that tensor
        return features if isinstance(features, torch.Tensor) else features.pooler_output

    def prepare(image: Image.Image) -> np.ndarray:
        pixels = processor(images=image.convert("RGB"), return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)

    settings = processor.to_dict()
    return Encoder(
        name,
        vision=vision,
        prepare=prepare,
        weights={
            key: value for key, value in model.state_dict().items() if key.startswith(("vision_", "visual_"))
        },
        preprocessing={key: _plain(settings[key]) for key in _PREPROCESSING if settings.get(key) is not None},
        device=device,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _plain(value: Any) -> Any:
    """A setting as JSON gives it back: sizes come as a mapping class, means as tuples."""
    if hasattr(value, "keys"):
        return {key: value[key] for key in value if value[key] is not None}
    return list(value) if isinstance(value, tuple) else value


def _hash(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(weights):
        if weights[key].is_floating_point():
            digest.update(
                key.encode() + b"\0" + weights[key].detach().float().cpu().contiguous().numpy().tobytes()
            )
    return digest.hexdigest()
