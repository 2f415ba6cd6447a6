"""The image encoder of step 2: CLIP, SigLIP or DINOv2 vectors by which neighbours of a bad case's image are found."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dataengine_lib.core.torch_loading import Dtype, quiet_in_logs
from dataengine_lib.embeddings.openai_clip import load_openai_clip
from dataengine_lib.embeddings.pixels import Preparation, preparation_of
from dataengine_lib.errors import DataEngineError

_PREPROCESSING = (
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
    "do_normalize", "image_mean", "image_std",
)  # fmt: skip
_KINDS = "CLIP, SigLIP or DINOv2"


class Encoder:
    """Images in, unit vectors out: `encode(images) -> (n, d) float32`.

    `prepare(image)` gives one image's pixels `(3, h, w)`, uint8 or float32, and may be called from many threads.
    `weights_sha256` and `preprocessing` say which vectors may be compared; `name` and `dtype`, in which the model
    computes, are only for people.
    """

    def __init__(
        self,
        name: str,
        *,
        vision: Callable[[torch.Tensor], torch.Tensor],
        prepare: Callable[[Image.Image], np.ndarray],
        fast: Preparation | None,
        weights: dict[str, torch.Tensor],
        preprocessing: dict[str, Any],
        device: str,
        dtype: str,
    ) -> None:
        """`prepare` is the model's own way to float32 pixel values; `fast` takes its place where it gives the same."""
        self.name = name
        self.device = device
        self.dtype = dtype
        self.weights_sha256 = _hash(weights)
        self.preprocessing = preprocessing
        same = fast is not None and fast.agrees(prepare)
        self.prepare = fast.prepare if fast is not None and same else prepare
        self._finish = fast.finish if fast is not None and same else torch.Tensor.float
        self._vision = vision

    def encode(self, images: Sequence[Image.Image]) -> np.ndarray:
        """`(n, d)` float32 vectors of unit length, in the images' order."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def encode_prepared(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """As `encode`, for images that `prepare` has seen."""
        batch = torch.from_numpy(np.stack(pixels)).to(self.device)
        kind = getattr(torch, self.dtype)
        # the weights stay float32: what loses too much in half precision (layer norm) is left alone
        half = torch.autocast(torch.device(self.device).type, kind, enabled=kind != torch.float32)
        with torch.inference_mode(), half:
            features = self._vision(self._finish(batch))
        vectors: np.ndarray = features.float().cpu().numpy()
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def load_encoder(name: str, device: str = "auto", dtype: Dtype = "auto") -> Encoder:
    """Load `clip:MODEL` or `clip:FILE` (OpenAI's `clip` package), or a transformers model by name or folder.

    Of transformers CLIP, SigLIP and models with a class token or a pooled output, as DINOv2. `dtype: auto` computes
    in float32 on a CPU and in float16 on a GPU. Raises DataEngineError with the remedy when the model or its
    package is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = dtype if dtype != "auto" else "float32" if torch.device(device).type == "cpu" else "float16"
    return (
        _load_clip(name, device, kind) if name.startswith("clip:") else _load_transformers(name, device, kind)
    )


def _load_clip(name: str, device: str, dtype: str) -> Encoder:
    model, preprocess = load_openai_clip(name)
    model = model.to(device).eval()
    size = int(model.visual.input_resolution)

    def prepare(image: Image.Image) -> np.ndarray:
        pixels: np.ndarray = preprocess(image.convert("RGB")).numpy()
        return pixels

    normalize = getattr(preprocess, "transforms", [None])[-1]
    mean, std = (tuple(getattr(normalize, key, ())) for key in ("mean", "std"))
    fast = Preparation(size, (size, size), Image.Resampling.BICUBIC, 1 / 255, mean, std, half_even=True)
    return Encoder(
        name,
        vision=model.encode_image,
        prepare=prepare,
        fast=fast if mean and std else None,
        weights={key: value for key, value in model.state_dict().items() if key.startswith("visual.")},
        preprocessing={"size": size},
        device=device,
        dtype=dtype,
    )


def _load_transformers(name: str, device: str, dtype: str) -> Encoder:
    from transformers import AutoImageProcessor, AutoModel

    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise DataEngineError(
            f"{name}: no config.json in this folder; encoder must be a {_KINDS} model folder or name"
        )
    try:
        # the PIL processor with or without torchvision: their resizing differs, and vectors must not
        with quiet_in_logs():
            processor = AutoImageProcessor.from_pretrained(name, backend="pil")
            model = AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise DataEngineError(
            f"{name}: encoder cannot be loaded ({line}); give a {_KINDS} name or folder, or clip:ViT-B/32"
        ) from error
    model = model.float().to(device).eval()
    vision, used = _image_vector(name, model)

    def prepare(image: Image.Image) -> np.ndarray:
        pixels = processor(images=image.convert("RGB"), return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)

    settings = {
        key: _plain(value)
        for key, value in processor.to_dict().items()
        if key in _PREPROCESSING and value is not None
    }
    return Encoder(
        name,
        vision=vision,
        prepare=prepare,
        fast=preparation_of(settings),
        weights={key: value for key, value in model.state_dict().items() if used(key)},
        preprocessing={key: settings[key] for key in _PREPROCESSING if key in settings},
        device=device,
        dtype=dtype,
    )


def _image_vector(
    name: str, model: Any
) -> tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[str], bool]]:
    """How this model gives one vector an image, and which of its weights take part.

    CLIP and SigLIP: the image features that are compared with texts. Others: the class token of the last layer,
    DINOv2's own choice for retrieval, or the pooled output of models without one.
    """
    if hasattr(model, "get_image_features") and hasattr(model, "vision_model"):

        def features(pixels: torch.Tensor) -> torch.Tensor:
            found = model.get_image_features(pixel_values=pixels)
            # transformers 4 gives the tensor, 5 an output whose pooled part is that tensor
            return found if isinstance(found, torch.Tensor) else found.pooler_output

        return features, lambda key: key.startswith(("vision_", "visual_"))
    if hasattr(model, "get_image_features") or getattr(model, "main_input_name", "") != "pixel_values":
        raise DataEngineError(f"{name}: {type(model).__name__} is no {_KINDS}; give one of those as encoder")
    if any(key.endswith("cls_token") for key, _ in model.named_parameters()):
        # a pooling layer that the checkpoint lacks would be random and is left out
        return lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0], (
            lambda key: not key.startswith("pooler.")
        )

    def pooled(pixels: torch.Tensor) -> torch.Tensor:
        found = getattr(model(pixel_values=pixels), "pooler_output", None)
        if found is None:
            raise DataEngineError(
                f"{name}: {type(model).__name__} has neither class token nor pooled output; give {_KINDS} as encoder"
            )
        return found.flatten(1)

    return pooled, lambda key: True


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
